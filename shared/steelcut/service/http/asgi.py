"""The boundary around every request: trace id, log line, errors rendered once, nothing leaks.

Plain ASGI, because ``BaseHTTPMiddleware`` would cost a task per request.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from steelcut.errors import OAuthError, TemporarilyUnavailable
from steelcut.service.http.callers import TrustedProxies, parse_networks
from steelcut.service.http.ending import ENDED
from steelcut.service.http.overload import OVERLOADED, refuse
from steelcut.service.telemetry.counting import REFUSED_FOR, Outcome
from steelcut.service.telemetry.observation import Watch

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from steelcut.service.telemetry.logs import Logger

TRACE_HEADER = "X-Trace-Id"
_TRACE_FIELD = TRACE_HEADER.lower().encode()
# Not a status that anybody receives: how nginx, too, logs a caller who hung up.
CLIENT_CLOSED_REQUEST = 499
# Probes ask every few seconds; a line for each would bury the others.
QUIET_PATHS = frozenset({"/healthz", "/readyz"})

# RFC 6749 §5.1, and errors too: nothing that this service answers with JSON errors may be stored.
NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_NAMES = {404: "not_found", 405: "invalid_request", 413: "invalid_request", 431: "invalid_request"}
_SENTENCES = {
    404: "There is nothing at this path.",
    405: "This path does not take this method; the Allow header names those it takes.",
}
_CUT_SHORT = "the process ended before the request was served"
_INTERNAL_ERROR = {
    "error": "server_error",
    "error_description": "The server met an error that it did not expect. The trace id names it in the log.",
}


class JSONBytes(Response):
    """A JSON answer by orjson. ``application/json`` has no charset parameter (RFC 8259 §11)."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Serialise ``content``, unless it is bytes already."""
        return content if isinstance(content, bytes) else orjson.dumps(content)


class ExactRoute(BaseRoute):
    """One path, one method, one plain ASGI application: a route of Starlette's without the parsing."""

    def __init__(self, path: str, endpoint: ASGIApp, *, method: str) -> None:
        """Serve ``method`` at ``path``."""
        self.path = path
        self.endpoint = endpoint
        self.name = path.rpartition("/")[2]
        self.place = (method, path)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path to the letter; partially where only the method is another one."""
        if scope["type"] != "http" or scope["path"] != self.path:
            return Match.NONE, {}
        return Match.FULL if (scope["method"], self.path) == self.place else Match.PARTIAL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the endpoint does. Raises ``HTTPException`` for another method (RFC 9110 §15.5.6)."""
        method, _ = self.place
        if scope["method"] != method:
            raise HTTPException(405, headers={"Allow": method})
        await self.endpoint(scope, receive, send)


class Application(FastAPI):
    """A FastAPI application with routes that are served before its own stack is entered (ADR 0023).

    Most requests are for one or two routes. The layers that an application of FastAPI has before its first route take
    as long as a signature, and these routes need none of them.
    """

    def serve_first(self, routes: Sequence[BaseRoute], log: Logger) -> None:
        """Serve what matches one of ``routes`` fully by itself, within a boundary of its own."""
        # Where nothing has to be matched, nothing is: an exact route is found as what it is.
        self._exact = {route.place: route for route in routes if isinstance(route, ExactRoute)}
        self._first = tuple(route for route in routes if not isinstance(route, ExactRoute))
        self.watch = Watch()
        self._boundary = RequestBoundary(self, log, self.watch)
        self._proxies: TrustedProxies | None = None

    def trust(self, proxies: str) -> None:
        """Believe ``proxies``, as in the setting, about where requests come from."""
        networks = parse_networks(proxies)
        self._proxies = TrustedProxies(networks) if networks else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            if OVERLOADED in scope and scope["path"] not in QUIET_PATHS:
                await self._boundary.serve(refuse, scope, receive, send, OVERLOADED)
                return
            if self._proxies is not None:
                self._proxies.tell_caller(scope)
            exact = self._exact.get((scope["method"], scope["path"]))
            if exact is not None:
                scope["app"] = self
                await self._boundary.serve(exact.endpoint, scope, receive, send, exact.name)
                return
            for route in self._first:
                match, more = route.matches(scope)
                if match is Match.FULL:
                    scope["app"] = self
                    scope.update(more)
                    await self._boundary.serve(route.handle, scope, receive, send, route_name(route))
                    return
        await super().__call__(scope, receive, send)


