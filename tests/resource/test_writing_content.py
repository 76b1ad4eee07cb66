"""What PUT takes as content: its type, its size, its bytes, its pace; and that whatever is refused changes nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from resource_service import state
from tests.resource.test_publishing import GOOD
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import DOCUMENT, GRANT, RESOURCE, System, as_owner, running_system
from tests.support.waiting import until
from tests.support.wire import Answer, Wire, exchange

PATH: Final = f"/{RESOURCE}"
JSON: Final = {"Content-Type": "application/json"}
MEBIBYTE: Final = 1024 * 1024
# Short enough to wait for, long enough for every other test of this file.
UPLOAD_SECONDS: Final = 1.0


@dataclass
class Writer:
    """A client that may read and write, with its connection and the bytes of its token's field."""

    system: System
    http: httpx.AsyncClient
    field: bytes

    async def put(self, body: bytes, path: str = PATH, **headers: str) -> httpx.Response:
        """PUT ``body``; JSON unless ``content_type`` says otherwise."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return await self.http.put(path, content=body, headers={**JSON, **named})

    def head(self, *fields: bytes, path: str = PATH) -> bytes:
        """Return the bytes of the head of a PUT."""
        begin = (f"PUT {path} HTTP/1.1".encode(), b"Host: api.example", self.field)
        return b"\r\n".join([*begin, b"Content-Type: application/json", *fields, b"", b""])

    async def is_unchanged(self) -> bool:
        """Say whether the example document is the one that was there in the beginning."""
        return (await self.http.get(PATH)).content == DOCUMENT


@pytest.fixture(scope="module")
async def writer(templates: Templates) -> AsyncIterator[Writer]:
    """A writer on a system of this file's own."""
    options = {"upload_seconds": UPLOAD_SECONDS}
    async with running_system(await templates.clone(), resource_options=options) as system:
        client = await system.register("Writer", ("read", "write"))
        async with http_client(base_url=system.resource_base) as http:
            answer = await http.post(system.token_url, data=GRANT, auth=client.basic)
            http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield Writer(system, http, f"Authorization: {http.headers['Authorization']}".encode())


@pytest.mark.parametrize("body", GOOD, ids=lambda body: body[:20])
async def test_every_json_text_is_kept_as_it_is(writer: Writer, body: bytes) -> None:
    """Scalars, doubled names, deep nesting, spaces at both ends: what was put is what is got."""
    assert (await writer.put(body, f"{PATH}/good")).is_success
    assert (await writer.http.get(f"{PATH}/good")).content == body


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b"", 1, 1),
        (b'{\n  "a": 1,\n  "b": nope\n}', 3, 8),
        (b'{"a": NaN}', 1, 7),
        (b'{"a": -Infinity}', 1, 8),
        (b"{} {}", 1, 4),
        (b"{}\0", 1, 3),
        (b"\xef\xbb\xbf{}", 1, 1),
        ('{"é": "'.encode() + b"\xff", 1, 8),
        (b"\x00\x01\x02\xff" * 1000, None, None),
        (gzip.compress(b"{}", mtime=0), None, None),
        (b"[" * 100_000, None, None),
        (b"[" * 5000 + b"]" * 5000, None, None),
        (b"1e999", None, None),
        (b"<html>", 1, 1),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
async def test_what_is_not_json_is_refused_with_its_place(
    writer: Writer, body: bytes, line: int | None, column: int | None
) -> None:
    """A publisher is told the line and the column of the mistake; the old document stays."""
    refused = await writer.put(body)
    assert refused.status_code == 400
    answer = refused.json()
    assert answer.keys() == {"error", "error_description", "line", "column"}
    assert answer["error"] == "invalid_request"
    assert answer["line"] >= 1
    assert answer["column"] >= 1
    if line is not None:
        assert (answer["line"], answer["column"]) == (line, column)
    assert "WWW-Authenticate" not in refused.headers
    assert await writer.is_unchanged()


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 204),
        ("Application/JSON", 204),
        ("application/json;charset=utf-8", 204),
        ('application/json ; Charset="UTF-8"', 204),
        ("application/json; profile=x", 204),
        ("application/json; charset=latin-1", 415),
        ("application/json; charset=utf-8; charset=utf-16", 415),
        ("application/json; charset=utf8", 415),
        ("application/vnd.example+json", 415),
        ("application/jsonp", 415),
        ("application/json, text/plain", 415),
        ("text/json", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ],
)
async def test_content_is_said_to_be_json(writer: Writer, content_type: str, status: int) -> None:
    """The type is application/json, in UTF-8, and no other: as that it will be served."""
    answer = await writer.put(DOCUMENT, content_type=content_type)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["error"] == "invalid_request"
        assert answer.headers["accept"] == "application/json"


