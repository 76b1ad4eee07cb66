"""Structured logs: JSON lines for machines, columns for a terminal. Loggers are values, not globals."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from steelcut.service.settings import LogFormat
from steelcut.service.telemetry.lines import Lines, LinesOfText

Logger = structlog.typing.FilteringBoundLogger

# A value may be longer in a line that is short all the same.
MAX_VALUE_CHARACTERS = 400
SHORT_LINE_BYTES = 1000
_FromInfo: Any = structlog.make_filtering_bound_logger(logging.INFO)
_AS_JSON = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def make_logger(service: str, log_format: LogFormat = "auto", stream: TextIO | None = None) -> Logger:
    """Return the logger of one process; ``auto`` means columns on a terminal and JSON elsewhere."""
    target = stream or sys.stderr
    as_json = _is_json(log_format, target)
    raw: Any = _lines(target) if as_json else structlog.WriteLogger(target)
    processors: list[Processor] = [_json_line] if as_json else _columns(colors=target.isatty())
    kind = _QuickLogger if as_json else _FromInfo
    # Bound at once: what wrap_logger returns finds its way anew at each call.
    logger: Logger = structlog.wrap_logger(
        raw, processors=processors, wrapper_class=kind, context_class=dict, service=service
    ).bind()
    return logger


def uvicorn_log_config(service: str, log_format: LogFormat = "auto") -> dict[str, Any]:
    """Return a ``logging`` configuration that sends uvicorn's own messages down the same path."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        # As a function and its arguments: what it makes could not be handed to worker processes.
        "formatters": {"steelcut": {"()": _formatter, "service": service, "log_format": log_format}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "steelcut",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            # The name of uvicorn's general logger.
            "uvicorn.error": {"level": "INFO"},
            # It would log every key fetch.
            "httpx": {"level": "WARNING"},
            # It would log a traceback each second that the database is away, which our own lines say in words.
            "asyncpg.pool": {"level": "ERROR"},
        },
    }


def _formatter(service: str, log_format: LogFormat) -> logging.Formatter:
    as_json = _is_json(log_format, sys.stderr)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.processors.add_log_level, _adder(service)],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([_json_text] if as_json else _columns(colors=sys.stderr.isatty())),
        ],
    )


class _QuickLogger(_FromInfo):  # type: ignore[misc] # made while it runs
    """Spares the line of a request structlog's way through its processors, of which there is one."""

    def info(self, event: str, **fields: Any) -> None:
        """Write one line."""
        fields |= self._context
        fields["event"] = event
        self._logger.msg(_json_line(None, "info", fields))


def _json_line(logger: Any, name: str, event: EventDict) -> bytes:
    """Render one line of JSON: what structlog's own processors make, in one step, since each request has its line.

    Raises nothing, whatever the values are: a line that fails would take the answer of its request with it.
    """
    event.setdefault("level", name)
    event["timestamp"] = datetime.now(UTC)
    traceback = event.get("exc_info") is not None
    line = b"" if traceback else _rendered(event)
    if traceback or len(line) > SHORT_LINE_BYTES:
        _shorten(event)
        if traceback:
            event = structlog.processors.format_exc_info(logger, name, event)
        line = _rendered(event)
    return line


def _rendered(event: EventDict) -> bytes:
    try:
        return orjson.dumps(event, default=repr, option=_AS_JSON)
    except TypeError:
        # A lone surrogate, an integer of more than 64 bits, a circle, a repr that fails.
        return orjson.dumps(
            {_well_formed(str(key)): _well_formed(_text(value)) for key, value in event.items()}
        )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever it is, the line is written
        return f"<{type(value).__name__} without a repr>"


def _visible(text: str) -> str:
    """Return what a caller may have sent so that it commands no terminal, and begins no line of its own."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _well_formed(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _json_text(logger: Any, name: str, event: EventDict) -> str:
    """Render the same for ``logging``, which writes text."""
    return _json_line(logger, name, event).decode()


def _columns(*, colors: bool) -> list[Processor]:
    def tame(logger: Any, name: str, event: EventDict) -> EventDict:  # noqa: ARG001
        _shorten(event)
        for key, value in event.items():
            if isinstance(value, str) and not value.isprintable():
                event[key] = _visible(value)
        return event

    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        tame,
        # Not rich's traceback, which shows the values of local variables: credentials are among them.
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
    ]


def _adder(service: str) -> Processor:
    def add_service(logger: Any, name: str, event: EventDict) -> EventDict:  # noqa: ARG001
        event["service"] = service
        return event

    return add_service


def _shorten(event: EventDict) -> None:
    # A caller chooses some of these values; a log line must not grow with what is sent.
    for key, value in event.items():
        if key == "exc_info" or isinstance(value, int | float | datetime | None):
            continue
        # A list or an object is as long as its text: it keeps its form only where that is short.
        text = _text(value)
        if len(text) > MAX_VALUE_CHARACTERS:
            event[key] = text[:MAX_VALUE_CHARACTERS] + "…"


def _is_json(log_format: LogFormat, target: TextIO) -> bool:
    return log_format == "json" or (log_format == "auto" and not target.isatty())


def _lines(target: TextIO) -> Lines | LinesOfText:
    return Lines(target.buffer, target) if hasattr(target, "buffer") else LinesOfText(target)
