"""A TCP proxy that does to bytes what networks do: it passes them, holds them back, loses connections, or cuts them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

CHUNK_BYTES = 65_536


class TcpProxy:
    """Stands before one port of this machine; what is done to it is done to all of its connections."""

    def __init__(self, leads_to: int) -> None:
        """Use ``before``, which gives it a ``port``."""
        # May change: later connections go to the new one.
        self.leads_to = leads_to
        self.port = 0
        self._requests, self._answers = _open_way(), _open_way()
        self._cutting = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, port: int) -> AsyncIterator[Self]:
        """Serve for the length of the block."""
        proxy = cls(port)
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.lose()
            proxy.cut()
            await server.wait_closed()

    def stall(self) -> None:
        """Hold everything back until ``resume``; new connections are taken, too, and lead nowhere."""
        self._requests.clear()
        self._answers.clear()

    def stall_answers(self) -> None:
        """Hold back the answers alone."""
        self._answers.clear()

    def resume(self) -> None:
        """Let everything pass, also what was held back; end ``cut``."""
        self._requests.set()
        self._answers.set()
        self._cutting = False

    def lose(self) -> None:
        """Forget all connections and tell nobody, as a firewall does, or a host that is switched off. New ones pass."""
        for task in self._tasks:
            task.cancel()
        self._requests, self._answers = _open_way(), _open_way()

    def cut(self) -> None:
        """Reset all connections, and each new one until ``resume``."""
        self._cutting = True
        for writer in self._writers:
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cutting:
            writer.transport.abort()
            return
        # Kept, so that one that is lost stays open.
        self._writers.add(writer)
        task = asyncio.create_task(self._lead(reader, writer, self._requests, self._answers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lead(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        requests: asyncio.Event,
        answers: asyncio.Event,
    ) -> None:
        await requests.wait()
        try:
            source, sink = await asyncio.open_connection("127.0.0.1", self.leads_to)
        except ConnectionError:
            writer.transport.abort()
            return
        self._writers.add(sink)
        await asyncio.gather(_pass_on(reader, sink, requests), _pass_on(source, writer, answers))
        self._writers -= {writer, sink}


def _open_way() -> asyncio.Event:
    way = asyncio.Event()
    way.set()
    return way


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        while octets := await source.read(CHUNK_BYTES):
            await way.wait()
            sink.write(octets)
            await sink.drain()
    sink.close()