async def test_content_without_a_type_or_with_two_is_refused(writer: Writer) -> None:
    """What nobody has named is not guessed."""
    assert (await writer.http.put(PATH, content=DOCUMENT)).status_code == 415
    doubled = [("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert (await writer.http.put(PATH, content=DOCUMENT, headers=doubled)).status_code == 415


@pytest.mark.parametrize(
    ("coding", "status"),
    [("identity", 204), ("", 204), ("gzip", 415), ("identity, gzip", 415), ("aws-chunked", 415)],
)
async def test_coded_content_is_refused(writer: Writer, coding: str, status: int) -> None:
    """Compressed content is refused before it could be taken for the document (RFC 9110 §8.4)."""
    answer = await writer.put(DOCUMENT, content_encoding=coding)
    assert answer.status_code == status
    assert answer.headers.get("accept-encoding") == (None if status == 204 else "identity")


async def test_part_of_a_document_is_refused(writer: Writer) -> None:
    """A part is not taken for the whole (RFC 9110 §14.5)."""
    refused = await writer.put(b'{"a": 1}', content_range="bytes 0-7/100")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert "Content-Range" in refused.json()["error_description"]
    assert await writer.is_unchanged()


async def test_a_mebibyte_is_taken_and_no_byte_more(writer: Writer) -> None:
    """The largest document is served as it was put; one byte more is refused, said before or found while reading."""

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for begin in range(0, len(body), 100_000):
            yield body[begin : begin + 100_000]

    largest = b'"' + b"x" * (MEBIBYTE - 2) + b'"'
    for content in (largest, chunks(largest)):
        put = await writer.http.put(f"{PATH}/large", content=content, headers=JSON)
        assert put.is_success
    assert (await writer.http.get(f"{PATH}/large")).content == largest
    for content in (largest + b" ", chunks(largest + b" "), chunks(largest * 20)):
        refused = await writer.http.put(PATH, content=content, headers=JSON)
        assert (refused.status_code, refused.json()["error"]) == (413, "invalid_request")
    assert await writer.is_unchanged()


async def test_the_limit_is_a_setting(start_system: Any) -> None:
    """An operator decides how large a document may be."""
    system: System = await start_system(resource_options={"max_document_bytes": 2048})
    client = await system.register("Writer", ("write",))
    async with http_client(base_url=system.resource_base) as http:
        token = (await http.post(system.token_url, data=GRANT, auth=client.basic)).json()["access_token"]
        headers = {**JSON, "Authorization": f"Bearer {token}"}
        for size, status in ((2048, 204), (2049, 413)):
            body = b'"' + b"x" * (size - 2) + b'"'
            assert (await http.put(PATH, content=body, headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((b"Content-Length: 1048577",), 413),
        ((b"Content-Length: 999999999999",), 413),
        ((b"Content-Length: 10", b"Content-Encoding: gzip"), 415),
        ((b"Content-Length: 10", b"Content-Range: bytes 0-9/10"), 400),
        ((b"Content-Length: 10", b'If-Match: "other"'), 412),
        ((b"Content-Length: 10", b"If-None-Match: *"), 412),
        ((b"Content-Length: 10", b"If-Match: other"), 400),
    ],
    ids=lambda value: str(value[-1]) if isinstance(value, tuple) else "",
)
async def test_nothing_is_read_of_what_the_head_condemns(
    writer: Writer, fields: tuple[bytes, ...], status: int
) -> None:
    """Whoever asks by Expect: 100-continue is spared the upload; whoever does not has his answer as soon."""
    answer = await exchange(writer.system.resource_base, writer.head(*fields))
    assert answer is not None
    assert answer.status == status
    answer, continued = await _after_expect(writer.system.resource_base, writer.head(*fields, _EXPECT))
    assert (answer.status, continued) == (status, False)
    assert answer.header("connection") == "close"


async def test_stranger_is_asked_for_no_content(writer: Writer) -> None:
    """The guard stands before the content: no token, no 100 Continue."""
    head = writer.head(b"Content-Length: 10", _EXPECT)
    for field, status in ((b"X: y", 401), (writer.field + b"x", 401)):
        answer, continued = await _after_expect(
            writer.system.resource_base, head.replace(writer.field, field)
        )
        assert (answer.status, continued) == (status, False)


async def test_good_head_is_continued(writer: Writer) -> None:
    """Whoever waits for 100 Continue gets it, and then the answer."""
    head = writer.head(b"Content-Length: %d" % len(DOCUMENT), _EXPECT)
    answer, continued = await _after_expect(writer.system.resource_base, head, DOCUMENT)
    assert (answer.status, continued) == (204, True)


@pytest.mark.parametrize("abruptly", [False, True])
@pytest.mark.parametrize("framing", [b"Content-Length: 42", b"Transfer-Encoding: chunked"], ids=repr)
async def test_caller_who_goes_away_changes_nothing(
    writer: Writer,
    framing: bytes,
    abruptly: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """What did not come to its end was never put, though it may look whole."""
    content = b'{"half": true}'
    if b"chunked" in framing:
        content = b"%x\r\n%s\r\n" % (len(content), content)
    lines = _count_gone(writer)
    async with Wire.open(writer.system.resource_base) as wire:
        await wire.send(writer.head(framing) + content)
        await wire.close(abruptly=abruptly)

    async def logged() -> bool:
        return _count_gone(writer) == lines + 1

    await until(logged, 5)
    assert await writer.is_unchanged()


async def test_broken_chunks_change_nothing(writer: Writer) -> None:
    """Content whose framing breaks off is refused, whatever came before."""
    raw = writer.head(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\nnonsense\r\n"
    answer = await exchange(writer.system.resource_base, raw)
    assert answer is not None
    assert (answer.status, answer.error) == (400, "invalid_request")
    assert await writer.is_unchanged()


@pytest.mark.parametrize("piece", [b" ", b""], ids=["trickles", "never begins"])
async def test_slow_content_is_not_waited_for(writer: Writer, piece: bytes) -> None:
    """Content that trickles is given up after its time, with 408, and the connection ends (RFC 9110 §15.5.9)."""
    async with Wire.open(writer.system.resource_base) as wire:
        await wire.send(writer.head(b"Content-Length: 1000"))

        async def trickle() -> None:
            while True:
                await wire.send(piece)
                await asyncio.sleep(UPLOAD_SECONDS / 20)

        trickling = asyncio.ensure_future(trickle())
        answer = await wire.answer()
        trickling.cancel()
        assert answer is not None
        assert (answer.status, answer.error) == (408, "invalid_request")
        assert answer.header("connection") == "close"
    assert await writer.is_unchanged()


async def test_uploads_at_once_are_bounded(writer: Writer) -> None:
    """More documents than a process can hold at once are told to come again; the memory has a bound."""
    process: state.Process = writer.system.resource_app.state.process
    for _ in range(state.MAX_UPLOADS - 1):
        await process.uploads.acquire()
    async with Wire.open(writer.system.resource_base) as wire:
        await wire.send(writer.head(b"Content-Length: %d" % len(DOCUMENT), _EXPECT))
        assert await wire.interim() == 100
        refused = await writer.put(DOCUMENT)
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        await wire.send(DOCUMENT)
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == 204
    for _ in range(state.MAX_UPLOADS - 1):
        process.uploads.release()
    assert (await writer.put(DOCUMENT)).status_code == 204


async def test_publisher_without_rights_is_an_outage(start_system: Any) -> None:
    """Rights that were taken while the process ran, or a server that only reads, are a 503 and no error of ours."""
    system: System = await start_system()
    client = await system.register("Writer", ("write",))
    owner = system.databases.resource.owner
    await as_owner(owner, lambda c: c.execute("REVOKE ALL ON documents FROM resource_publisher"))
    async with http_client(base_url=system.resource_base) as http:
        token = (await http.post(system.token_url, data=GRANT, auth=client.basic)).json()["access_token"]
        headers = {**JSON, "Authorization": f"Bearer {token}"}
        for method in ("PUT", "DELETE"):
            refused = await http.request(method, PATH, content=b"{}", headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert system.log.of(refused)["reason"] == "database: InsufficientPrivilegeError"
    assert "unexpected error" not in system.log.text


async def test_nothing_of_this_is_an_error_of_ours(writer: Writer) -> None:
    """No request of this file has met an error that was not expected."""
    assert "unexpected error" not in writer.system.log.text


_EXPECT: Final = b"Expect: 100-continue"


async def _after_expect(url: str, head: bytes, content: bytes = b"") -> tuple[Answer, bool]:
    """Send ``head``, ``content`` when it is asked for, and return the answer and whether it was."""
    async with Wire.open(url) as wire:
        await wire.send(head)
        continued = await wire.interim() == 100
        if continued:
            await wire.send(content)
        answer = await wire.answer()
        assert answer is not None
        return answer, continued


def _count_gone(writer: Writer) -> int:
    return writer.system.log.text.count('"status":499')
