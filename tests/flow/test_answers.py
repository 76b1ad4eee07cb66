"""What the protocol writes for an application, whatever that one says: over real sockets, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.system import listen, serving
from tests.support.wire import Answer, Wire

LARGE = bytes(range(256)) * 4096
GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
Send = Callable[[dict[str, Any]], Awaitable[None]]


def start(status: int = 200, *headers: Any) -> dict[str, Any]:
    """Return the first message of an answer."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    """Return a later one."""
    return {"type": "http.response.body", "body": content, "more_body": more}


OK = start(200, (b"content-length", b"2"))
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "ok": [OK, body(b"ok")],
    "pairs-as-lists": [start(200, [b"content-length", b"2"]), body(b"ok")],
    "upper-case": [start(200, (b"Content-Length", b"2")), body(b"ok")],
    "large": [start(200, (b"content-length", b"%d" % len(LARGE))), body(LARGE)],
    "streamed": [
        start(200, (b"content-length", b"4")),
        body(b"ab", more=True),
        body(b"cd", more=True),
        body(),
    ],
    "no-content": [start(204), body()],
    "not-modified": [start(304, (b"etag", b'"a"')), body()],
    "split-value": [start(200, (b"content-length", b"2"), (b"a", b"b\r\nset-cookie: c")), body(b"ok")],
    "split-by-line-feed": [start(200, (b"content-length", b"2"), (b"a", b"b\nset-cookie: c")), body(b"ok")],
    "split-trace-id": [
        start(200, (b"content-length", b"2"), (b"x-trace-id", b"b\r\nset-cookie: c")),
        body(b"ok"),
    ],
    "split-name": [start(200, (b"content-length", b"2"), (b"a\r\nset-cookie", b"c")), body(b"ok")],
    "name-with-colon": [start(200, (b"content-length", b"2"), (b"set-cookie:", b"c")), body(b"ok")],
    "too-short": [start(200, (b"content-length", b"3")), body(b"ok")],
    "too-long": [start(200, (b"content-length", b"1")), body(b"ok")],
    "head-alone": [OK],
    "head-twice": [OK, OK, body(b"ok")],
    "content-first": [body(b"ok")],
    "nothing": [],
    "content-of-304": [start(304), body(b"ok")],
    "content-of-204": [start(204), body(b"ok")],
    "no-such-status": [start(999, (b"content-length", b"2")), body(b"ok")],
}


async def app(scope: Any, receive: Any, send: Send) -> None:
    """Answer as the path says; with ``-fails`` after it, fail after the first message."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    name = scope["path"][1:]
    for message in ANSWERS[name.removesuffix("-fails")]:
        await send(message)
        if name.endswith("-fails"):
            raise ValueError


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    """Where ``app`` is served."""
    listener = listen()
    host, port = listener.getsockname()
    async with serving(app, listener):
        yield f"http://{host}:{port}"


async def asked(url: str, name: str) -> tuple[Answer | None, Answer | None]:
    """Ask for an answer, and on the same connection for an ordinary one after it."""
    async with Wire.open(url) as wire:
        await wire.send(GET % name.encode() + GET % b"ok")
        return await wire.answer(), await wire.answer()


@pytest.mark.parametrize(
    ("name", "status", "content"),
    [
        ("ok", 200, b"ok"),
        ("pairs-as-lists", 200, b"ok"),
        ("upper-case", 200, b"ok"),
        ("large", 200, LARGE),
        ("streamed", 200, b"abcd"),
        ("no-content", 204, b""),
        ("not-modified", 304, b""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_answer_is_whole_and_the_next_one_follows(
    url: str, name: str, status: int, content: bytes
) -> None:
    """No byte is missing and none is left over, which the next answer would begin with."""
    answer, following = await asked(url, name)
    assert answer is not None
    assert (answer.status, answer.body) == (status, content)
    assert answer.header("date")
    assert following is not None
    assert (following.status, following.body) == (200, b"ok")


@pytest.mark.parametrize(
    "name", ["split-value", "split-by-line-feed", "split-trace-id", "split-name", "name-with-colon"]
)
async def test_no_field_becomes_two(url: str, name: str) -> None:
    """A field that would split the answer (RFC 9110 §5.5) is never sent, nor anything after it."""
    answer, following = await asked(url, name)
    assert answer is None or answer.status == 500
    assert answer is None or answer.header("set-cookie") is None
    assert following is None


@pytest.mark.parametrize(
    "name",
    ["head-alone", "ok-fails", "large-fails", "streamed-fails", "content-first", "nothing", "no-such-status"],
)
async def test_application_that_fails_before_its_content_is_answered_for(url: str, name: str) -> None:
    """Its head has not been sent: the caller learns that it failed, and the connection ends."""
    answer, following = await asked(url, name)
    assert answer is not None
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert answer.header("connection") == "close"
    assert following is None


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("too-short", b"ok"),
        ("too-long", b""),
        ("head-twice", b""),
        ("content-of-304", b""),
        ("content-of-204", b""),
    ],
)
async def test_answer_that_contradicts_itself_ends_the_connection(url: str, name: str, sent: bytes) -> None:
    """What was promised cannot be kept: nothing that follows may be taken for the rest of it."""
    async with Wire.open(url) as wire:
        await wire.send(GET % name.encode() + GET % b"ok")
        received = await wire.rest()
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.endswith(b"\r\n\r\n" + sent)


@pytest.mark.parametrize("name", ["ok", "large", "streamed"])
async def test_head_is_answered_without_content(url: str, name: str) -> None:
    """HEAD has the fields of GET and no content (RFC 9110 §9.3.2)."""
    async with Wire.open(url) as wire:
        await wire.send(b"HEAD /%s HTTP/1.1\r\nHost: a\r\n\r\n" % name.encode())
        answer = await wire.answer(to_head=True)
        await wire.send(GET % b"ok")
        following = await wire.answer()
    assert answer is not None
    length = sum(len(message.get("body", b"")) for message in ANSWERS[name])
    assert answer.header("content-length") == str(length)
    assert following is not None
    assert following.body == b"ok"


async def test_old_caller_gets_its_answer_and_the_end(url: str) -> None:
    """HTTP/1.0 keeps no connection here, whatever it asks for."""
    async with Wire.open(url) as wire:
        await wire.send(b"GET /large HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await wire.answer()
        assert await wire.answer() is None
    assert answer is not None
    assert (answer.header("connection"), answer.body) == ("close", LARGE)


async def test_slow_reader_gets_every_byte_in_order(url: str) -> None:
    """Twelve answers of a megabyte are asked for at once and read only then: they wait for their reader."""
    async with Wire.open(url) as wire:
        await wire.send(GET % b"large" * 12 + GET % b"ok")
        await asyncio.sleep(0.05)
        answers = [await wire.answer() for _ in range(13)]
    assert [answer.body == LARGE for answer in answers if answer][:12] == [True] * 12
    assert answers[12] is not None
    assert answers[12].body == b"ok"
