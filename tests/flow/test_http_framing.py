"""Requests of every framing, one after the other on one connection, cut anywhere: each is read as what it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.system import listen, serving
from tests.support.wire import Wire

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

CONNECTIONS: Final = 60
UPGRADE: Final = b"Connection: Upgrade, keep-alive\r\nUpgrade: h2c\r\n"
CHUNKS_AND_TRAILERS: Final = b"3;a=b\r\nabc\r\n0\r\nAuthorization: x\r\nY: z\r\n\r\n"
# Each with what `echo` answers: the path, the bytes of content, the number of fields that reach the application.
REQUESTS: Final = (
    (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", b"/a 0 1"),
    (b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", b"/b 5 2"),
    (
        b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS_AND_TRAILERS,
        b"/c 3 2",
    ),
    # Its content would be the begin of a request.
    (b"POST /d HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"Content-Length: 4\r\n\r\nGET ", b"/d 4 3"),
    (
        b"POST /e HTTP/1.1\r\nHost: x\r\n"
        + UPGRADE
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"/e 2 3",
    ),
    (b"POST /f HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", b"/f 2 3"),
    (b"GET /g HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n", b"/g 0 2"),
    # The absolute form without a path.
    (b"GET http://h?x HTTP/1.1\r\nHost: x\r\n\r\n", b"/ 0 1"),
    (b"OPTIONS http://h HTTP/1.1\r\nHost: x\r\n\r\n", b"* 0 1"),
    (b"OPTIONS http://h?x HTTP/1.1\r\nHost: x\r\n\r\n", b"/ 0 1"),
)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what was understood."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    content = b"%s %d %d" % (scope["path"].encode(), size, len(scope["headers"]))
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"%d" % len(content))],
        }
    )
    await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where ``echo`` is served."""
    listener = listen()
    host, port = listener.getsockname()
    async with serving(echo, listener):
        yield f"http://{host}:{port}"


async def test_requests_are_the_same_wherever_they_are_cut(url: str) -> None:
    """How the network cuts the bytes into pieces decides nothing about where a request ends."""
    for seed in range(CONNECTIONS):
        chance = random.Random(seed)  # noqa: S311 - the same requests at every run
        chosen = chance.choices(REQUESTS, k=chance.randint(1, 12))
        raw = b"".join(request for request, _ in chosen)
        cuts = sorted(chance.sample(range(1, len(raw)), chance.randint(0, 8)))
        async with Wire.open(url) as wire:
            for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
                await wire.send(raw[begin:end])
                # Lets the server read this piece by itself.
                await asyncio.sleep(0)
            for number, (_, content) in enumerate(chosen):
                answer = await wire.answer()
                assert answer is not None, (seed, number)
                assert answer.body == content, (seed, number)
