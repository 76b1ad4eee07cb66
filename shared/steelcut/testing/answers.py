"""The same answers over httpx without a socket, and over ASGI."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

Message = MutableMapping[str, Any]
ASGIApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Self:
        """Answer with a JSON object."""
        return cls(
            status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(document).encode()
        )


# method, URL, headers, body -> the answer, or None when nobody is there
Answerer = Callable[[str, httpx.URL, httpx.Headers, bytes], Reply | None]


def transport(answer: Answerer) -> httpx.MockTransport:
    """Return the way to ``answer`` for both clients of httpx."""

    def handle(request: httpx.Request) -> httpx.Response:
        reply = answer(request.method, request.url, request.headers, request.read())
        if reply is None:
            raise httpx.ConnectError("the issuer of this test is not available", request=request)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body)

    return httpx.MockTransport(handle)


def asgi_app(answer: Answerer) -> ASGIApp:
    """Return ``answer`` as an ASGI application."""

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        headers = httpx.Headers(scope["headers"])
        url = httpx.URL(
            scheme=scope.get("scheme", "http"),
            host="asgi.invalid",
            path=scope["path"],
            query=scope["query_string"],
        )
        reply = answer(scope["method"], url, headers, await _body(receive))
        if reply is None:
            reply = Reply.of(503, {"error": "temporarily_unavailable"}, {"Retry-After": "1"})
        raw = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        raw.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": reply.body})

    return app


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
