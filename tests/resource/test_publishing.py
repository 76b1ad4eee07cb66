"""Publishing documents: what is taken, under which names, and what is refused with which place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_service import documents
from resource_service.documents import check_json
from resource_service.errors import DocumentError, NotFound, NotJSON
from resource_service.names import RESERVED
from steelcut.service.database.connecting import connect
from tests.support.databases import Databases


@pytest.fixture
async def owner(databases: Databases) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The publisher's connection."""
    connection = await connect(databases.resource.owner)
    yield connection
    await connection.close()


async def test_published_document_is_read_back(owner: Any) -> None:
    """What is published is what is read, with a tag of its own and the word whether it was new."""
    first = await documents.publish(owner, "a", None, b'{"version": 1}')
    second = await documents.publish(owner, "a", None, b'{"version": 2}')
    assert (first.created, second.created) == (True, False)
    assert first.etag != second.etag
    assert second.published_at >= first.published_at
    read = await documents.read(owner, "a")
    assert (read.body, read.etag, read.size) == (b'{"version": 2}', second.etag, 14)


async def test_same_bytes_have_the_same_tag(owner: Any) -> None:
    """A tag belongs to the bytes: publishing the same again sends nobody a second copy."""
    first = await documents.publish(owner, "a", None, b"{}")
    assert (await documents.publish(owner, "a", None, b"{}")).etag == first.etag
    assert (await documents.publish(owner, "b", "k", b"{}")).etag == first.etag
    assert (await documents.publish(owner, "b", "k", b"{} ")).etag != first.etag


async def test_body_is_left_out_when_it_is_known_or_not_wanted(owner: Any) -> None:
    """Reading without the body still tells the tag and the size."""
    published = await documents.publish(owner, "a", None, b'{"version": 1}')
    for options in ({"with_body": False}, {"known_etags": ["x", published.etag]}):
        found = await documents.read(owner, "a", **options)
        assert (found.body, found.etag, found.size) == (None, published.etag, 14)
    assert (await documents.read(owner, "a", known_etags=["x"])).body == b'{"version": 1}'


async def test_list_and_delete(owner: Any) -> None:
    """The publisher sees what is out, and takes back what should not be."""
    for resource, key in (("b", None), ("a", "2"), ("a", "1"), ("a", None)):
        await documents.publish(owner, resource, key, b"{}")
    listed = await documents.list_documents(owner)
    assert [(d.resource, d.key, d.size) for d in listed] == [
        ("a", None, 2),
        ("a", "1", 2),
        ("a", "2", 2),
        ("b", None, 2),
    ]
    assert [d.key for d in await documents.list_documents(owner, "a")] == [None, "1", "2"]
    assert await documents.list_documents(owner, "c") == []
    assert await documents.delete_document(owner, "a", "1")
    assert not await documents.delete_document(owner, "a", "1")
    assert await documents.delete_document(owner, "a")
    with pytest.raises(NotFound):
        await documents.read(owner, "a")
    assert (await documents.read(owner, "a", "2")).body == b"{}"


@pytest.mark.parametrize(
    "name", ["a", "A.b_c~d-e", "0", "api_v0.0.1", "x" * 128, "docs.json", "administrator"]
)
async def test_names_that_are_taken(owner: Any, name: str) -> None:
    """A name is 1 to 128 characters that need no escape in a URL (RFC 3986 §2.3)."""
    await documents.publish(owner, name, name, b"{}")
    assert (await documents.read(owner, name, name)).body == b"{}"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "-a", "_a", "~a", "a b", "a/b", "a%", "é", "a\0", "a\n", "x" * 129, "a:b"],
)
async def test_names_that_are_refused(owner: Any, name: str) -> None:
    """A name that would need an escape, or could be taken for a path, is refused with the rule."""
    with pytest.raises(DocumentError, match="1 to 128"):
        await documents.publish(owner, name, None, b"{}")
    with pytest.raises(DocumentError, match="1 to 128"):
        await documents.publish(owner, "a", name, b"{}")
    with pytest.raises(asyncpg.PostgresError):
        await owner.execute(
            "INSERT INTO documents (resource, body, etag) VALUES ($1, '{}', repeat('0', 32))", name
        )


