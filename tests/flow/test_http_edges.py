"""HTTP at its edges, as bytes on real sockets: refused or served correctly, never a 500, never a hang."""

from __future__ import annotations

import asyncio
import base64
from typing import Final

import httpx
import pytest

from steelcut.service.http import connection
from steelcut.service.http.head import MAX_FIELDS, MAX_HEAD_BYTES, MAX_TARGET_BYTES
from tests.flow.odd_requests import HOST, MALFORMED, RARE, chunked, head, shown
from tests.support.system import DOCUMENT, GRANT, RESOURCE, System
from tests.support.wire import Answer, Wire, exchange

FORM: Final = b"grant_type=client_credentials"
FORM_TYPE: Final = b"Content-Type: application/x-www-form-urlencoded"
PATH: Final = f"/{RESOURCE}".encode()
UPGRADE: Final = (b"Connection: upgrade", b"Upgrade: h2c")


def basic(system: System) -> bytes:
    """Return the field that authenticates the client of ``system``."""
    pair = f"{system.client.client_id}:{system.client.secret}".encode()
    return b"Authorization: Basic " + base64.b64encode(pair)


@pytest.fixture(scope="module")
async def bearer(system: System, auth: httpx.AsyncClient) -> bytes:
    """The field that opens the example document."""
    answer = await auth.post("/token", data=GRANT, auth=system.client.basic)
    return f"Authorization: Bearer {answer.json()['access_token']}".encode()


@pytest.fixture(params=["auth", "resource"])
def url(system: System, request: pytest.FixtureRequest) -> str:
    """Each service in turn."""
    return {"auth": system.issuer, "resource": system.resource_base}[request.param]


async def refused(url: str, raw: bytes, status: int) -> Answer:
    """Send ``raw``, and see that it is refused in our shape and that the connection ends."""
    async with Wire.open(url) as wire:
        await wire.send(raw)
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.error) == (status, "invalid_request")
        assert answer.header("connection") == "close"
        assert answer.header("cache-control") == "no-store"
        assert len(answer.header("x-trace-id") or "") == 32
        assert await wire.answer() is None
    return answer


async def test_trailer_does_not_authenticate_a_client(system: System) -> None:
    """Credentials that come after the content of a token request are none (RFC 9110 §6.5.1)."""
    request = head(b"POST /token HTTP/1.1", HOST, FORM_TYPE, b"Transfer-Encoding: chunked")
    answer = await exchange(system.issuer, request + chunked(FORM, trailers=(basic(system),)))
    assert answer is not None
    assert (answer.status, answer.error) == (401, "invalid_client")
    answer = await exchange(
        system.issuer, request.replace(HOST, HOST + b"\r\n" + basic(system)) + chunked(FORM)
    )
    assert answer is not None
    assert answer.status == 200


async def test_trailer_does_not_open_a_document(system: System, bearer: bytes) -> None:
    """A token in the trailer section opens nothing, neither at this request nor at the next one."""
    request = head(b"GET %s HTTP/1.1" % PATH, HOST, b"Transfer-Encoding: chunked")
    async with Wire.open(system.resource_base) as wire:
        await wire.send(request + chunked(b"x", trailers=(b"X: y", bearer)))
        await wire.send(head(b"GET %s HTTP/1.1" % PATH, HOST))
        for _ in range(2):
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 401


@pytest.mark.parametrize("field", [b"Connection: close", b"Proxy-Connection: close"], ids=bytes.decode)
async def test_trailer_does_not_swallow_what_follows(url: str, field: bytes) -> None:
    """A connection that its head lets stay is not made deaf by a trailer field: it ends, and says why."""
    request = head(b"POST /healthz HTTP/1.1", HOST, b"Transfer-Encoding: chunked")
    raw = request + chunked(b"x", trailers=(field,))
    await refused(url, raw, 400)
    await refused(url, raw + head(b"GET /healthz HTTP/1.1", HOST), 400)


