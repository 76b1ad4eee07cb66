"""A small load for what is not measured in requests per second: so many requests, over plain sockets."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.support.system import Registered

# A server that does not answer for so long ends the run.
_PATIENCE_SECONDS = 60.0
_LENGTH = b"content-length: "


@dataclass(frozen=True)
class Measured:
    """What came of a load; ``seconds`` holds how long each request took, in order of length."""

    duration: float
    seconds: Sequence[float]

    def percentile(self, share: float) -> float:
        """Return how many milliseconds the quickest ``share`` (0 to 1) of the requests took at most."""
        return self.seconds[max(0, math.ceil(share * len(self.seconds)) - 1)] * 1000


def together(parts: Sequence[Measured]) -> Measured:
    """Return several loads as one."""
    return Measured(sum(part.duration for part in parts), sorted(s for part in parts for s in part.seconds))


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], count: int, status: int, taken: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._left = count
        self._status = b" %d " % status
        self._taken = taken
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        now = time.perf_counter()
        self._taken.append(now - self._sent)
        self._left -= 1
        if self._status not in head[:16]:
            self.done.set_exception(RuntimeError(f"not answered: {self._received[:300]!r}"))
            self._transport.abort()
        elif self._left:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    def _send(self) -> None:
        self._received = b""
        request = next(self._requests)
        self._sent = time.perf_counter()
        self._transport.write(request)


def _length(head: bytes) -> int:
    value = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
    return int(value or 0)


async def load(url: str, request: bytes | Iterator[bytes], *, count: int, status: int = 200) -> Measured:
    """Send ``request`` to the host and port of ``url``, ``count`` times on one connection; or as many of an iterator.

    Raises ``RuntimeError`` for any answer but ``status``.
    """
    requests = itertools.repeat(request) if isinstance(request, bytes) else request
    parts = urlsplit(url)
    taken: list[float] = []
    begin = time.perf_counter()
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(
        lambda: _Caller(requests, count, status, taken), parts.hostname or "", parts.port or 80
    )
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await caller.done
    return Measured(time.perf_counter() - begin, sorted(taken))


def token_request(client: Registered) -> bytes:
    """Return a token request as most libraries send it."""
    header = client.basic._auth_header  # noqa: SLF001 - httpx has no other name for it
    return http("POST", "/token", f"Authorization: {header}", body="grant_type=client_credentials")


def http(method: str, path: str, *headers: str, body: str = "") -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body]).encode()