@pytest.mark.parametrize("name", sorted(RESERVED - {".well-known"}))
async def test_reserved_names_are_refused_for_resources_alone(owner: Any, name: str) -> None:
    """A resource of a name that the service uses itself could not be reached; a key of that name can."""
    with pytest.raises(DocumentError, match="taken by the service"):
        await documents.publish(owner, name, None, b"{}")
    assert (await documents.publish(owner, "a", name, b"{}")).created


GOOD = [
    b"{}",
    b"[]",
    b"null",
    b"true",
    b'"text"',
    b"-0.1e-5",
    b" \t\r\n{}\n",
    '{"é": "Ж\U0001f600"}'.encode(),
    rb'{"escape": "\ud83d\ude00 \u0000"}',
    b'{"twice": 1, "twice": 2}',
    b"[" * 1000 + b"]" * 1000,
    b"123456789012345678901234567890",
]


@pytest.mark.parametrize("body", GOOD, ids=lambda body: body[:20])
def test_json_is_taken(body: bytes) -> None:
    """Every JSON text is taken as it is (RFC 8259)."""
    check_json(body)


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b"", 1, 1),
        (b"{", 1, 2),
        (b'{"a": 1,}', 1, 8),
        (b'{"a": 1\n "b": 2}', 2, 2),
        (b'{\n  "a": 1,\n  "b": nope\n}', 3, 8),
        (b"{'a': 1}", 1, 2),
        (b'{"a": NaN}', 1, 7),
        (b'{"a": -Infinity}', 1, 8),
        (b"[1, 2, 03]", 1, 8),
        (b'["tab\there"]', 1, 6),
        (b"{} {}", 1, 4),
        (b"{}\0", 1, 3),
        (b"// comment\n{}", 1, 1),
        (b"\xef\xbb\xbf{}", 1, 1),
        (b'{"a":\n "\xe9"}', 2, 3),
        ('{"é": "'.encode() + b"\xff", 1, 8),
        (b'"\\ud800"', 1, 2),
        ("{}".encode("utf-16-le"), 1, 2),
        (b"<html>", 1, 1),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_what_is_not_json_is_refused_with_its_place(body: bytes, line: int, column: int) -> None:
    """A file with a mistake is refused with the line and the column where an editor finds it."""
    with pytest.raises(NotJSON) as refusal:
        check_json(body)
    assert (refusal.value.line, refusal.value.column) == (line, column)
    assert f"line {line}, column {column}" in str(refusal.value)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 5000, b"[" * 5000 + b"]" * 5000, b"1e999", b"9" * 400]
)
def test_what_readers_stumble_over_is_refused(body: bytes) -> None:
    """Towers of brackets and numbers beyond a double are refused, without a crash."""
    with pytest.raises(NotJSON):
        check_json(body)


def test_size_is_bounded() -> None:
    """A document has a largest size, which the refusal names."""
    largest = b'"' + b"x" * (documents.MAX_DOCUMENT_BYTES - 2) + b'"'
    check_json(largest)
    with pytest.raises(DocumentError, match=str(documents.MAX_DOCUMENT_BYTES)):
        check_json(largest + b" ")


@given(st.binary())
def test_no_bytes_are_a_crash(body: bytes) -> None:
    """Whatever the bytes: taken as JSON, which Python's reader takes too, or refused."""
    with contextlib.suppress(NotJSON):
        check_json(body)
        json.loads(body)


async def test_bad_document_changes_nothing(owner: Any) -> None:
    """A refused document leaves the one that is published."""
    await documents.publish(owner, "a", None, b'{"good": true}')
    with pytest.raises(NotJSON):
        await documents.publish(owner, "a", None, b"{bad}")
    assert (await documents.read(owner, "a")).body == b'{"good": true}'