@pytest.mark.parametrize("apart", [False, True], ids=["one piece", "content apart"])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d" % len(FORM), b"Transfer-Encoding: chunked"], ids=["length", "chunked"]
)
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"], ids=bytes.decode)
async def test_request_that_asks_for_an_upgrade_keeps_its_content(
    system: System,
    protocol: bytes,
    framing: bytes,
    apart: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Whoever offers another protocol is served in this one, content and all, and so is his next request."""
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: AAMAAABk")
    request = head(b"POST /token HTTP/1.1", HOST, *upgrade, FORM_TYPE, basic(system), framing)
    content = chunked(FORM[:5], FORM[5:]) if b"chunked" in framing else FORM
    async with Wire.open(system.issuer) as wire:
        for _ in range(2):
            await wire.send(request if apart else request + content)
            if apart:
                await asyncio.sleep(0.01)
                await wire.send(content)
            answer = await wire.answer()
            assert answer is not None
            assert (answer.status, answer.error) == (200, None), answer.body


async def test_content_of_an_upgrade_is_never_a_request(system: System, bearer: bytes) -> None:
    """A request that hides in the content of another is content, whatever the outer one offers."""
    hidden = head(b"GET %s HTTP/1.1" % PATH, HOST, bearer)
    outer = head(
        b"POST %s HTTP/1.1" % PATH,
        *(HOST, b"Connection: close, upgrade", b"Upgrade: h2c"),
        b"Content-Length: %d" % len(hidden),
    )
    async with Wire.open(system.resource_base) as wire:
        await wire.send(outer)
        await asyncio.sleep(0.01)
        await wire.send(hidden)
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.header("connection")) == (405, "close")
        assert await wire.answer() is None


async def test_a_thousand_upgrades_in_one_piece_are_a_thousand_answers(system: System) -> None:
    """However many requests of one piece ask for an upgrade, each has its answer."""
    request = head(b"GET /healthz HTTP/1.1", HOST, b"Connection: upgrade", b"Upgrade: h2c")
    async with Wire.open(system.issuer) as wire:
        await wire.send(request * 1000)
        for _ in range(1000):
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200


async def test_websocket_is_answered(system: System, bearer: bytes) -> None:
    """The handshake of a WebSocket is an ordinary GET here, and answered as one (RFC 9110 §7.8)."""
    handshake = (
        *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    for path, field, status in ((PATH, bearer, 200), (PATH, b"X: y", 401), (b"/", bearer, 404)):
        answer = await exchange(
            system.resource_base, head(b"GET %s HTTP/1.1" % path, HOST, field, *handshake)
        )
        assert answer is not None
        assert answer.status == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"X: y"] * (MAX_FIELDS - 1), 200),
        ([b"X: y"] * MAX_FIELDS, 431),
        ([b"X: y"] * 30_000, 431),
        ([b"X: " + b"y" * (MAX_HEAD_BYTES - 100)], 200),
        ([b"X: " + b"y" * MAX_HEAD_BYTES], 431),
        ([b"X: " + b"y" * 1000] * 80, 431),
        ([b"X: " + b"y" * 5_000_000], 431),
        ([b"x" * 5_000_000 + b": y"], 431),
    ],
    ids=["99", "100", "30,000", "64 KiB", "a little more", "many large", "5 MB value", "5 MB name"],
)
async def test_the_head_is_bounded(url: str, fields: list[bytes], status: int) -> None:
    """More fields or more bytes than anybody needs are refused with 431 (RFC 6585 §5), and the refusal arrives."""
    raw = head(b"GET /healthz HTTP/1.1", HOST, *fields)
    if status == 200:
        answer = await exchange(url, raw)
        assert answer is not None
        assert answer.status == 200
    else:
        await refused(url, raw, status)


@pytest.mark.parametrize(
    "before",
    [head(b"GET /healthz HTTP/1.1", HOST), head(b"GET /healthz HTTP/1.1", HOST, *UPGRADE)],
    ids=["plain", "upgrade"],
)
@pytest.mark.parametrize(
    "fields",
    [[b"X: y"] * MAX_FIELDS, [b"X: " + b"y" * 1000] * 80, [b"X: " + b"y" * MAX_HEAD_BYTES]],
    ids=["100", "many large", "a little more"],
)
async def test_the_second_head_of_a_piece_is_bounded(
    url: str, before: bytes, fields: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever sends it behind another request has the answer to that one, and no more; the log says why."""
    async with Wire.open(url) as wire:
        await wire.send(before + head(b"GET /healthz HTTP/1.1", HOST, *fields))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 200
        last = await wire.answer()
        assert last is None or last.status == 431
    assert "refused before it was served: 431" in caplog.text


@pytest.mark.parametrize(
    ("length", "status"), [(MAX_TARGET_BYTES - 100, 200), (MAX_TARGET_BYTES, 414), (5_000_000, 414)]
)
async def test_the_target_is_bounded(url: str, length: int, status: int) -> None:
    """A path or a query without end is refused with 414 (RFC 9112 §3)."""
    raw = head(b"GET /healthz?%s HTTP/1.1" % (b"x" * length), HOST)
    if status == 200:
        answer = await exchange(url, raw)
        assert answer is not None
        assert answer.status == 200
    else:
        await refused(url, raw, status)


async def test_a_head_without_an_end_takes_no_more_than_the_bound(url: str) -> None:
    """A head that grows and never ends is refused while it grows."""
    async with Wire.open(url) as wire:
        await wire.send(b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 431


@pytest.mark.parametrize("rest", [b"0\r\nX: ", b"0\r\n" + b"X: y\r\n" * 100, b"1;ext="], ids=repr)
async def test_trailers_and_extensions_are_bounded(system: System, rest: bytes) -> None:
    """A trailer section, or the extension of a chunk, that goes on and on ends the connection."""
    request = head(b"POST /token HTTP/1.1", HOST, FORM_TYPE, b"Transfer-Encoding: chunked")
    answer = await refused(system.issuer, request + chunked(FORM)[:-5] + rest + rest[-3:] * 200_000, 400)
    assert answer.body


async def test_large_content_is_no_large_head(system: System) -> None:
    """Only the head has the bound of the head: a form of its full size comes in one piece, and a request after it."""
    form = FORM + b"&x=" + b"y" * (60 * 1024)
    request = head(b"POST /token HTTP/1.1", HOST, FORM_TYPE, basic(system), b"Content-Length: %d" % len(form))
    async with Wire.open(system.issuer) as wire:
        await wire.send((request + form) * 4)
        for _ in range(4):
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == 200


@pytest.mark.parametrize("raw", MALFORMED, ids=shown)
async def test_what_no_good_client_sends_is_refused(url: str, raw: bytes) -> None:
    """Requests over which two readers might disagree are refused with 400, and with the connection (RFC 9112 §11.2)."""
    await refused(url, raw, 400)


@pytest.mark.parametrize(
    "raw",
    [head(b"HEAD /healthz HTTP/1.1"), b"HEAD /healthz HTTP/1.1\r\nX", b"HEAD /healthz HTTP/1.1\r\n\0"],
    ids=shown,
)
async def test_refused_head_has_no_content(url: str, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    """Where the method is known, a refusal is its head alone (RFC 9110 §9.3.2); the connection ends as ever."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    async with Wire.open(url) as wire:
        await wire.send(raw)
        answer = await wire.answer(to_head=True)
        assert answer is not None
        assert answer.status in {400, 408}
        assert int(answer.header("content-length") or 0) > 0
        assert await wire.rest() == b""


@pytest.mark.parametrize(("raw", "status"), RARE, ids=shown)
async def test_what_is_rare_but_right_is_served(url: str, raw: bytes, status: int) -> None:
    """Forms that the RFCs allow, and that few clients send, have their answers."""
    answer = await exchange(url, raw)
    assert answer is not None
    assert answer.status == status


async def test_pipelined_requests_are_answered_in_order(system: System, bearer: bytes) -> None:
    """Many requests in one piece are answered one by one, in their order, on one connection (RFC 9112 §9.3.2)."""
    requests = [
        (head(b"GET %s HTTP/1.1" % PATH, HOST, bearer), 200),
        (head(b"GET %s HTTP/1.1" % PATH, HOST), 401),
        (head(b"GET /unknown/x/y HTTP/1.1", HOST), 404),
        (head(b"POST %s HTTP/1.1" % PATH, HOST, b"Content-Length: 3") + b"abc", 405),
    ]
    async with Wire.open(system.resource_base) as wire:
        await wire.send(b"".join(raw for raw, _ in requests) * 20)
        for _, status in requests * 20:
            answer = await wire.answer()
            assert answer is not None
            assert answer.status == status


async def test_answers_before_a_malformed_request_are_not_lost(system: System, bearer: bytes) -> None:
    """What was asked for before the nonsense is answered in full; the nonsense ends the connection."""
    good = head(b"GET %s HTTP/1.1" % PATH, HOST, bearer)
    async with Wire.open(system.resource_base) as wire:
        await wire.send(good * 3 + b"nonsense\r\n\r\n" + good)
        for _ in range(3):
            answer = await wire.answer()
            assert answer is not None
            assert (answer.status, answer.body) == (200, DOCUMENT)
        assert await wire.answer() is None


async def test_early_answer_reaches_who_is_still_sending(system: System) -> None:
    """Whoever is refused in the middle of a large form reads the refusal, also when he asked to close."""
    form = FORM + b"&x=" + b"y" * 4_000_000
    for option in (b"keep-alive", b"close"):
        fields = (HOST, FORM_TYPE, b"Content-Length: %d" % len(form), b"Connection: " + option)
        answer = await exchange(system.issuer, head(b"POST /token HTTP/1.1", *fields) + form)
        assert answer is not None
        assert answer.status == 413


async def test_rest_of_an_answered_request_is_not_read_for_ever(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that nobody waits for any more is thrown away for a while, then the connection ends."""
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.05)
    async with Wire.open(system.resource_base) as wire:
        await wire.send(head(b"POST %s HTTP/1.1" % PATH, HOST, b"Content-Length: 100000") + b"x")
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 405

        async def trickle() -> None:
            while True:
                await wire.send(b"x")
                await asyncio.sleep(0.02)

        trickling = asyncio.ensure_future(trickle())
        assert await wire.answer() is None
        trickling.cancel()


@pytest.mark.parametrize(
    ("begin", "status"), [(b"", None), (b"GET /healthz HT", 408), (b"\r\n", 408)], ids=repr
)
async def test_head_that_does_not_come_is_not_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch, begin: bytes, status: int | None
) -> None:
    """A connection on which no request gets ready is closed, with 408 if one had begun (RFC 9110 §15.5.9)."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    async with Wire.open(url) as wire:
        await wire.send(begin)
        answer = await wire.answer()
        assert (answer and answer.status) == status


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "one piece"])
async def test_second_head_is_not_waited_for_either(
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    apart: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The time of a head runs at each request of a connection, wherever it has begun."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    async with Wire.open(url) as wire:
        request = head(b"GET /healthz HTTP/1.1", HOST)
        await wire.send(request if apart else request + b"GET ")
        first = await wire.answer()
        if apart:
            await wire.send(b"GET ")
        second = await wire.answer()
        assert [answer and answer.status for answer in (first, second)] == [200, 408]


async def test_caller_who_waits_for_100_gets_one_answer_and_the_end(system: System) -> None:
    """After an answer in the place of 100 Continue nobody can know what comes next, so nothing does; after 100 all."""
    fields = (HOST, FORM_TYPE, b"Content-Length: 29", b"Expect: 100-continue")
    async with Wire.open(system.resource_base) as wire:
        await wire.send(head(b"POST %s HTTP/1.1" % PATH, *fields))
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.header("connection")) == (405, "close")
        assert await wire.answer() is None
    async with Wire.open(system.issuer) as wire:
        for _ in range(2):
            await wire.send(head(b"POST /token HTTP/1.1", *fields, basic(system)))
            assert await wire.interim() == 100
            await wire.send(FORM)
            answer = await wire.answer()
            assert answer is not None
            assert (answer.status, answer.header("connection")) == (200, None)


async def test_broken_content_is_refused_and_changes_nothing_else(system: System) -> None:
    """A request whose content breaks off in nonsense has one answer; the service serves on."""
    request = head(b"POST /token HTTP/1.1", HOST, FORM_TYPE, basic(system), b"Transfer-Encoding: chunked")
    for _ in range(3):
        async with Wire.open(system.issuer) as wire:
            await wire.send(request)
            await asyncio.sleep(0.01)
            await wire.send(b"5\r\ngrant\r\nnonsense\r\n")
            answer = await wire.answer()
            assert answer is not None
            assert (answer.status, answer.error) == (400, "invalid_request")
            assert await wire.answer() is None
    answer = await exchange(system.issuer, request + chunked(FORM))
    assert answer is not None
    assert answer.status == 200


async def test_nothing_of_this_is_an_error_of_ours(system: System) -> None:
    """No request of this file has met an error that was not expected."""
    assert "unexpected error" not in system.log.text
