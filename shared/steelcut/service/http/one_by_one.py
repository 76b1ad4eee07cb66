"""One request of a connection after the other: served in their order, and read no faster than they are answered.

Whoever sends many before he has read an answer (RFC 9112 §9.3.2) has one place among those who wait, as everybody else
has, and the bytes of the others wait with him.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from steelcut.service.http.answer import Cycle, common_of
from steelcut.service.http.connection import Connection
from steelcut.service.http.overload import OVERLOADED, turn_of
from steelcut.service.telemetry.counting import REFUSED_FOR

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from steelcut.service.http.ending import Ending

# So much is parsed before it is seen whether requests wait for their answers: a small request takes a hundred times as
# much memory as it has bytes. More than nearly all that come one by one have.
SLICE_BYTES: Final = 4096


class OneByOne(Connection):
    """One connection, whose requests come from ``_read``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        # Whether the process is about to end, where somebody says so.
        self._ending: Ending | None = getattr(self.config, "ending", None)
        self._turn = turn_of(self.server_state, self.config)
        # Whether nothing is heard for a while, since a request was refused.
        self._is_deaf = False
        self._common = common_of(self.server_state)

    def on_response_complete(self) -> None:
        """Go on with the next request, unless this was the last."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._served.scope.get(REFUSED_FOR) == OVERLOADED and not self._ended:  # type: ignore[union-attr] # it was
            self._is_deaf = True
            self.flow.pause_reading()
            self._turn.hear_later(self.loop, self._hear_again)
        elif self.flow.read_paused:
            # As it is whenever something waits.
            self._go_on()
        if self.cycle.response_complete:
            self._idle_since = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)
            if not self._in_head and not self._ended:
                # Answered before all of it was read: the rest is thrown away, but not for ever.
                self._throw_away_for_a_while()

    def _go_on(self) -> None:
        """Serve what waits, else read: nothing is read while a request waits for the answer to another."""
        if self.pipeline:
            self._start(*self.pipeline.pop())
        if not self.pipeline:
            if self._unread:
                # Not within the application's task, of which the answer was, and perhaps its exception.
                self.loop.call_soon(self._read_on)
            else:
                self.flow.resume_reading()

    def _hear_again(self) -> None:
        self._is_deaf = False
        if not self.transport.is_closing():
            self._go_on()

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Let the lot decide of the request, one of a connection at a time, and serve it."""
        if OVERLOADED not in cycle.scope:
            self._turn.take(cycle.scope, self.loop)
        self._served = cycle
        self._start_asgi_task(cycle, app)

    def _read_on(self) -> None:
        """Read what came and was not read yet, until a request waits."""
        while self._unread and not (self.pipeline or self._is_deaf or self._ended):
            piece, self._unread = self._unread[:SLICE_BYTES], self._unread[SLICE_BYTES:]
            self._read(piece)
        if not (self.pipeline or self._is_deaf or self._ended):
            self.flow.resume_reading()

    def _read(self, piece: bytes | memoryview) -> None:
        """Parse ``piece`` and serve what begins in it."""
        raise NotImplementedError

    def _serve(self, *, stays: bool) -> None:
        """Start to serve the request of ``scope``; its connection ``stays`` if it is up to the caller."""
        scope = self.scope
        crowded = self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency
        if crowded:
            scope[OVERLOADED] = True  # type: ignore[typeddict-unknown-key] # between us and the application
        before: RequestResponseCycle | None = self.cycle  # None before the first request
        last = crowded or (self._ending is not None and self._ending.is_told)
        self.cycle = Cycle(self, self._common, keep_alive=stays and not last)
        if (before is None or before.response_complete) and not self._is_deaf:
            self._start(self.cycle, self.app)
        else:
            # Pipelined: it waits for the answer before it.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
