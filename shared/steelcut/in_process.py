"""Issuers that live in this process: a test's own, see ``steelcut.testing``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

# By origin, and there by the path of each issuer.
_served: Final[dict[str, dict[str, httpx.BaseTransport]]] = {}
# RFC 8414 §3.1: it stands before the path of the issuer.
_WELL_KNOWN: Final = re.compile(r"^/\.well-known/[^/]+")


@contextlib.contextmanager
def served(issuer: str, transport: httpx.BaseTransport) -> Iterator[None]:
    """Answer whatever this process asks of the origin of ``issuer`` by ``transport``, until the block ends.

    Of several issuers on one origin each answers what is below its path; of two of the same name the later.
    """
    origin, path = _place(issuer)
    there = _served.setdefault(origin, {})
    before = there.get(path)
    there[path] = transport
    try:
        yield
    finally:
        if before is None:
            del there[path]
        else:
            there[path] = before


def transport_to(url: str) -> httpx.BaseTransport | None:
    """Return the way to ``url``, None when it is out of this process."""
    origin, path = _place(url)
    there = _served.get(origin)
    if not there:
        return None
    asked = _WELL_KNOWN.sub("", path)
    return there[max(there, key=lambda issuer: len(issuer) if f"{asked}/".startswith(f"{issuer}/") else -1)]


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
