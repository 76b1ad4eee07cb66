"""Documents at hand: bounded, of a bounded age, never older than a change that was heard of, read once for all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from resource_service import documents
from resource_service.document_cache import LARGEST_SHARE, OVERHEAD_BYTES, DocumentCache, ReadyDocument
from resource_service.errors import NotFound
from steelcut.service.database.connecting import connect
from steelcut.service.database.postgres import Database
from tests.support.databases import Databases
from tests.support.plain_http import http_client
from tests.support.system import GRANT, System
from tests.support.waiting import until


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
async def owner(databases: Databases) -> AsyncIterator[Any]:
    """A connection that writes documents behind the cache's back."""
    async with connected(databases.resource.owner) as connection:
        yield connection


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Connect for the length of a block."""
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """What the cache reads from."""
    opened = await Database.open(databases.resource.runtime, application="test", pool_size=4, wait_seconds=5)
    yield opened
    await opened.close()


def cache(database: Database, clock: Clock | None = None, **options: Any) -> DocumentCache:
    """Return a cache with room for everything, unless told otherwise."""
    settings = {"max_bytes": 1 << 20, "max_age_seconds": 5.0, "stale_seconds": 60.0, **options}
    return DocumentCache(database, monotonic=clock or Clock(), **settings)


async def get(kept: DocumentCache, resource: str) -> ReadyDocument:
    """Return what a GET would be answered with."""
    ready = kept.ready(resource, "")
    if ready is None:
        ready, _ = await kept.read(resource, "", with_body=True, known_etags=())
    return ready


async def test_document_is_kept_until_its_age(database: Database, owner: Any) -> None:
    """Nobody told of the change: the old version is served for as long as it may be kept, and no longer."""
    clock = Clock()
    kept = cache(database, clock)
    await documents.publish(owner, "a", None, b"1")
    assert (await get(kept, "a")).body == b"1"
    await documents.publish(owner, "a", None, b"2")
    clock.now = 4.9
    assert (await get(kept, "a")).body == b"1"
    clock.now = 5.1
    assert (await get(kept, "a")).body == b"2"


async def test_the_least_used_leave(database: Database, owner: Any) -> None:
    """The bound is of bytes: bodies, and what each costs beside its body."""
    body = b'"%s"' % (b"x" * 998)
    kept = cache(database, max_bytes=10 * (len(body) + OVERHEAD_BYTES))
    for number in range(11):
        await documents.publish(owner, f"r{number}", None, body)
        await get(kept, f"r{number}")
    assert kept.ready("r0", "") is None
    assert all(kept.ready(f"r{number}", "") for number in range(1, 11))


async def test_large_document_pushes_nothing_out(database: Database, owner: Any) -> None:
    """It is read anew for each request, whole or, where only its tag is asked for, without its body."""
    kept = cache(database, max_bytes=LARGEST_SHARE * 2048)
    small, large = b'"small"', b'"%s"' % (b"x" * (2048 - OVERHEAD_BYTES))
    await documents.publish(owner, "small", None, small)
    published = await documents.publish(owner, "large", None, large)
    await get(kept, "small")
    assert (await get(kept, "large")).body == large
    assert kept.ready("large", "") is None
    assert kept.ready("small", "") is not None
    known, _ = await kept.read("large", "", with_body=True, known_etags=[published.etag])
    assert known.body is None


@pytest.mark.parametrize("option", ["max_bytes", "max_age_seconds"])
async def test_nothing_is_kept_where_that_is_turned_off(database: Database, owner: Any, option: str) -> None:
    """Every request reads the database."""
    options: dict[str, Any] = {option: 0}
    kept = cache(database, **options)
    for body in (b"1", b"2"):
        await documents.publish(owner, "a", None, body)
        assert (await get(kept, "a")).body == body
    assert kept.ready("a", "") is None


async def test_what_does_not_exist_is_not_kept(database: Database, owner: Any) -> None:
    """A new document is there at its first request."""
    kept = cache(database)
    with pytest.raises(NotFound):
        await get(kept, "a")
    await documents.publish(owner, "a", None, b"1")
    assert (await get(kept, "a")).body == b"1"


async def test_change_during_a_reading_is_not_missed(
    database: Database, owner: Any, databases: Databases
) -> None:
    """What was read before a change that is heard of meanwhile is not kept, and nobody else gets it."""
    kept = cache(database)
    await documents.publish(owner, "a", None, b"1")
    async with connected(databases.resource.owner) as other:
        locked = other.transaction()
        await locked.start()
        await other.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
        first = asyncio.create_task(get(kept, "a"))
        await until(lambda: _waits_for_a_lock(other), 5)
        kept.forget("a", "")
        second = asyncio.create_task(get(kept, "a"))
        await locked.rollback()
    assert (await first).body == (await second).body == b"1"
    # The second's own reading is of after the change, and kept.
    assert kept.ready("a", "") is await second
    assert await first is not await second


async def _waits_for_a_lock(connection: asyncpg.Connection[Any]) -> bool:
    waiting: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'documents'::regclass)"
    )
    return waiting


async def test_many_who_wait_read_once(database: Database, owner: Any) -> None:
    """A thundering herd is one reading; who goes away meanwhile takes nothing from the others."""
    kept = cache(database)
    await documents.publish(owner, "a", None, b"1")
    tasks = [asyncio.create_task(get(kept, "a")) for _ in range(100)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    # One object, and so one reading.
    assert len({id(answer) for answer in answers[1:]}) == 1
    assert kept.ready("a", "") is answers[1]


async def test_writer_reads_what_it_wrote(system: System) -> None:
    """A GET after a PUT or DELETE that was answered shows it: no notification is waited for."""
    writer = await system.register("Writer of many", ("read", "write"))
    url = f"{system.document_url}/written"
    async with http_client() as http:
        answer = await http.post(system.token_url, data=GRANT, auth=writer.basic)
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        for number in range(10):
            content = b"%d" % number
            await http.put(url, content=content, headers={**headers, "Content-Type": "application/json"})
            assert (await http.get(url, headers=headers)).content == content
        await http.delete(url, headers=headers)
        assert (await http.get(url, headers=headers)).status_code == 404


async def test_change_by_another_process_is_heard_of(system: System) -> None:
    """Long before the document is too old to be kept: PostgreSQL tells of it at commit."""
    kept: DocumentCache = system.resource_app.state.process.documents
    async with connected(system.databases.resource.owner) as other:
        await documents.publish(other, "heard", None, b"1")
        await get(kept, "heard")
        await documents.publish(other, "heard", None, b"2")
        await until(lambda: _is_forgotten(kept, "heard"), 1)
        assert (await get(kept, "heard")).body == b"2"
        await documents.delete_document(other, "heard")
        await until(lambda: _is_forgotten(kept, "heard"), 1)
        with pytest.raises(NotFound):
            await get(kept, "heard")


async def _is_forgotten(kept: DocumentCache, resource: str) -> bool:
    return kept.ready(resource, "") is None
