"""An answer that is whole is written whole: one check of its head, one packet, one system call.

uvicorn writes the head, then the content, and looks at each field by itself. Most answers are told in two messages, of
which the second is the last; those are written here, and whatever is out of the ordinary is uvicorn's.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from steelcut.service.http.security_headers import POLICY, POLICY_FIELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent

# Together in one piece up to here: beyond it, two pieces for the kernel cost less than a copy.
COPIED_BYTES: Final = 16 * 1024
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304
_NEVER_HERE: Final = frozenset({b"connection", b"transfer-encoding"})
_POLICY: Final = (POLICY_FIELD.encode(), POLICY.encode())
_TRACE: Final = b"x-trace-id"
# Most answers have the same fields each time, but for the trace id; those of one answer alone push none of these out.
_HEADS_KEPT: Final = 1024


class Common:
    """The fields of every answer, as they are written: made once a second, when the date among them is another one."""

    def __init__(self) -> None:
        """Know none yet."""
        self._fields: list[tuple[bytes, bytes]] | None = None
        self._lines: bytes | None = None

    def lines(self, fields: list[tuple[bytes, bytes]]) -> bytes | None:
        """Return the lines of ``fields``, None if they cannot be written as they are."""
        # uvicorn makes a new list for a new date, and leaves the old one as it was.
        if fields is not self._fields:
            lines = [_line(name, value) for name, value in fields]
            self._lines = None if None in lines else b"".join(lines)  # type: ignore[arg-type] # there is no None
            self._fields = fields
        return self._lines


def common_of(server: object) -> Common:
    """Return the one that all connections of a server share."""
    common: Common | None = getattr(server, "common", None)
    if common is None:
        common = vars(server)["common"] = Common()
    return common


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    # As it is for nearly all requests: what is written here need not be set for each.
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _head: HTTPResponseStartEvent | None = None
    _asked = False

    def __init__(self, protocol: HttpToolsProtocol, common: Common, *, keep_alive: bool) -> None:
        """Serve the request that ``protocol`` has read the head of; ``common`` writes what every answer has."""
        self.scope = protocol.scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.access_logger = protocol.access_logger
        # Each request has its line from the boundary. Not what the protocol says: it goes by whoever has a handler.
        self.access_log = False
        self.default_headers = protocol.server_state.default_headers
        self._common = common
        self.message_event = asyncio.Event()
        self.on_response = protocol.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.body = bytearray()

    async def receive(self) -> ASGIReceiveEvent:
        """Hand on a piece of the content; once all of it has come, nothing more is read from the connection for it.

        The first time it waits for nothing: content that has not begun to come is an empty piece, after which whoever
        wants it in time can start the clock. To those that have it at once, that clock would cost more than reading.
        """
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(_CONTINUE)
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            if self.more_body:
                self.flow.resume_reading()
            if self._asked and not self.message_event.is_set():
                await self.message_event.wait()
            self._asked = True
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        content, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": content, "more_body": self.more_body}

    async def send(self, message: ASGISendEvent) -> None:
        """Take one message of the answer.

        The head waits for the message after it, as ASGI allows: until then an application that fails can still be
        answered for.
        """
        if message["type"] == "http.response.start" and self._head is None and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            if message["type"] == "http.response.body" and self._answered(head, message):
                return
            own = {name.lower() for name, _ in head.get("headers", ())}
            self.default_headers = [field for field in self.default_headers if field[0] not in own]
            await super().send(head)
        await super().send(message)

    async def send_500_response(self) -> None:
        """Answer for an application that failed: what it had told of a head is forgotten."""
        self._head = None
        await super().send_500_response()

    def _answered(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """Write an answer that is whole and ordinary, and say whether it was one."""
        content = message.get("body", b"")
        if message.get("more_body") or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return False
        status = head["status"]
        if self.scope["method"] == "HEAD":
            return False
        common = self._common.lines(self.default_headers)
        if common is None:
            return False
        written = _head(status, common, head.get("headers", ()), len(content))
        if written is None:
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        if len(content) > COPIED_BYTES:
            self.transport.writelines((written, content))
        else:
            self.transport.write(written + content)
        self.message_event.set()
        self.on_response()
        return True


def _head(status: int, common: bytes, headers: Iterable[Iterable[bytes]], size: int) -> bytes | None:
    """Return the head of an answer with a content of ``size`` bytes, None for one that needs a closer look."""
    # Pairs may be lists, which are not to be found again.
    fields: tuple[Any, ...] = tuple(map(tuple, headers))
    name, value = fields[-1] if fields else (b"", b"")
    last = b""
    if name == _TRACE and value.isalnum():
        # The one line that is another in each answer, and needs no closer look.
        fields, last = fields[:-1], b"%s: %s\r\n" % (name, value)
    lines = _lines(status, fields, size)
    return None if lines is None else b"%s%s%s%s\r\n" % (STATUS_LINE[status], common, lines, last)


@lru_cache(_HEADS_KEPT)
def _lines(status: int, headers: tuple[tuple[bytes, bytes], ...], size: int) -> bytes | None:
    """Return the lines of ``headers`` where they, and a content of ``size`` bytes, can be written as they are."""
    found = [_line(name, value) for name, value in headers]
    if None in found:
        return None
    lengths = [value for name, value in headers if name == b"content-length"]
    if status == _NOT_MODIFIED:
        # It may tell the length of what it does not carry (RFC 9110 §8.6).
        fits = not size
    elif status == _NO_CONTENT:
        fits = not size and not lengths
    else:
        fits = lengths == [b"%d" % size]
    return b"".join(found) if fits else None  # type: ignore[arg-type] # there is no None among them


@lru_cache(_HEADS_KEPT)
def _line(name: bytes, value: bytes) -> bytes | None:
    """Return the line of a field, None if it cannot be written as it is."""
    if name == _POLICY[0] and value != _POLICY[1]:
        # A page's own. Beside the one of all answers it would allow nothing: both would count.
        return None
    if not name.islower() or HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) or name in _NEVER_HERE:
        return None
    return b"%s: %s\r\n" % (name, value)


class EndedByProtocol:
    """A transport whose end is the protocol's to choose, and that tells when the caller is told to continue."""

    __slots__ = ("_continued", "_end", "_transport")

    def __init__(
        self, transport: asyncio.Transport, end: Callable[[], None], continued: Callable[[], None] | None
    ) -> None:
        """Write to ``transport``; ``end`` ends the connection, ``continued`` hears that 100 was sent."""
        self._transport = transport
        self._end = end
        self._continued = continued

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        if self._continued is not None and data == _CONTINUE:
            self._continued()
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Say what the transport says."""
        return self._transport.is_closing()

    def close(self) -> None:
        """End as the protocol wants to."""
        self._end()
