"""How long a connection lasts and how it ends, whatever is said on it: below ``protocol``, which reads and serves.

Whoever is slow or silent holds a place and memory, so that all that a caller may do has its time: to send a head, to
send nothing between two requests, to send content that nobody wants any more, to take an answer.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from steelcut.service.http.answer import EndedByProtocol
from steelcut.service.http.callers import as_told
from steelcut.service.http.ending import ENDED
from steelcut.service.http.refused import refusal_of
from steelcut.service.telemetry.counting import Connections

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

HEAD_SECONDS: Final = 30.0
# How long an unread rest is thrown away after the answer.
LINGER_SECONDS: Final = 2.0
# Of an answer that waits to be sent, so much must have gone within that time, or all of it: slower than 2 KiB a second
# is nobody who still wants it.
SEND_SECONDS: Final = 30.0
SENT_BYTES: Final = 64 * 1024

_TOO_SLOW: Final = f"The head of the request did not come within {HEAD_SECONDS:g} seconds."


class Connection(HttpToolsProtocol):
    """One connection, bounded in time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        # Whether what comes next belongs to a head; between two requests it does.
        self._in_head = True
        # Whether what comes next begins a request.
        self._between = True
        # Bytes since there last was a whole head, a piece of content, or the end of a request.
        self._unbroken = 0
        # What has come and is not parsed yet: it is read when nothing waits for its answer.
        self._unread = memoryview(b"")
        # Whatever still comes is thrown away.
        self._ended = False
        # The request that is being answered, or was last; ``cycle`` is the one that came last.
        self._served: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        # One for many requests, which looks when the last of them ended: uvicorn has a new one after each.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._send_timer: asyncio.TimerHandle | None = None
        # What had not been sent when that timer began, None if the other side has caught up since.
        self._unsent: int | None = None
        self._counted: Connections = getattr(self.config, "counted_connections", None) or Connections()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin to wait for a head."""
        super().connection_made(transport)
        if self.client is not None:
            self.client = (as_told(self.client[0]), self.client[1])
        self._counted.open += 1
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and what waits: nobody will be answered."""
        self._ended = True
        self._counted.open -= 1
        for timer in (self._head_timer, self._linger_timer, self._idle_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unread = memoryview(b"")
        self.pipeline.clear()
        served = self._served
        if served is not None:
            if not served.response_complete:
                served.disconnected = True
                served.message_event.set()
            # What waited behind it, and the way on from its end, both lead back here: a circle that the garbage
            # collector would find late.
            self.cycle = served
            served.transport = self.transport

    def eof_received(self) -> bool | None:  # type: ignore[override] # as in asyncio
        """Go on with what was asked for in full: who only says that no more will come waits for the answer.

        TLS knows no such half of a connection.
        """
        if not (self._in_head and self._is_answering() and self.transport.can_write_eof()):
            return None
        self._prepare_the_end(self.cycle)
        return True

    def shutdown(self) -> None:
        """Close, after the answers that are under way: the process ends."""
        if not self._is_answering():
            self._close()
            return
        self._prepare_the_end(self.cycle)
        for cycle in (self._served, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.scope[ENDED] = True  # type: ignore[typeddict-unknown-key] # between us and the application

    def pause_writing(self) -> None:
        """Begin to watch whether the answer is taken."""
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        """Note that it was."""
        super().resume_writing()
        self._unsent = None

    def end(self) -> None:
        """Close; while there is content on its way, only our side of it at first."""
        if self._in_head and not self._ended:
            self._close()
        else:
            self._linger()

    def _is_answering(self) -> bool:
        latest: RequestResponseCycle | None = self.cycle  # None before the first request
        return latest is not None and not latest.response_complete

    def _close(self) -> None:
        """Close, when what was written has been sent: the transport alone would wait for that for ever."""
        if not self.transport.is_closing():
            self.transport.close()
            if self.transport.get_write_buffer_size():
                self._watch_sending()

    def _linger(self) -> None:
        """Say that nothing more will come, and throw away what still does: for a while, or until the other closes."""
        self._ended = True
        self._unread = memoryview(b"")
        self.pipeline.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self._throw_away_for_a_while()
        else:
            self._close()

    def _throw_away_for_a_while(self) -> None:
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self._close)

    def _prepare_the_end(self, cycle: RequestResponseCycle, *, unless_continued: bool = False) -> None:
        """Let the answer to this request end the connection, without a reset."""

        def stay() -> None:
            cycle.keep_alive = True
            cycle.transport = self.transport

        cycle.keep_alive = False
        continued = stay if unless_continued else None
        cycle.transport = EndedByProtocol(self.transport, self.end, continued)  # type: ignore[assignment]

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer what never became a request, or whose content broke off, and end the connection."""
        self._ended = True
        self._counted.refused[status] += 1
        trace_id = secrets.token_hex(16)
        self.logger.warning("refused before it was served: %d, %s (trace id %s)", status, sentence, trace_id)
        if self._in_head and self._is_answering():
            # Requests before it are being answered, and theirs are the next answers on this connection.
            self._prepare_the_end(self.cycle)
        elif not self._in_head and (self.pipeline or self.cycle.response_started):
            self._close()
        else:
            if not self._in_head:
                # Whoever reads the content hears that there will be no more.
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            common = self.server_state.default_headers
            # As far as it has come.
            to_head = not self._between and self.url != b"" and self.parser.get_method() == b"HEAD"
            self.transport.write(refusal_of(status, sentence, trace_id, common, to_head=to_head))
            self._linger()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._unbroken:
            self._refuse(408, _TOO_SLOW)
        else:
            self._close()

    def _close_if_idle(self) -> None:
        self._idle_timer = None
        if self._ended or self._unbroken or not self.cycle.response_complete:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)
        else:
            self._close()

    def _watch_sending(self) -> None:
        if self._send_timer is None:
            self._unsent = self.transport.get_write_buffer_size()
            self._send_timer = self.loop.call_later(SEND_SECONDS, self._abort_if_unsent)

    def _abort_if_unsent(self) -> None:
        self._send_timer = None
        left, before = self.transport.get_write_buffer_size(), self._unsent
        if before is not None and left > max(0, before - SENT_BYTES):
            self.logger.warning("hung up on a caller who did not take his answer: %d bytes were left", left)
            self.transport.abort()
        elif left:
            self._watch_sending()
