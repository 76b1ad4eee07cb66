"""Structured logs: JSON lines for machines, columns for a terminal. Loggers are values, not globals."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from steelcut.service.lines import Lines, LinesOfText
from steelcut.service.settings import LogFormat

Logger = structlog.typing.FilteringBoundLogger

MAX_VALUE_CHARACTERS = 400


def make_logger(service: str, log_format: LogFormat = "auto", stream: TextIO | None = None) -> Logger:
    """Return the logger of one process; ``auto`` means columns on a terminal and JSON elsewhere."""
    target = stream or sys.stderr
    as_json = _is_json(log_format, target)
    raw: Any = _lines(target) if as_json else structlog.WriteLogger(target)
    logger: Logger = structlog.wrap_logger(
        raw,
        processors=[_json_line] if as_json else _columns(colors=target.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        context_class=dict,
        cache_logger_on_first_use=True,
        service=service,
    )
    return logger


def uvicorn_log_config(service: str, log_format: LogFormat = "auto") -> dict[str, Any]:
    """Return a ``logging`` configuration that sends uvicorn's own messages down the same path."""
    as_json = _is_json(log_format, sys.stderr)
    renderer = [_json_text] if as_json else _columns(colors=sys.stderr.isatty())
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [structlog.processors.add_log_level, _adder(service)],
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"steelcut": formatter},
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


def _json_line(logger: Any, name: str, event: EventDict) -> bytes:
    """Render one line of JSON: what structlog's own processors make, in one step, since each request has its line."""
    _shorten(event)
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, name, event)
    event.setdefault("level", name)
    event["timestamp"] = datetime.now(UTC)
    return orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _json_text(logger: Any, name: str, event: EventDict) -> str:
    """Render the same for ``logging``, which writes text."""
    return _json_line(logger, name, event).decode()


def _columns(*, colors: bool) -> list[Processor]:
    def shorten(logger: Any, name: str, event: EventDict) -> EventDict:  # noqa: ARG001
        _shorten(event)
        return event

    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        shorten,
        structlog.dev.ConsoleRenderer(colors=colors),
    ]


def _adder(service: str) -> Processor:
    def add_service(logger: Any, name: str, event: EventDict) -> EventDict:  # noqa: ARG001
        event["service"] = service
        return event

    return add_service


def _shorten(event: EventDict) -> None:
    # A caller chooses some of these values; a log line must not grow with what is sent.
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
            event[key] = value[:MAX_VALUE_CHARACTERS] + "…"


def _is_json(log_format: LogFormat, target: TextIO) -> bool:
    return log_format == "json" or (log_format == "auto" and not target.isatty())


def _lines(target: TextIO) -> Lines | LinesOfText:
    return Lines(target.buffer) if hasattr(target, "buffer") else LinesOfText(target)
