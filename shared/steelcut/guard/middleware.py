"""A guard around a whole ASGI application; needs no framework."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from steelcut.errors import OAuthError
from steelcut.guard import metadata

if TYPE_CHECKING:
    from steelcut.guard.core import Guard

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

DENIAL_EXTENSION: Final = "websocket.http.response"
POLICY_VIOLATION: Final = 1008  # RFC 6455 §7.4.1


class GuardMiddleware:
    """Lets requests and WebSockets through to an ASGI application when ``guard`` does.

    The application finds the ``Claims`` in ``scope["state"]["claims"]``, which Starlette and FastAPI call
    ``request.state.claims``. Who is refused gets a JSON object with ``error`` and ``error_description``. The metadata
    of the resource is served to anybody.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Guard,
        *,
        scopes: Collection[str] = (),
        any_of: Collection[str] = (),
        public: Iterable[str] = (),
    ) -> None:
        """Guard ``app``: a token must grant all of ``scopes`` and, if there is any, one of ``any_of``.

        Each of ``public`` is a path that is open to anybody: that very path, below where the application is mounted,
        and nothing else, also nothing below it. Raises ``ValueError`` at a path that does not start with a slash, and
        at a scope that the guard does not know.
        """
        guard.check_scopes(*scopes, *any_of)
        self._app = app
        self._guard = guard
        self._scopes = tuple(scopes)
        self._any_of = tuple(any_of)
        self._public = frozenset([public] if isinstance(public, str) else public)
        if wrong := [path for path in self._public if not path.startswith("/")]:
            raise ValueError(f"a public path must start with a slash, which {wrong[0]!r} does not")
        self._metadata_path = metadata.path(guard)
        self._metadata = metadata.body(guard)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            raise ValueError(f"a guard cannot judge what comes by {kind}")
        path = _path(scope)
        if path in self._public:
            await self._app(scope, receive, send)
            return
        if kind == "http" and self._is_for_metadata(scope, path):
            await _answer(scope, send, 200, metadata.HEADERS, self._metadata)
            return
        try:
            claims = await self._guard.admit(_authorization(scope), self._scopes, self._any_of)
        except OAuthError as refusal:
            logging.getLogger("steelcut").info("Refused %r: %s", scope["path"], refusal.reason)
            await _refuse(scope, receive, send, refusal)
            return
        scope.setdefault("state", {})["claims"] = claims
        await self._app(scope, receive, send)

    def _is_for_metadata(self, scope: Message, path: str) -> bool:
        return scope["method"] in {"GET", "HEAD"} and self._metadata_path in {scope["path"], path}


def _path(scope: Message) -> str:
    """Return the path below where the application is mounted, as Starlette's routing sees it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :]
    return path


def _authorization(scope: Message) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]


async def _refuse(scope: Message, receive: Receive, send: Send, refusal: OAuthError) -> None:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **refusal.headers()}
    body = json.dumps(refusal.body()).encode()
    if scope["type"] == "http":
        await _answer(scope, send, refusal.status, headers, body)
        return
    await receive()  # websocket.connect: before it nothing may be sent
    if DENIAL_EXTENSION in scope.get("extensions", {}):
        await _answer(scope, send, refusal.status, headers, body)
    else:
        # The server makes a 403 of it; it has no place for a challenge.
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.error})


async def _answer(scope: Message, send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    prefix = "http.response" if scope["type"] == "http" else DENIAL_EXTENSION
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": f"{prefix}.start", "status": status, "headers": raw})
    # RFC 9110 §9.3.2: HEAD is told how long the content would be, and gets none.
    await send({"type": f"{prefix}.body", "body": b"" if scope.get("method") == "HEAD" else body})
