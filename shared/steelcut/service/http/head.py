"""The head of a request: how large it may be, what it must have, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httptools

from steelcut.service.http.refused import MALFORMED, RefusedError

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 100
# RFC 9112 §3 asks for 8,000 at least.
MAX_TARGET_BYTES: Final = 16 * 1024
# Four bytes beside name and value: ": " and the end of the line.
_FIELD_BYTES: Final = 4
_VERSIONS: Final = ("1.1", "1.0")

TOO_LARGE: Final = f"The request may have {MAX_FIELDS} header fields, and a head of {MAX_HEAD_BYTES} bytes."
TARGET_TOO_LONG: Final = f"The path and the query may have {MAX_TARGET_BYTES} bytes."
_ONE_HOST: Final = "Send exactly one Host header."

Fields = Sequence[tuple[bytes, bytes]]


def check(target: bytes, fields: Fields, version: str, *, received: int, hosts: int) -> None:
    """Raise ``RefusedError`` at a head that is not served.

    ``received`` are the bytes that came until it ended, and perhaps some of what stood before and after it; ``hosts``
    how often ``Host`` stands in it.
    """
    if len(target) > MAX_TARGET_BYTES:
        raise RefusedError(414, TARGET_TOO_LONG)
    if len(fields) > MAX_FIELDS:
        raise RefusedError(431, TOO_LARGE)
    if received > MAX_HEAD_BYTES:
        # Others may have come in the same piece: count what the head alone has.
        size = sum(len(name) + len(value) + _FIELD_BYTES for name, value in fields)
        if len(target) + size > MAX_HEAD_BYTES:
            raise RefusedError(431, TOO_LARGE)
    if version not in _VERSIONS:
        raise RefusedError(400, MALFORMED)
    if hosts != 1 and (hosts or version == "1.1"):
        raise RefusedError(400, _ONE_HOST)


def path_and_query(target: bytes) -> tuple[bytes, bytes]:
    """Take the target of a request apart, in whichever of its forms it is (RFC 9112 §3.2)."""
    if target.startswith(b"/") and b"#" not in target:
        # The origin form (§3.2.1), which nearly all requests have.
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path, url.query or b""


def without_upgrade(method: bytes, target: bytes, version: str, fields: Fields) -> bytes:
    """Write a head as if it had not asked for another protocol."""
    line = b"%s %s HTTP/%s" % (method, target, version.encode())
    lines = [b"%s: %s" % field for field in fields if field[0] not in {b"upgrade", b"connection"}]
    # Whether the connection stays is the caller's to say, with the upgrade or without it.
    options = b",".join(value for name, value in fields if name == b"connection").split(b",")
    kept = [option for option in options if option.strip().lower() in {b"close", b"keep-alive"}]
    if kept:
        lines.append(b"connection: " + b",".join(kept))
    return b"\r\n".join([line, *lines, b"", b""])
