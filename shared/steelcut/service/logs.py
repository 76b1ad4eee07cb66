"""Structured logs: JSON lines for machines, columns for a terminal. Loggers are values, not globals."""

from __future__ import annotations

import logging
import sys
from typing import Any, BinaryIO, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from steelcut.service.settings import LogFormat

Logger = structlog.typing.FilteringBoundLogger

MAX_VALUE_CHARACTERS = 400


def make_logger(service: str, log_format: LogFormat = "auto", stream: TextIO | None = None) -> Logger:
    """Return the logger of one process; ``auto`` means columns on a terminal and JSON elsewhere."""
    target = stream or sys.stderr
    as_json = _is_json(log_format, target)
    raw: Any = structlog.BytesLogger(_binary(target)) if as_json else structlog.WriteLogger(target)
    logger: Logger = structlog.wrap_logger(
        raw,
        processors=[*_common(), *_renderers(as_json=as_json, colors=target.isatty())],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        context_class=dict,
        cache_logger_on_first_use=True,
        service=service,
    )
    return logger


def uvicorn_log_config(service: str, log_format: LogFormat = "auto") -> dict[str, Any]:
    """Return a ``logging`` configuration that sends uvicorn's own messages down the same path."""
    as_json = _is_json(log_format, sys.stderr)
    renderer = _text(*_renderers(as_json=as_json, colors=sys.stderr.isatty()))
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*_common(), _adder(service)],
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


def _common() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _shorten,
    ]


def _renderers(*, as_json: bool, colors: bool) -> list[Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(orjson.dumps)]
    return [structlog.dev.ConsoleRenderer(colors=colors)]


def _text(*processors: Processor) -> list[Processor]:
    """Let ``logging``, which writes text, follow a renderer that gives bytes."""

    def decode(logger: Any, name: str, event: Any) -> Any:  # noqa: ARG001
        return event.decode() if isinstance(event, bytes) else event

    return [*processors, decode]


def _adder(service: str) -> Processor:
    def add_service(logger: Any, name: str, event: EventDict) -> EventDict:  # noqa: ARG001
        event["service"] = service
        return event

    return add_service


def _shorten(logger: Any, name: str, event: EventDict) -> EventDict:  # noqa: ARG001
    # A caller chooses some of these values; a log line must not grow with what is sent.
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
            event[key] = value[:MAX_VALUE_CHARACTERS] + "…"
    return event


def _is_json(log_format: LogFormat, target: TextIO) -> bool:
    return log_format == "json" or (log_format == "auto" and not target.isatty())


def _binary(target: TextIO) -> BinaryIO:
    return target.buffer if hasattr(target, "buffer") else _Encoded(target)  # type: ignore[return-value]


class _Encoded:
    """A binary face for a text stream that has none (``io.StringIO`` in tests)."""

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        return self._target.write(data.decode())

    def flush(self) -> None:
        self._target.flush()
