"""HTTP as bytes: requests that no well-behaved library would send, and their answers taken apart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer as it came; header names in lower case, in the order of the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Return the value of a header that stands at most once."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def error(self) -> str | None:
        """The OAuth error code, None when the answer is no JSON object or has none; an answer to HEAD has no body."""
        if not self.body or self.header("content-type") != "application/json":
            return None
        content = orjson.loads(self.body)
        return content.get("error") if isinstance(content, dict) else None


class Wire:
    """One TCP connection to a service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use ``open``."""
        self._reader = reader
        self._writer = writer
        self._kept: Answer | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Wire]:
        """Connect to the host and port of ``url``, and hang up at the end of the block."""
        parts = urlsplit(url)
        wire = cls(*await asyncio.open_connection(parts.hostname, parts.port))
        try:
            yield wire
        finally:
            await wire.close()

    async def send(self, raw: bytes) -> None:
        """Send ``raw`` as far as the other side takes it: it may answer and hang up before the end."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(raw)
            await asyncio.wait_for(self._writer.drain(), PATIENCE_SECONDS)

    def send_now(self, raw: bytes) -> None:
        """Send what the kernel takes at once, before anybody else has a turn."""
        self._writer.write(raw)

    def finish(self) -> None:
        """Say that nothing more will be sent; what is answered can still be read."""
        self._writer.write_eof()

    async def answer(self, *, to_head: bool = False) -> Answer | None:
        """Read one final answer, None when the other side hangs up without one."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        return await asyncio.wait_for(self._answer(to_head=to_head), PATIENCE_SECONDS)

    async def interim(self) -> int | None:
        """Wait for what comes next, and return its status if it is interim; a final answer is kept for ``answer``."""
        next_one = await asyncio.wait_for(self._one_answer(to_head=False), PATIENCE_SECONDS)
        if next_one.status < 200:
            return next_one.status
        self._kept = next_one
        return None

    async def rest(self) -> bytes:
        """Read all that comes until the other side hangs up."""
        return await asyncio.wait_for(self._reader.read(), PATIENCE_SECONDS)

    async def close(self, *, abruptly: bool = False) -> None:
        """Hang up: in peace, or with a reset."""
        if abruptly:
            self._writer.transport.abort()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _answer(self, *, to_head: bool) -> Answer | None:
        try:
            answer = await self._one_answer(to_head=to_head)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return await self._answer(to_head=to_head) if answer.status < 200 else answer

    async def _one_answer(self, *, to_head: bool) -> Answer:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        status = int(status_line.split(" ")[1])
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
        if to_head or status < 200 or status in {204, 304}:
            return Answer(status, headers, b"")
        length = dict(headers).get("content-length")
        body = await (self._reader.read() if length is None else self._reader.readexactly(int(length)))
        return Answer(status, headers, body)


async def exchange(url: str, raw: bytes, *, to_head: bool = False) -> Answer | None:
    """Send ``raw`` on a connection of its own and return the first answer."""
    async with Wire.open(url) as wire:
        await wire.send(raw)
        return await wire.answer(to_head=to_head)
