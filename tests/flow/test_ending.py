"""A server that ends waits for as long as it may: whoever is not answered by then hears so, and the log is calm."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from steelcut.service.http.asgi import Application, ExactRoute, RequestBoundary, install
from steelcut.service.telemetry.logs import make_logger
from steelcut.service.telemetry.observation import Watch
from tests.flow.odd_requests import HOST, head
from tests.support.system import listen, serving
from tests.support.wire import Wire

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import Receive, Scope, Send

WAIT = head(b"POST /wait HTTP/1.1", HOST, b"Content-Length: 2")


class Waiting:
    """Reads all of the content before it answers, when it may."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.asked = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer 200."""
        self.asked.set()
        await self.may.wait()
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def ending(stream: io.StringIO) -> AsyncIterator[tuple[uvicorn.Server, str, Waiting]]:
    """Serve such an application, within a boundary of ours."""
    waiting = Waiting()
    app = Application()
    install(app, make_logger("test", "json", stream), first=[ExactRoute("/wait", waiting, method="POST")])
    listener = listen()
    host, port = listener.getsockname()
    async with serving(app, listener) as server:
        yield server, f"http://{host}:{port}", waiting


async def test_request_that_outlasts_the_server_is_told_to_come_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By 503, in the shape of all refusals, with one line in the log and no traceback."""
    stream = io.StringIO()
    async with ending(stream) as (server, url, waiting), Wire.open(url) as wire:
        server.config.timeout_graceful_shutdown = 0
        await wire.send(WAIT + b"o")
        await asyncio.wait_for(waiting.asked.wait(), 5)
        server.should_exit = True
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.error) == (503, "temporarily_unavailable")
        assert (answer.header("connection"), answer.header("retry-after")) == ("close", "1")
        assert await wire.answer() is None
    (line,) = [line for line in map(orjson.loads, stream.getvalue().splitlines()) if line["path"] == "/wait"]
    assert line["trace_id"] == answer.header("x-trace-id")
    assert (line["status"], line["reason"]) == (503, "the process ended before the request was served")
    assert not [record for record in caplog.records if record.exc_info]


async def test_request_that_waits_for_100_is_the_last_of_an_ending_server() -> None:
    """Its connection does not stay, though it would have stayed if the server did."""
    async with ending(io.StringIO()) as (server, url, waiting), Wire.open(url) as wire:
        waiting.may.clear()
        await wire.send(head(b"POST /wait HTTP/1.1", HOST, b"Content-Length: 2", b"Expect: 100-continue"))
        await asyncio.wait_for(waiting.asked.wait(), 5)
        connections: set[Any] = server.server_state.connections
        (connection,) = (one for one in connections if one._is_answering())
        connection.shutdown()
        waiting.may.set()
        assert await wire.interim() == 100
        await wire.send(b"ok")
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await wire.answer() is None


async def test_cancellation_that_is_not_the_servers_goes_on() -> None:
    """Whoever cancels a task of his own is not answered instead."""
    waiting = Waiting()
    boundary = RequestBoundary(waiting, make_logger("test", "json", io.StringIO()), Watch())
    sent: list[Any] = []

    async def never() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    task = asyncio.create_task(boundary({"type": "http", "method": "GET", "path": "/"}, never, send))
    await asyncio.wait_for(waiting.asked.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not sent
