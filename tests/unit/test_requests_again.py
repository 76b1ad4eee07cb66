"""A request that comes again on its connection, byte for byte: it is not parsed again, and nobody sees a difference."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from steelcut.service.http.protocol import AGAIN_BYTES, HttpProtocol
from tests.flow.test_http_framing import REQUESTS

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n"
POST = b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
STREAMS = 120
# Of the event loop, in which a request is answered whatever it waits for: nothing here comes from elsewhere.
TURNS = 8


class Wire(asyncio.Transport):
    """What the protocol writes to."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.is_closed

    def close(self) -> None:
        """Close."""
        self.is_closed = True

    def get_write_buffer_size(self) -> int:
        """All is sent at once."""
        return 0

    def pause_reading(self) -> None:
        """Whoever calls ``data_received`` decides himself."""

    resume_reading = pause_reading


class Connection:
    """A connection to an application that keeps what it was asked, answers 200, and spoils what it was given."""

    def __init__(self, **options: Any) -> None:
        """Connect."""
        self.asked: list[tuple[Any, ...]] = []
        self.wire = Wire()
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            **options,
        )
        self.protocol = HttpProtocol(config, ServerState(), {"shared": 1})
        self.protocol.connection_made(self.wire)
        self.begun = 0
        begin = self.protocol.on_message_begin

        def counted() -> None:
            self.begun += 1
            begin()

        self.protocol.on_message_begin = counted  # type: ignore[method-assign]
        # The parser asked for it when it was made.
        self.protocol.parser = type(self.protocol.parser)(self.protocol)
        self.protocol.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    async def hear(self, *pieces: bytes) -> None:
        """Receive one piece after the other, each when what came before is answered as far as it can be."""
        for piece in pieces:
            self.protocol.data_received(piece)
            for _ in range(TURNS * (1 + piece.count(b" HTTP/"))):
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Hang up, and let nothing wait for what will not come."""
        self.protocol.connection_lost(None)
        while self.protocol.tasks:
            await asyncio.wait(self.protocol.tasks)

    async def _serve(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        # All but what is another object at each connection.
        said = {name: value for name, value in scope.items() if name != "headers"}
        path, fields, content, more = scope["path"], list(scope["headers"]), b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            assert message["type"] == "http.request"
            content += message["body"]
            more = message["more_body"]
        self.asked.append((path, repr(sorted(said.items())), fields, content))
        scope["headers"].clear()  # type: ignore[attr-defined] # a list
        scope["path"] = "/elsewhere"
        scope["state"]["left"] = "behind"
        scope["log"] = {}  # type: ignore[typeddict-unknown-key] # as the boundary adds it
        length = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": length, "trailers": False})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @property
    def heard(self) -> list[tuple[str, bytes]]:
        """The path and the content of each request."""
        return [(path, content) for path, _, _, content in self.asked]

    @property
    def answers(self) -> int:
        """How many there were."""
        return self.wire.written.count(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_the_same_bytes_are_the_same_request(request_: bytes) -> None:
    """And are parsed once, whatever the application did to what it was given."""
    connection = Connection()
    await connection.hear(*[request_] * 3)
    assert connection.answers == 3
    first, *others = connection.asked
    assert others == [first, first]
    assert connection.begun == 1
    await connection.end()


async def test_other_bytes_are_another_request() -> None:
    """Also between two that are the same."""
    connection = Connection()
    await connection.hear(GET, POST, GET, GET.replace(b"Bearer t", b"Bearer u"), GET)
    assert [fields[-1][1] for _, _, fields, _ in connection.asked] == [
        *(b"Bearer t", b"5", b"Bearer t", b"Bearer u", b"Bearer t")
    ]
    assert connection.begun == 5
    await connection.end()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(GET.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(GET.replace(b"Host", b"Connection: close\r\nHost"), id="the last of its connection"),
        pytest.param(GET.replace(b"Host", b"X: " + b"x" * AGAIN_BYTES + b"\r\nHost"), id="large"),
    ],
)
async def test_what_ends_a_connection_or_is_large_is_not_kept(request_: bytes) -> None:
    """Neither is there to come again."""
    connection = Connection()
    await connection.hear(request_)
    assert connection.answers == 1
    assert connection.protocol._latest is None
    await connection.end()


async def test_same_bytes_while_the_first_is_being_answered() -> None:
    """Wait for their turn."""
    connection = Connection()
    connection.protocol.data_received(POST)
    connection.protocol.data_received(POST)
    await connection.hear(POST)
    assert connection.answers == 3
    assert connection.heard == [("/token", b"hello")] * 3
    await connection.end()


async def test_too_many_connections_refuse_also_what_comes_again() -> None:
    """A connection that was there before the others is told to go like these."""
    connection = Connection(limit_concurrency=1)
    await connection.hear(GET, GET)
    assert not any("overloaded" in said for _, said, _, _ in connection.asked)
    connection.protocol.connections.add(HttpProtocol(connection.protocol.config, ServerState(), {}))
    await connection.hear(GET)
    assert "overloaded" in connection.asked[-1][1]
    assert connection.wire.is_closed
    await connection.end()


async def test_content_that_reads_like_the_request_before_it_is_content() -> None:
    """What came again amid another request is no request."""
    connection = Connection()
    await connection.hear(GET, _post_of(GET), GET, GET)
    assert connection.heard == [("/a", b""), ("/b", GET), ("/a", b"")]
    await connection.end()


async def test_piece_that_began_as_content_is_read_anew() -> None:
    """When it comes again, its begin may be a request."""
    connection = Connection()
    await connection.hear(_post_of(GET), GET + POST, GET + POST)
    assert connection.heard == [("/b", GET), ("/token", b"hello"), ("/a", b""), ("/token", b"hello")]
    await connection.end()


async def test_several_requests_in_one_piece_come_again_as_several() -> None:
    """All of them, and in their order."""
    connection = Connection()
    await connection.hear(*[GET + POST] * 2)
    assert connection.heard == [("/a", b""), ("/token", b"hello")] * 2
    await connection.end()


async def test_begin_of_the_next_request_is_not_forgotten() -> None:
    """Where a piece ends amid another request, the same piece again goes on with that."""
    connection = Connection()
    piece = GET + _post_of(GET)
    await connection.hear(piece, piece, GET, GET)
    assert connection.heard == [("/a", b""), ("/b", GET), ("/b", GET), ("/a", b"")]
    await connection.end()


async def test_pieces_that_are_the_same_are_no_requests_for_that() -> None:
    """However a stream is cut, and however often a piece comes again: the same requests are heard."""
    for seed in range(STREAMS):
        chance = random.Random(seed)  # noqa: S311 - the same streams at every run
        chosen, times = chance.choices(REQUESTS, k=chance.randint(1, 2)), chance.randint(2, 6)
        repeated = b"".join(request for request, _ in chosen)
        raw = repeated * times + chance.choice([b"", b"\r\n"])
        # Cut at the same places each time that it comes, and perhaps elsewhere.
        cuts = {place % len(repeated) for place in chance.sample(range(len(raw)), chance.randint(0, 3))}
        places = {cut + begin for cut in cuts for begin in range(0, len(raw), len(repeated))}
        places |= set(chance.sample(range(len(raw)), chance.choice([0, 0, 0, 2])))
        whole, cut = Connection(), Connection()
        # Byte for byte: none of the pieces is a request.
        await whole.hear(*(bytes([byte]) for byte in raw))
        await cut.hear(*_pieces(raw, places))
        assert cut.asked == whole.asked, seed
        assert cut.answers == whole.answers == len(chosen) * times, seed
        await whole.end()
        await cut.end()


def _post_of(content: bytes) -> bytes:
    """Return the head of a request with ``content``, which is to follow."""
    return b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content)


def _pieces(raw: bytes, places: Iterable[int]) -> Iterable[bytes]:
    edges = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    return (raw[begin:end] for begin, end in itertools.pairwise(edges))
