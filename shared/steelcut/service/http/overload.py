"""More requests than one process can answer soon: some are refused at once, and the others wait for little.

What waits for a process are the requests that came in one turn of its event loop: all of them have been read before the
first is served. Where that would be too many, the answer to the last would come late and the caller would have gone
away, or asked again. Requests that wait for a database are not counted: they are bounded where they wait, and keep
nobody else from being served.

Many who come in one moment may wait, since the moment passes. A crowd that stays would make everybody wait all the
time, so that only as many are served in each turn as can be in a few milliseconds (ADR 0036).
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from steelcut.errors import RETRY_AFTER_SECONDS, TemporarilyUnavailable
from steelcut.service.settings import DEFAULT_WAITING
from steelcut.service.telemetry.counting import REFUSED_FOR

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import Receive, Scope, Send

# So many who wait at once are no crowd, whatever they cost.
FEW: Final = 40
# A crowd that has been there for so long stays, until there is none for some times as long; it gets so much of a turn,
# and as many in any case as make a turn worth it.
STAYING_SECONDS: Final = 0.1
TURN_SECONDS: Final = 0.002
LEAST: Final = 8
# A connection is not heard for a while after it was refused, and one after the other is heard again: who asks again
# at once would otherwise fill each turn with refusals.
_DEAF_SECONDS: Final = 0.1
_BETWEEN_SECONDS: Final = 0.002
# What the scope of a request has that is to be refused.
OVERLOADED: Final = "overloaded"
# How much of the last moments was crowded, the latest counting most, when a crowd stays, and when it has gone.
_STAYS: Final = 0.5
_GONE: Final = 0.1
_NOTHING: Final = 1e-6
_LIFE_SECONDS: Final = STAYING_SECONDS / -math.log(1 - _STAYS)
# How much the latest turn counts in what one request takes.
_LATEST: Final = 0.2
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

    def __init__(self, most: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """Let ``most`` of them be served, and fewer of a crowd that stays; ``clock`` tells seconds."""
        self._most = most
        self._clock = clock
        self._few = min(FEW, most)
        self._least = min(LEAST, most)
        self._come: list[Any] = []
        # How much of the last moments until then, by the clock, was crowded.
        self._share = 0.0
        self._until = -math.inf
        self._stays = False
        self._seconds_each = 0.0
        self._heard_until = -math.inf
        # Connections that are not heard now: they wait as well.
        self._deaf = 0

    def take(self, scope: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Note a request; before the first of a turn is served, those that will not be are marked ``OVERLOADED``."""
        if not self._come:
            # Before the first of them: it was asked for first.
            loop.call_soon(self._begin, loop)
        self._come.append(scope)

    def hear_later(self, loop: asyncio.AbstractEventLoop, hear: Callable[[], None]) -> None:
        """Call ``hear`` when a connection is to be heard again that was refused just now."""
        now = self._clock()
        next_one = max(self._heard_until + _BETWEEN_SECONDS, now + _DEAF_SECONDS)
        # No longer than the caller was told to wait.
        self._heard_until = min(next_one, now + RETRY_AFTER_SECONDS)
        self._deaf += 1
        loop.call_later(self._heard_until - now, self._hear, hear)

    def _hear(self, hear: Callable[[], None]) -> None:
        self._deaf -= 1
        hear()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        come, self._come = self._come, []
        crowded = len(come) + self._deaf > self._few
        if not crowded and not self._share:
            return
        now = self._clock()
        self._pass(now, crowded=False)
        if crowded:
            served = min(len(come), self._room())
            # By lot: the first to be read would be the same each time, and nobody else would ever be served.
            for scope in random.sample(come, len(come) - served):  # nosec B311 - nothing is kept secret by it
                scope[OVERLOADED] = True
            loop.call_soon(self._end, now, served)

    def _room(self) -> int:
        """Return how many may be served of a crowd."""
        if not self._stays:
            return self._most
        return max(self._least, min(self._most, int(TURN_SECONDS / self._seconds_each)))

    def _end(self, began: float, served: int) -> None:
        """Learn what one request takes, with all that the turn had to do beside it."""
        now = self._clock()
        each = (now - began) / served
        self._seconds_each += (each - self._seconds_each) * (_LATEST if self._seconds_each else 1)
        self._pass(now, crowded=True)

    def _pass(self, now: float, *, crowded: bool) -> None:
        """Note whether the time until ``now`` was crowded."""
        kept = math.exp((self._until - now) / _LIFE_SECONDS)
        self._share = self._share * kept + (1 - kept if crowded else 0)
        self._until = now
        if self._share > _STAYS:
            self._stays = True
        elif self._share < _GONE:
            self._stays = False
            if self._share < _NOTHING:
                self._share = 0.0


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
