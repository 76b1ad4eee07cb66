"""Who connects while a process is busy does not wait for all who connected before, one in each of its long turns."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import uvloop
from uvicorn.lifespan.off import LifespanOff

from steelcut.service.process.workers import ACCEPTED_AT_ONCE, WorkerConfig, WorkerServer
from tests.support.system import listen

WAITING = 4 * ACCEPTED_AT_ONCE


class Closing(asyncio.Protocol):
    """Says that there is a connection, and wants none."""

    def __init__(self, accepted: Callable[[], None]) -> None:
        """Say so to ``accepted``."""
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        self._accepted()
        transport.close()


class Turns:
    """Counts the turns of an event loop, and notes in which of them connections are accepted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to count."""
        self.all_accepted = asyncio.Event()
        self.accepted_in: list[int] = []
        self._loop = loop
        self._turn = 0
        self._next()

    def _next(self) -> None:
        self._turn += 1
        if not self.all_accepted.is_set():
            self._loop.call_soon(self._next)

    def protocol(self, **_: object) -> asyncio.Protocol:
        """Take a connection."""
        return Closing(self._accepted)

    def _accepted(self) -> None:
        self.accepted_in.append(self._turn)
        if len(self.accepted_in) == WAITING:
            self.all_accepted.set()


@contextlib.asynccontextmanager
async def serving(
    listener: socket.socket, turns: Turns, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve for the length of the block, in the event loop that runs."""
    config = WorkerConfig(lambda: None, settings=None)
    config.load()
    config.ssl = tls
    config.http_protocol_class = turns.protocol  # type: ignore[assignment] # whatever makes a protocol
    server = WorkerServer(config)
    server.lifespan = LifespanOff(config)
    await server.startup([listener])
    try:
        yield
    finally:
        for one in server.servers:
            one.close()
            await one.wait_closed()


async def turns_needed(listener: socket.socket) -> int:
    """Return in how many turns all connections are accepted that wait at ``listener``."""
    turns = Turns(asyncio.get_running_loop())
    async with asyncio.timeout(10), serving(listener, turns):
        await turns.all_accepted.wait()
    return len(set(turns.accepted_in))


async def plainly_served(listener: socket.socket, crowd: list[socket.socket]) -> int:
    """Return how many of ``crowd`` are accepted that say no word of TLS, where TLS is spoken."""
    turns = Turns(asyncio.get_running_loop())
    async with serving(listener, turns, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)):
        for one in crowd:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            # An alert, or nothing, and the end.
            await asyncio.to_thread(one.recv, 100)
    turns.all_accepted.set()
    return len(turns.accepted_in)


T = TypeVar("T")


async def by_uvloop(work: Coroutine[Any, Any, T]) -> T:
    """Do it as the services do, by another event loop than the one of the tests."""

    def run() -> T:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)

    return await asyncio.to_thread(run)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket at which connections wait."""
    with contextlib.closing(listen()) as listener:
        yield listener


@pytest.fixture
def crowd(listener: socket.socket) -> Iterator[list[socket.socket]]:
    """Who has connected before anybody accepts."""
    with contextlib.ExitStack() as crowd:
        address = listener.getsockname()
        yield [crowd.enter_context(socket.create_connection(address, 10)) for _ in range(WAITING)]


@pytest.mark.usefixtures("crowd")
async def test_several_are_accepted_in_a_turn(listener: socket.socket) -> None:
    """As many as there are listeners on one socket, by the event loop that serves."""
    assert await by_uvloop(turns_needed(listener)) <= WAITING / ACCEPTED_AT_ONCE + 1


async def test_tls_is_spoken_whoever_accepts(listener: socket.socket, crowd: list[socket.socket]) -> None:
    """Where TLS is set, no one of the listeners takes plain HTTP."""
    assert await by_uvloop(plainly_served(listener, crowd)) == 0