class RequestBoundary:
    """ASGI middleware: gives each request a trace id and a log line, and each failure an answer.

    The trace id is ours alone: 128 random bits in hex, never taken from the caller. Handlers add what they
    know to ``scope["log"]``, a dict that becomes the fields of the line.
    """

    def __init__(self, app: ASGIApp, log: Logger, watch: Watch) -> None:
        """Wrap ``app``, write one line per request to ``log``, and let ``watch`` see them."""
        self._app = app
        self._log = log
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (or the lifespan) of the wrapped application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _sentence_for_refusal(scope, send))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self.serve(self._app, scope, receive, send)

    async def serve(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, route: str | None = None
    ) -> None:
        """Serve one request by ``app``, which may raise an ``OAuthError`` or ``HTTPException`` before it answers.

        ``route`` is the name under which it is counted; without one it is that of what answered.
        """
        started = time.perf_counter()
        trace_id = secrets.token_hex(16)
        header = (_TRACE_FIELD, trace_id.encode())
        fields: dict[str, Any] = {"trace_id": trace_id}
        scope["log"] = fields
        status = 0
        begin = self._watch.begin_span
        span = None if begin is None else begin(scope, fields)

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
            await app(scope, receive, send_traced)
        except ClientDisconnect:
            status = status or CLIENT_CLOSED_REQUEST
            fields["reason"] = "the caller went away before the end of the request"
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last resort: no traceback for callers
            answer = await self._answer_to(error, scope, begun=status != 0)
            if not status:
                await answer(scope, receive, send_traced)
        seconds = time.perf_counter() - started
        method, route = scope["method"], route or _answered_by(scope)
        kind = scope.get(REFUSED_FOR, "")
        self._watch.requests.add(route, method, status, kind, seconds)
        if span is not None:
            span.end(Outcome(route, method, status, kind), fields)
        if scope["path"] in QUIET_PATHS:
            return
        fields["method"] = method
        # The path only: a query string may carry what should not be kept.
        fields["path"] = scope["path"]
        fields["status"] = status
        fields["seconds"] = round(seconds, 6)
        self._log.info("request", **fields)

    async def _answer_to(self, error: BaseException, scope: Scope, *, begun: bool) -> Response:
        """Return how ``error`` is answered, if it can be: when an answer has ``begun``, it is for the log alone."""
        if isinstance(error, asyncio.CancelledError):
            if ENDED not in scope:
                raise error
            # The server has waited for as long as it may. Whoever asked can ask another process.
            return await render_oauth_error(Request(scope), TemporarilyUnavailable(_CUT_SHORT))
        if isinstance(error, OAuthError) and not begun:
            return await render_oauth_error(Request(scope), error)
        if isinstance(error, HTTPException) and not begun:
            return await render_http_error(Request(scope), error)
        self._log.error("unexpected error", **scope["log"], exc_info=error)
        scope[REFUSED_FOR] = "unexpected_error"
        return JSONBytes(_INTERNAL_ERROR, 500, NO_STORE)


def install(app: Application, log: Logger, *, first: Sequence[BaseRoute], proxies: str = "") -> None:
    """Put the boundary around ``app``, teach it to render our errors and the framework's, and serve ``first`` first.

    ``proxies`` are those whose word about the caller's address counts.
    """
    app.serve_first(first, log)
    app.trust(proxies)
    app.add_middleware(RequestBoundary, log=log, watch=app.watch)
    app.add_exception_handler(OAuthError, render_oauth_error)
    app.add_exception_handler(HTTPException, render_http_error)


async def render_oauth_error(request: Request, error: Exception) -> Response:
    """Answer with the wire side of an ``OAuthError``; its reason goes to the log alone (RFC 6749 §5.2)."""
    assert isinstance(error, OAuthError)  # noqa: S101 - what it is registered for
    request.scope["log"].update(error=error.error, reason=error.reason)
    request.scope[REFUSED_FOR] = error.kind
    return JSONBytes(error.body(), error.status, {**NO_STORE, **error.headers()})


async def render_http_error(request: Request, error: Exception) -> Response:
    """Answer the framework's own refusals (no such path, no such method) in the same shape."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    status = error.status_code
    name = _NAMES.get(status, "invalid_request")
    request.scope["log"].update(error=name, reason=f"HTTP {status}")
    request.scope[REFUSED_FOR] = name
    body = {"error": name, "error_description": _SENTENCES.get(status, "The request cannot be served.")}
    return JSONBytes(body, status, {**NO_STORE, **(error.headers or {})})


def route_name(route: BaseRoute) -> str:
    """Return the name under which the requests of a route are counted."""
    name: str = getattr(route, "name", None) or type(route).__name__
    return name


def _answered_by(scope: Scope) -> str:
    # What a router found, if it found anything: a name of ours, whatever the path was.
    endpoint = scope.get("endpoint")
    return "none" if endpoint is None else getattr(endpoint, "__name__", type(endpoint).__name__)


def _sentence_for_refusal(scope: Scope, send: Send) -> Send:
    async def send_sentence(message: Message) -> None:
        refusal = getattr(scope["app"].state, "refusal", None)
        if message["type"] == "lifespan.startup.failed" and refusal is not None:
            message = {**message, "message": str(refusal)}
        await send(message)

    return send_sentence
