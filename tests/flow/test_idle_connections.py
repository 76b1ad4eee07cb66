"""A connection that nobody uses is closed, and one that is used is not (RFC 9112 §9.5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import uvicorn

from steelcut.service.http.protocol import HttpProtocol
from tests.support.system import listen

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Slow:
    """Answers a request when it is told to."""

    def __init__(self) -> None:
        """Wait at first."""
        self.now = asyncio.Event()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG002
        """Answer 200, with two bytes."""
        await self.now.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})


@contextlib.asynccontextmanager
async def connection(
    app: Slow, keep_alive_seconds: float
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to ``app``, which is served with this keep-alive time."""
    listener = listen()
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        log_config=None,
        lifespan="off",
        timeout_keep_alive=keep_alive_seconds,  # type: ignore[arg-type] # loop.call_later takes parts of seconds
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await task
        listener.close()


async def test_connection_is_closed_after_its_last_answer() -> None:
    """Once the keep-alive time is over."""
    app = Slow()
    app.now.set()
    async with connection(app, 0.05) as (reader, writer):
        writer.write(REQUEST)
        answer = await asyncio.wait_for(reader.read(-1), 5)
    assert answer.endswith(b"\r\n\r\nok")


async def test_connection_in_use_is_not_closed() -> None:
    """Neither while a request is being answered, however long that takes, nor before its time after that."""
    app = Slow()
    app.now.set()
    async with connection(app, 0.1) as (reader, writer):
        writer.write(REQUEST)
        await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        app.now.clear()
        writer.write(REQUEST)
        # The time that began with the first answer ends within the second request.
        await asyncio.sleep(0.15)
        app.now.set()
        await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
