"""A caller who does not take his answer is hung up on; one who takes it slowly gets all of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from steelcut.service.http import connection
from tests.flow.odd_requests import HOST, head
from tests.flow.test_answers import LARGE
from tests.support.system import listen, serving
from tests.support.waiting import until

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import Receive, Scope, Send

SECONDS = 0.1
# Less than what makes a transport ask its writer to wait, more than the kernel takes of it here.
SMALL = LARGE[: 48 * 1024]
KERNEL_BYTES = 4096


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with as much as the path says."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    content = {"/large": LARGE, "/small": SMALL}.get(scope["path"], b"")
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[uvicorn.Server]:
    """Serves ``app`` to whom takes something within a tenth of a second; its kernel keeps little for him."""
    monkeypatch.setattr(connection, "SEND_SECONDS", SECONDS)
    listener = listen()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    async with serving(app, listener) as server:
        await until(lambda: _alone(server), 5)
        yield server


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param(b"/large", (), id="large"),
        pytest.param(b"/large", (b"Connection: close",), id="large, closed after it"),
        pytest.param(b"/small", (b"Connection: close",), id="small, closed after it"),
    ],
)
async def test_answer_that_nobody_takes_is_not_kept(
    server: uvicorn.Server, path: bytes, fields: tuple[bytes, ...]
) -> None:
    """Nor is its connection, whether it was to stay or not."""
    with caller(server) as sock:
        sock.sendall(head(b"GET %s HTTP/1.1" % path, HOST, *fields))
        await until(lambda: _connected(server), 5)
        await until(lambda: _alone(server), 5)


async def test_answer_that_is_taken_slowly_comes_whole(
    server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long all of it takes, as long as enough of it goes in each of these times."""
    monkeypatch.setattr(connection, "SENT_BYTES", 1)
    loop = asyncio.get_running_loop()
    with caller(server) as sock:
        sock.settimeout(0)
        await loop.sock_sendall(sock, head(b"GET /large HTTP/1.1", HOST))
        begin, taken = loop.time(), b""
        while not taken.endswith(LARGE):
            piece = await loop.sock_recv(sock, len(LARGE) // 32)
            assert piece, len(taken)
            taken += piece
            await asyncio.sleep(SECONDS / 10)
        assert loop.time() - begin > 2 * SECONDS


def caller(server: uvicorn.Server) -> socket.socket:
    """Return a connection whose kernel keeps little of what it is sent."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
    sock.connect(server.servers[0].sockets[0].getsockname())
    return sock


async def _alone(server: uvicorn.Server) -> bool:
    return not server.server_state.connections


async def _connected(server: uvicorn.Server) -> bool:
    return bool(server.server_state.connections)
