"""More requests than one process can answer soon: those beyond a bound are refused at once, and cheaply.

What waits for a process are the requests that came in one turn of its event loop: all of them have been read before the
first is served. Where that would be too many, the answer to the last would come late and the caller would have gone
away, or asked again. Requests that wait for a database are not counted: they are bounded where they wait, and keep
nobody else from being served.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from steelcut.errors import TemporarilyUnavailable
from steelcut.service.counting import REFUSED_FOR

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import Receive, Scope, Send

DEFAULT_WAITING: Final = 250
# What the scope of a request has that is to be refused.
OVERLOADED: Final = "overloaded"
_REFUSAL: Final = TemporarilyUnavailable("more requests than this process may let wait")
_CONTENT: Final = orjson.dumps(_REFUSAL.body())
_FIELDS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    *((name.lower().encode(), value.encode()) for name, value in _REFUSAL.headers().items()),
    (b"content-length", b"%d" % len(_CONTENT)),
)


class Turn:
    """The requests that have come in this turn of an event loop."""

    def __init__(self, most: int) -> None:
        """Let ``most`` of them be served."""
        self._most = most
        self._come = 0

    def has_room(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Count one more, and say whether it may be served."""
        if self._come == 0:
            # Before the first of them: it was asked for first.
            loop.call_soon(self._end)
        self._come += 1
        return self._come <= self._most

    def _end(self) -> None:
        self._come = 0


def turn_of(server: object, config: uvicorn.Config) -> Turn:
    """Return the one turn of all connections of a server; how much it takes says a ``WorkerConfig``."""
    turn: Turn | None = getattr(server, "turn", None)
    if turn is None:
        turn = Turn(getattr(config, "max_waiting_requests", DEFAULT_WAITING))
        vars(server)["turn"] = turn
    return turn


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI application
    """Answer 503 with Retry-After, by what was made before: refusing must cost less than serving."""
    scope["log"].update(error=_REFUSAL.error, reason=_REFUSAL.reason)
    scope[REFUSED_FOR] = OVERLOADED
    await send({"type": "http.response.start", "status": _REFUSAL.status, "headers": _FIELDS})
    await send({"type": "http.response.body", "body": _CONTENT})
