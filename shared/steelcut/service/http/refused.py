"""What never became a request is refused by the protocol itself: the error inside, the whole answer outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from steelcut.service.http.asgi import NO_STORE, TRACE_HEADER

MALFORMED: Final = "The request is not well-formed HTTP/1.1."


class RefusedError(Exception):
    """Ends the connection with ``status`` and one fixed sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def refusal_of(
    status: int, sentence: str, trace_id: str, common: Sequence[tuple[bytes, bytes]], *, to_head: bool
) -> bytes:
    """Return the bytes of an answer after which the connection ends; ``common`` are fields of every answer.

    One ``to_head`` says how long its content would be and has none (RFC 9110 §9.3.2).
    """
    content = orjson.dumps({"error": "invalid_request", "error_description": sentence})
    fields = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        **NO_STORE,
        "connection": "close",
        TRACE_HEADER: trace_id,
    }
    lines = [b"%s: %s\r\n" % field for field in common]
    lines += [f"{name.lower()}: {value}\r\n".encode() for name, value in fields.items()]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", b"" if to_head else content])
