"""Requests that are sent before the answers to others: all are answered, and they make no crowd on one connection."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from steelcut.service.http.one_by_one import SLICE_BYTES
from steelcut.service.http.protocol import HttpProtocol
from tests.flow.odd_requests import HOST, head
from tests.flow.test_overload import MOST, token_request
from tests.support.system import System, listen, serving
from tests.support.waiting import until
from tests.support.wire import Wire, exchange

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

GET = head(b"GET /x HTTP/1.1", HOST)
LAST = head(b"GET /last HTTP/1.1", HOST)
MANY = 10_000
# What one read of a socket brings, of asyncio and of uvloop.
READ_BYTES = 256 * 1024


@dataclass
class Held:
    """Answers when it may, and keeps how much waited on its connection meanwhile."""

    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    unread: int = 0
    connections: set[Any] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 without content."""
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        if scope["path"] != "/healthz":
            self.asked.set()
            await self.may.wait()
            connection = self.connection
            self.waiting = max(self.waiting, len(connection.pipeline))
            self.unread = max(self.unread, len(connection._unread))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]},
        )
        await send({"type": "http.response.body", "body": b""})

    @property
    def connection(self) -> HttpProtocol:
        """The one on which something was asked."""
        (connection,) = (
            one for one in self.connections if one.cycle and one.cycle.scope["path"] != "/healthz"
        )
        return cast("HttpProtocol", connection)


@pytest.fixture
async def held() -> Held:
    """An application that does not answer yet."""
    return Held()


@pytest.fixture
async def url(held: Held) -> AsyncIterator[str]:
    """Where it is served."""
    listener = listen()
    host, port = listener.getsockname()
    async with serving(held, listener) as server:
        held.connections = server.server_state.connections
        yield f"http://{host}:{port}"
        held.may.set()


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Leave circles of objects as they are."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_one_connection_has_few_requests_waiting(url: str, held: Held) -> None:
    """However many it sends, and however quickly they are answered: the others are bytes that nobody has read yet."""
    async with Wire.open(url) as wire:
        sending = asyncio.ensure_future(wire.send(GET * MANY + LAST))
        await asyncio.wait_for(held.asked.wait(), 10)
        assert len(held.connection.pipeline) <= SLICE_BYTES / len(GET)
        held.may.set()
        for _ in range(MANY + 1):
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200
        await sending
    assert 0 < held.waiting <= SLICE_BYTES / len(GET)
    assert 0 < held.unread <= READ_BYTES


async def test_requests_of_one_connection_are_no_crowd(start_system: Any) -> None:
    """One of them is served at a time, so that none of them, and nobody else, is refused for the others."""
    system: System = await start_system(max_waiting_requests=MOST)
    async with Wire.open(system.issuer) as wire, Wire.open(system.issuer) as other:
        wire.send_now(GET * 100)
        await other.send(token_request(system))
        statuses = Counter([(await wire.answer() or pytest.fail("no answer")).status for _ in range(100)])
        token = await other.answer()
    assert statuses == {404: 100}
    assert token is not None
    assert token.status == 200


@pytest.mark.parametrize(
    "requests",
    [GET * 3, GET + GET.replace(HOST, HOST + b"\r\nConnection: close")],
    ids=["that wait", "of which the last ends it"],
)
async def test_connection_that_is_lost_leaves_nothing(url: str, held: Held, requests: bytes) -> None:
    """Its memory is free at once, and need not be looked for among all there is."""
    with without_collector():
        async with Wire.open(url) as wire:
            await wire.send(requests)
            await asyncio.wait_for(held.asked.wait(), 10)
            connection = weakref.ref(held.connection)
            await wire.close(abruptly=True)
        held.may.set()

        async def gone() -> bool:
            return connection() is None

        await until(gone, 5)


@pytest.mark.parametrize("times", [1, 3])
async def test_who_sends_no_more_is_answered(url: str, held: Held, times: int) -> None:
    """Closing one's side at once, as ``nc -N`` does, is no hanging up: all that was asked for in full is answered."""
    async with Wire.open(url) as wire:
        wire.send_now(GET * times)
        wire.finish()
        await asyncio.wait_for(held.asked.wait(), 10)
        # By the answer to this one, that end has been read.
        assert await exchange(url, head(b"GET /healthz HTTP/1.1", HOST))
        held.may.set()
        answers = [await wire.answer() for _ in range(times)]
        assert [answer and answer.status for answer in answers] == [200] * times
        assert await wire.answer() is None


async def test_broken_request_behind_others_is_refused_after_their_answers(url: str, held: Held) -> None:
    """Also where it is read only when they have been answered."""
    held.may.set()
    async with Wire.open(url) as wire:
        await wire.send(GET * 1000 + b"nonsense\r\n\r\n" + GET)
        for _ in range(1000):
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200
        last = await wire.answer()
        assert last is None or last.status == 400
        assert await wire.answer() is None
