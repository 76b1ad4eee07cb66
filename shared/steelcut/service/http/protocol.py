"""HTTP/1.1 as it comes from the network: what uvicorn's httptools protocol lets pass, refused or made harmless.

What this adds to it, in the order of the danger:

- fields of a trailer section are dropped. Merged into the head, one named Authorization would authenticate
  (RFC 9110 §6.5.1);
- a request to upgrade the protocol is served as if it had not asked (RFC 9110 §7.8), with its body, which otherwise
  would be read as the next request;
- the head, and every stretch of bytes that is neither head nor content, is bounded in size and in time;
- HTTP/1.1 without exactly one Host is refused (RFC 9112 §3.2);
- an answer that is given before the whole request was read gets to the caller: a socket that is closed with unread
  bytes resets the connection, and the answer is lost on the way (RFC 9112 §9.6).

A request that comes whole and well costs a few comparisons more than it did: no object, no timer, no copy. One that
comes again on its connection, byte for byte, is not parsed again (ADR 0037): what the parser said of it then, it would
say again. Everything else is done anew, who asks and what he may do above all.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from steelcut.service.http import head
from steelcut.service.http.answer import Cycle, EndedByProtocol, common_of
from steelcut.service.http.callers import as_told
from steelcut.service.http.overload import OVERLOADED, turn_of
from steelcut.service.http.refused import MALFORMED, RefusedError, refusal_of
from steelcut.service.telemetry.counting import REFUSED_FOR, Connections

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from steelcut.service.http.ending import Ending

HEAD_SECONDS: Final = 30.0
# How long an unread rest is thrown away after the answer.
LINGER_SECONDS: Final = 2.0
# How large a request may be of which is kept what the parser said: for each connection, for as long as it is there.
AGAIN_BYTES: Final = 4096

_NO_TUNNEL: Final = "This is no proxy: there is nothing to connect to."
_TOO_SLOW: Final = f"The head of the request did not come within {HEAD_SECONDS:g} seconds."
_NO_CONTENT: Final = (
    f"There are more than {head.MAX_HEAD_BYTES} bytes between two pieces of the content, or after it."
)


class _Latest(NamedTuple):
    """A request that came whole, in one piece, and whose connection stays: all that the parser said of it."""

    data: bytes
    scope: HTTPScope
    fields: Sequence[tuple[bytes, bytes]]
    content: bytes


class HttpProtocol(HttpToolsProtocol):
    """One connection; ``http=HttpProtocol, ws="none"`` for uvicorn, whose ``limit_concurrency`` is of connections."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        # Whether what comes next belongs to a head; between two requests it does.
        self._in_head = True
        # Bytes since there last was a whole head, a piece of content, or the end of a request.
        self._unbroken = 0
        self._hosts = 0
        # Whether what comes next begins a request, and how many have begun in the piece that came last.
        self._between = True
        self._begun = 0
        # What came last, if it may be repeated.
        self._latest: _Latest | None = None
        self.url = b""
        # Whatever still comes is thrown away.
        self._ended = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        # One for many requests, which looks when the last of them ended: uvicorn has a new one after each.
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        # Whether the process is about to end, where somebody says so.
        self._ending: Ending | None = getattr(self.config, "ending", None)
        self._turn = turn_of(self.server_state, self.config)
        self._counted: Connections = getattr(self.config, "counted_connections", None) or Connections()
        self._common = common_of(self.server_state)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin to wait for a head."""
        super().connection_made(transport)
        if self.client is not None:
            self.client = (as_told(self.client[0]), self.client[1])
        self._counted.open += 1
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._ended = True
        self._counted.open -= 1
        for timer in (self._head_timer, self._linger_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse ``data`` and start what is complete."""
        if self._ended:
            return
        latest = self._latest
        if latest is not None and data == latest.data:
            self._begin_again(latest)
            return
        between, self._begun = self._between, 0
        self._unbroken += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._feed_without_upgrade(data, upgrade)
            if self._unbroken:
                self._bound_what_is_unfinished()
            self._keep(data, whole=between and self._between and self._begun == 1)
        except RefusedError as refusal:
            self._refuse(refusal.status, refusal.sentence)
        except httptools.HttpParserError as error:
            # What a callback raises, the parser passes on as the context of its own error.
            cause = error.__context__
            if isinstance(cause, RefusedError):
                self._refuse(cause.status, cause.sentence)
            else:
                self._refuse(400, MALFORMED)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._hosts = 0
        self._between = False
        self._begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head, and none of a trailer section."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head and start to serve the request."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        version = self.parser.get_http_version()
        head.check(self.url, self.headers, version, received=self._unbroken, hosts=self._hosts)
        if self.parser.should_upgrade():
            # `_feed` comes back with a head that does not ask for it.
            if self.parser.get_method() == b"CONNECT":
                raise RefusedError(400, _NO_TUNNEL)
            return
        self._begin(version)
        self._in_head = False
        self._unbroken = 0
        if self.expect_100_continue and version != "1.1":
            # RFC 9110 §10.1.1: HTTP/1.0 knows no such answer.
            self.cycle.waiting_for_100_continue = False
        if not self.cycle.keep_alive:
            self._prepare_the_end(self.cycle)
        elif self.expect_100_continue:
            # Whether content still follows a final answer in the place of 100 nobody can know, and what comes next
            # might be taken for it: such a connection ends with its answer (RFC 9110 §10.1.1).
            self._prepare_the_end(self.cycle, unless_continued=True)

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the content."""
        self._unbroken = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that all of the request has come."""
        if self.parser.should_upgrade():
            return
        self._in_head = True
        self._between = True
        self._unbroken = 0
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        self._end_content()

    def on_response_complete(self) -> None:
        """Go on with the next request, unless this was the last."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)
            if self.scope.get(REFUSED_FOR) == OVERLOADED and self._in_head:
                self.flow.pause_reading()
                self._turn.hear_later(self.loop, self._hear_again)
        if not self._ended and not self._in_head and self.cycle.response_complete:
            # Answered before all of it was read: the rest is thrown away, but not for ever.
            self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def end(self) -> None:
        """Close; while there is content on its way, only our side of it at first."""
        if self._in_head and not self._ended:
            self.transport.close()
        else:
            self._linger()

    def _feed_without_upgrade(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        """Go on where the parser stopped, because it takes all that follows for another protocol."""
        rest = memoryview(data)
        wish: httptools.HttpParserUpgrade | None = upgrade
        while wish is not None:
            # What it has said is said again without the wish, to a new one, so that the content is found by the
            # length that the caller gave.
            rest, wish = rest[wish.args[0] :], None
            said = head.without_upgrade(
                self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers
            )
            self._unbroken = len(said)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(said)
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as another:
                wish = another

    def _begin(self, version: str) -> None:
        """Complete the scope and start to serve the request: uvicorn's ``on_headers_complete`` with our cycle."""
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        path, query = head.path_and_query(self.url)
        text = path.decode("ascii")
        scope["path"] = self.root_path + (unquote(text) if "%" in text else text)
        scope["raw_path"] = self.root_path.encode("ascii") + path
        scope["query_string"] = query
        self._serve(stays=version != "1.0" and self.parser.should_keep_alive())

    def _keep(self, data: bytes, *, whole: bool) -> None:
        """Keep what the parser said of ``data``, if it may be said again of the same bytes.

        The parser must have stood between two requests before them and after them, with one request in between.
        Nothing of this request has been served yet: its scope is still as it was parsed.
        """
        self._latest = None
        if whole and len(data) <= AGAIN_BYTES and self.cycle.keep_alive:
            self._latest = _Latest(data, self.scope.copy(), tuple(self.headers), bytes(self.cycle.body))

    def _begin_again(self, latest: _Latest) -> None:
        """Serve a request that has come again."""
        self.scope = scope = latest.scope.copy()
        # As ever: what the application may change is its own.
        self.headers = scope["headers"] = [*latest.fields]
        scope["state"] = self.app_state.copy()
        self._serve(stays=True)
        self.cycle.body += latest.content
        self._end_content()

    def _end_content(self) -> None:
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def _serve(self, *, stays: bool) -> None:
        """Start to serve the request of ``scope``; its connection ``stays`` if it is up to the caller."""
        scope = self.scope
        crowded = self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency
        if crowded:
            scope[OVERLOADED] = True  # type: ignore[typeddict-unknown-key] # between us and the application
        else:
            self._turn.take(scope, self.loop)
        before: RequestResponseCycle | None = self.cycle  # None before the first request
        last = crowded or (self._ending is not None and self._ending.is_told)
        self.cycle = Cycle(self, self._common, keep_alive=stays and not last)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            # Pipelined: it waits for the answer before it.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _bound_what_is_unfinished(self) -> None:
        if self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if self._unbroken > head.MAX_HEAD_BYTES:
            if not self._in_head:
                raise RefusedError(400, _NO_CONTENT)
            if self.url and len(self.url) > head.MAX_TARGET_BYTES:
                raise RefusedError(414, head.TARGET_TOO_LONG)
            raise RefusedError(431, head.TOO_LARGE)

    def _prepare_the_end(self, cycle: RequestResponseCycle, *, unless_continued: bool = False) -> None:
        """Let the answer to this request end the connection, without a reset."""

        def stay() -> None:
            cycle.keep_alive = True
            cycle.transport = self.transport

        cycle.keep_alive = False
        continued = stay if unless_continued else None
        cycle.transport = EndedByProtocol(self.transport, self.end, continued)  # type: ignore[assignment]

    def _close_if_idle(self) -> None:
        self._idle_timer = None
        if self._ended or self._unbroken or not self.cycle.response_complete:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)
        elif not self.transport.is_closing():
            self.transport.close()

    def _hear_again(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._unbroken:
            self._refuse(408, _TOO_SLOW)
        else:
            self.transport.close()

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
            self.transport.close()
        else:
            if not self._in_head:
                # Whoever reads the content hears that there will be no more.
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            common = self.server_state.default_headers
            self.transport.write(refusal_of(status, sentence, trace_id, common))
            self._linger()

    def _is_answering(self) -> bool:
        latest: RequestResponseCycle | None = self.cycle  # None before the first request
        return latest is not None and not latest.response_complete

    def _linger(self) -> None:
        """Say that nothing more will come, and throw away what still does: for a while, or until the other closes."""
        self._ended = True
        self.pipeline.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
