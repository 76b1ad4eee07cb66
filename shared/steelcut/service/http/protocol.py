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

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

import httptools

from steelcut.service.http import head
from steelcut.service.http.one_by_one import SLICE_BYTES, OneByOne
from steelcut.service.http.refused import MALFORMED, RefusedError

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

# How large a request may be of which is kept what the parser said: for each connection, for as long as it is there.
AGAIN_BYTES: Final = 4096

_LOOKED_AT: Final = frozenset({b"host", b"expect", b"transfer-encoding"})
_NO_TUNNEL: Final = "This is no proxy: there is nothing to connect to."
_NO_CONTENT: Final = (
    f"There are more than {head.MAX_HEAD_BYTES} bytes between two pieces of the content, or after it."
)


class _Latest(NamedTuple):
    """A request that came whole, in one piece, and whose connection stays: all that the parser said of it."""

    data: bytes
    scope: HTTPScope
    fields: Sequence[tuple[bytes, bytes]]
    content: bytes


class HttpProtocol(OneByOne):
    """What is said on one connection: ``http=HttpProtocol, ws="none"`` for uvicorn.

    Its ``limit_concurrency`` is of connections.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._hosts = 0
        self._host = b""
        # Whether the content is said to be coded otherwise than in chunks.
        self._coded = False
        # Whether the connection stays after this request, by the head of it.
        self._stays = False
        # How many requests have begun in the piece that came last.
        self._begun = 0
        # What came last, if it may be repeated.
        self._latest: _Latest | None = None
        self.url = b""

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, as much of it as can be answered soon, and start what is complete."""
        if self._ended:
            return
        latest = self._latest
        if latest is not None and data == latest.data:
            self._begin_again(latest)
            return
        self._latest = None
        if self._unread or len(data) > SLICE_BYTES:
            self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
            self._read_on()
            return
        between, self._begun = self._between, 0
        self._read(data)
        # The parser stood between two requests before this piece and after it, with one request in between.
        if between and self._between and self._begun == 1:
            self._keep(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._hosts = 0
        self._coded = False
        self._between = False
        self._begun += 1
        # One that begins behind another in a piece has begun to come, too.
        self._unbroken = self._unbroken or 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head, and none of a trailer section."""
        if not self._in_head:
            return
        name = name.lower()
        if name in _LOOKED_AT:
            self._look_at(name, value)
        self.headers.append((name, value))

    def _look_at(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
            self._host = value
        elif name == b"expect":
            self.expect_100_continue = self.expect_100_continue or value.lower() == b"100-continue"
        elif value != b"chunked":
            self._coded = True

    def on_headers_complete(self) -> None:
        """Check the head and start to serve the request."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        version = self.parser.get_http_version()
        # What of it had come with the end of the request before is not counted: less than a slice.
        received = self._unbroken + SLICE_BYTES
        head.check(self.url, self.headers, version, received=received, hosts=self._hosts, host=self._host)
        if self._coded:
            head.check_codings(self.headers)
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
        if self._stays and not self.parser.should_keep_alive():
            # A trailer field said so: the parser will throw away whatever comes, without a word.
            raise RefusedError(400, MALFORMED)
        self._in_head = True
        self._between = True
        self._unbroken = 0
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        self._end_content()

    def _read(self, piece: bytes | memoryview) -> None:
        self._unbroken += len(piece)
        stopped: int | None = None
        try:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                stopped = upgrade.args[0]
            # Not while that is being handled: it would be the context of what a callback raises now.
            if stopped is not None:
                self._feed_without_upgrade(piece, stopped)
            if self._unbroken:
                self._bound_what_is_unfinished()
        except RefusedError as refusal:
            self._refuse(refusal.status, refusal.sentence)
        except httptools.HttpParserError as error:
            # What a callback raises, the parser passes on as the context of its own error.
            cause = error.__context__
            if isinstance(cause, RefusedError):
                self._refuse(cause.status, cause.sentence)
            else:
                self._refuse(400, MALFORMED)

    def _feed_without_upgrade(self, piece: bytes | memoryview, stopped: int | None) -> None:
        """Go on where the parser ``stopped``, because it takes all that follows for another protocol."""
        rest = memoryview(piece)
        while stopped is not None:
            # What it has said is said again without the wish, to a new one, so that the content is found by the
            # length that the caller gave.
            rest = rest[stopped:]
            said = head.without_upgrade(
                self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers
            )
            self._unbroken = len(said)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.parser.feed_data(said)
            stopped = None
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as another:
                stopped = another.args[0]

    def _begin(self, version: str) -> None:
        """Complete the scope and start to serve the request: uvicorn's ``on_headers_complete`` with our cycle."""
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        path, query = head.path_and_query(self.url, scope["method"])
        text = path.decode("ascii")
        scope["path"] = self.root_path + (unquote(text) if "%" in text else text)
        scope["raw_path"] = self.root_path.encode("ascii") + path
        scope["query_string"] = query
        self._stays = version != "1.0" and self.parser.should_keep_alive()
        self._serve(stays=self._stays)

    def _keep(self, data: bytes) -> None:
        """Keep what the parser said of ``data``, if it may be said again of the same bytes.

        Nothing of this request has been served yet: its scope is still as it was parsed.
        """
        if len(data) <= AGAIN_BYTES and self.cycle.keep_alive:
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

    def _bound_what_is_unfinished(self) -> None:
        if self._in_head and self._head_timer is None:
            self._await_head()
        if self._unbroken > head.MAX_HEAD_BYTES:
            if not self._in_head:
                raise RefusedError(400, _NO_CONTENT)
            if self.url and len(self.url) > head.MAX_TARGET_BYTES:
                raise RefusedError(414, head.TARGET_TOO_LONG)
            raise RefusedError(431, head.TOO_LARGE)
