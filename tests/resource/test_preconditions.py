"""Changes of documents under conditions, and at the same time: no version is replaced or deleted unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from resource_service import documents
from resource_service.errors import MalformedPrecondition, PreconditionFailed
from resource_service.preconditions import EntityTags, Preconditions
from steelcut.service.database.connecting import connect
from tests.resource.publisher import JSON, PATH, Publisher
from tests.support.databases import Databases
from tests.support.system import DOCUMENT, RESOURCE
from tests.support.waiting import until

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection

pytestmark = pytest.mark.slow

ABSENT: list[tuple[dict[str, str], int]] = [
    ({"if_match": "*"}, 412),
    ({"if_match": '"x"'}, 412),
    ({"if_none_match": "*"}, 201),
    ({"if_none_match": '"x"'}, 201),
    ({"if_match": "*", "if_none_match": '"x"'}, 412),
]
# `=` stands for the tag of the document.
PRESENT: list[tuple[dict[str, str], int]] = [
    ({"if_match": "*"}, 204),
    ({"if_match": "="}, 204),
    ({"if_match": '"x", ='}, 204),
    ({"if_match": '"a,b",,=,'}, 204),
    ({"if_match": '"x"'}, 412),
    ({"if_match": "W/="}, 412),
    ({"if_match": 'W/=, "x"'}, 412),
    ({"if_match": '""'}, 412),
    ({"if_match": '"*"'}, 412),
    ({"if_none_match": "*"}, 412),
    ({"if_none_match": "="}, 412),
    ({"if_none_match": "W/="}, 412),
    ({"if_none_match": '"x", W/='}, 412),
    ({"if_none_match": '"x"'}, 204),
    ({"if_none_match": '"*"'}, 204),
    ({"if_match": "=", "if_none_match": '"x"'}, 204),
    ({"if_match": "*", "if_none_match": '"x"'}, 204),
    ({"if_match": "=", "if_none_match": "="}, 412),
    ({"if_match": "*", "if_none_match": "*"}, 412),
    ({"if_match": '"x"', "if_none_match": '"x"'}, 412),
    ({"if_unmodified_since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 204),
]


@pytest.mark.parametrize(("conditions", "status"), ABSENT, ids=str)
async def test_preconditions_where_nothing_is(
    publisher: Publisher, conditions: dict[str, str], status: int
) -> None:
    """``If-None-Match: *`` creates and never replaces; If-Match is true of nothing (RFC 9110 §13.1)."""
    path = f"{PATH}/absent"
    answer = await publisher.put(path, b"1", **conditions)
    assert answer.status_code == status
    assert (await publisher.http.get(path)).status_code == (200 if status == 201 else 404)
    await publisher.delete(path)
    # RFC 9110 §13.2.1: what would not have succeeded anyway does not fail by its preconditions.
    assert (await publisher.delete(path, **conditions)).status_code == 404


@pytest.mark.parametrize(("conditions", "status"), PRESENT, ids=str)
async def test_preconditions_where_something_is(
    publisher: Publisher, conditions: dict[str, str], status: int
) -> None:
    """A change is made if both fields are true of the document as it is, and else not at all (RFC 9110 §13.2.2)."""
    path = f"{PATH}/present"
    etag = (await publisher.put(path, b'"before"')).headers["etag"]
    sent = {name: value.replace("=", etag) for name, value in conditions.items()}
    answer = await publisher.put(path, b'"after"', **sent)
    assert answer.status_code == status
    got = await publisher.http.get(path)
    assert got.content == (b'"after"' if status == 204 else b'"before"')
    if status == 412:
        assert answer.json()["error"] == "precondition_failed"
        assert "Fetch it" in answer.json()["error_description"]

    await publisher.put(path, b'"before"')
    assert (await publisher.delete(path, **sent)).status_code == status
    assert (await publisher.http.get(path)).status_code == (404 if status == 204 else 200)


@pytest.mark.parametrize(
    "value",
    ["", ",", "x", '"x', "'x'", '"x" "y"', '*, "x"', '"x", *', "w/" + '"x"', 'W "x"', "\xff"],
)
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
async def test_precondition_that_cannot_be_read_is_not_passed_over(
    publisher: Publisher, name: str, value: str
) -> None:
    """Whoever meant to protect a version hears that it was not understood, and nothing is changed."""
    headers = {**JSON, name: value.encode("latin-1")}
    for method in ("PUT", "DELETE"):
        refused = await publisher.http.request(method, PATH, content=b"1", headers=headers)  # type: ignore[arg-type]
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert "If-Match" in refused.json()["error_description"]
    assert (await publisher.http.get(PATH)).content == DOCUMENT


def test_lines_of_a_field_are_one_list() -> None:
    """A list may be spread over several lines (RFC 9110 §5.3), but ``*`` stands alone."""
    parsed = Preconditions.parse(['"a"', 'W/"b", "c,d"'], ['W/"e"'])
    assert parsed == Preconditions(EntityTags(("a", "c,d")), EntityTags(("e",)))
    with pytest.raises(MalformedPrecondition):
        Preconditions.parse(["*", "*"], [])


@pytest.mark.parametrize("conditions", [{"if_match": "="}, {"if_none_match": "*"}], ids=str)
async def test_of_writers_at_the_same_time_one_wins(publisher: Publisher, conditions: dict[str, str]) -> None:
    """However many come with the same tag in hand, or to create the same, exactly one is not refused."""
    path = f"{PATH}/contested"
    for turn in range(5):
        await publisher.delete(path)
        etag = ""
        if "if_match" in conditions:
            etag = (await publisher.put(path, b'"%d"' % turn)).headers["etag"]
        sent = {name: value.replace("=", etag) for name, value in conditions.items()}
        answers = await asyncio.gather(*(publisher.put(path, b"%d" % n, **sent) for n in range(20)))
        winners = [answer for answer in answers if answer.is_success]
        assert len(winners) == 1
        assert {answer.status_code for answer in answers if answer not in winners} == {412}
        assert (await publisher.http.get(path)).headers["etag"] == winners[0].headers["etag"]


async def test_no_update_is_lost(publisher: Publisher) -> None:
    """Five who count up at once, each again when it was too late, count to twenty."""
    path = f"{PATH}/counter"
    await publisher.put(path, b"0")

    async def count_up(times: int) -> None:
        while times:
            got = await publisher.http.get(path)
            put = await publisher.put(path, b"%d" % (int(got.content) + 1), if_match=got.headers["etag"])
            assert put.status_code in {204, 412}
            times -= put.status_code == 204

    await asyncio.gather(*(count_up(4) for _ in range(5)))
    assert (await publisher.http.get(path)).content == b"20"


async def test_the_statement_decides_between_writers(databases: Databases) -> None:
    """A writer who waits for another one's commit is judged by what that one has left."""
    async with connected(databases) as first, connected(databases) as second:
        before = (await documents.publish(first, "a", None, b"0")).etag
        condition = Preconditions(if_match=EntityTags((before,)))
        async with first.transaction():
            await documents.publish(first, "a", None, b"1", condition)
            waiting = asyncio.ensure_future(documents.publish(second, "a", None, b"2", condition))
            await until_somebody_waits_for(first)
        with pytest.raises(PreconditionFailed):
            await waiting
        assert (await documents.read(first, "a")).body == b"1"


async def test_deletion_takes_no_version_that_came_while_it_waited(publisher: Publisher) -> None:
    """A DELETE for one version waits while that is deleted and another is put: it finds nothing, and that one stays."""
    path = f"{PATH}/put-again"
    before = (await publisher.put(path, b'"before"')).headers["etag"]
    async with connected(publisher.system.databases) as other:
        async with other.transaction():
            assert await documents.delete_document(other, RESOURCE, "put-again")
            waiting = asyncio.ensure_future(publisher.delete(path, if_match=before))
            await until_somebody_waits_for(other)
            await documents.publish(other, RESOURCE, "put-again", b'"after"')
        assert (await waiting).status_code == 404
    assert (await publisher.http.get(path)).content == b'"after"'


@asynccontextmanager
async def connected(databases: Databases) -> AsyncIterator[Connection]:
    """Connect as a publisher."""
    connection = await connect(databases.publisher)
    try:
        yield connection
    finally:
        await connection.close()


async def until_somebody_waits_for(connection: Connection) -> None:
    """Return when the transaction of ``connection`` has a lock that another one needs."""
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
    await until(lambda: connection.fetchval(waits), 5)
