"""The head of a request: how large it may be, what it must have, and what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
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
_NO_HOST: Final = "The Host header is no host, or has no port after its colon."
_CHUNKS_ALONE: Final = "Send the content as it is, or in chunks: no other Transfer-Encoding is understood."
# RFC 9112 §3.2, RFC 3986 §3.2.2; empty where the target has no host. But no comma: several lines joined to one would
# have it (RFC 9110 §5.3).
_HOST: Final = re.compile(
    rb"(?:[\w.~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*(?::([0-9]*))?"
    rb"|\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[\w.~!$&'()*+;=:-]+)\](?::([0-9]*))?"
)
_LAST_PORT: Final = 65_535
# Most callers of a service call it by one or two names.
_HOSTS_KEPT: Final = 256

Fields = Sequence[tuple[bytes, bytes]]


def check(target: bytes, fields: Fields, version: str, *, received: int, hosts: int, host: bytes) -> None:
    """Raise ``RefusedError`` at a head that is not served.

    ``received`` are the bytes that came until it ended, and perhaps some of what stood before and after it; ``hosts``
    how often ``Host`` stands in it, ``host`` its value.
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
    # RFC 9112 §3.2
    if hosts != 1 and (hosts or version == "1.1"):
        raise RefusedError(400, _ONE_HOST)
    if hosts and not _is_host(host):
        raise RefusedError(400, _NO_HOST)


def check_codings(fields: Fields) -> None:
    """Raise ``RefusedError`` at transfer codings other than ``chunked`` alone (RFC 9112 §6.1).

    Where that is not the last of them, nobody knows where the content ends (§6.3).
    """
    text = b",".join(value for name, value in fields if name == b"transfer-encoding").lower()
    codings = [coding.strip(b" \t") for coding in text.split(b",")]
    if codings[-1] != b"chunked":
        raise RefusedError(400, MALFORMED)
    if codings != [b"chunked"]:
        raise RefusedError(501, _CHUNKS_ALONE)


def path_and_query(target: bytes, method: str) -> tuple[bytes, bytes]:
    """Take the target of a request apart, in whichever of its forms it is (RFC 9112 §3.2)."""
    if target.startswith(b"/") and b"#" not in target:
        # The origin form (§3.2.1), which nearly all requests have.
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    # Without a path, the absolute form asks for the root, or for the server as such (§3.2.2, §3.2.4).
    empty = b"*" if method == "OPTIONS" and not url.query else b"/"
    return url.path or empty, url.query or b""


@lru_cache(_HOSTS_KEPT)
def _is_host(host: bytes) -> bool:
    found = _HOST.fullmatch(host.strip(b" \t"))
    return found is not None and int(found[1] or found[2] or 0) <= _LAST_PORT


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
