"""Creating, replacing and deleting documents over HTTP: who may, what comes of it, and under which conditions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from resource_service import documents
from resource_service.errors import MalformedPrecondition, PreconditionFailed
from resource_service.preconditions import EntityTags, Preconditions
from steelcut.service.database.connecting import connect
from tests.support.databases import Databases, Templates
from tests.support.plain_http import http_client
from tests.support.replicas import resource_replicas
from tests.support.system import DOCUMENT, GRANT, RESOURCE, Registered, System, running_system
from tests.support.waiting import until

pytestmark = pytest.mark.slow

PATH = f"/{RESOURCE}"
JSON = {"Content-Type": "application/json"}


async def bearer(system: System, client: Registered) -> dict[str, str]:
    """Return the header of a fresh token for ``client``."""
    async with http_client() as http:
        answer = await http.post(system.token_url, data=GRANT, auth=client.basic)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@dataclass
class Publisher:
    """A client that may read and write, with its connection."""

    system: System
    http: httpx.AsyncClient

    async def put(self, path: str, body: bytes | str, **headers: str) -> httpx.Response:
        """PUT ``body`` as JSON; ``if_match="…"`` becomes If-Match."""
        return await self.http.put(path, content=body, headers={**JSON, **_named(headers)})

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        """DELETE, with ``headers`` as ``put`` has them."""
        return await self.http.delete(path, headers=_named(headers))


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture(scope="module")
async def publisher(templates: Templates) -> AsyncIterator[Publisher]:
    """A publisher on a system of this file's own; each test has keys of its own."""
    async with running_system(await templates.clone()) as system:
        headers = await bearer(system, await system.register("Publisher", ("read", "write")))
        base = system.resource_base
        async with http_client(base_url=base, headers=headers) as http:
            yield Publisher(system, http)


async def test_document_is_created_replaced_and_deleted(publisher: Publisher) -> None:
    """201 and its place when it is new, 204 when it was there; what is put is what is got, until it is deleted."""
    path = f"{PATH}/life"
    created = await publisher.put(path, b'{ "version" : 1 }\r\n')
    assert (created.status_code, created.content) == (201, b"")
    assert created.headers["location"] == f"{publisher.system.resource_base}{path}"
    got = await publisher.http.get(created.headers["location"])
    assert (got.content, got.headers["etag"]) == (b'{ "version" : 1 }\r\n', created.headers["etag"])

    replaced = await publisher.put(path, b'{"version": 2}')
    assert (replaced.status_code, replaced.content) == (204, b"")
    assert "location" not in replaced.headers
    assert replaced.headers["etag"] != created.headers["etag"]
    got = await publisher.http.get(path)
    assert (got.content, got.headers["etag"]) == (b'{"version": 2}', replaced.headers["etag"])

    deleted = await publisher.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await publisher.http.get(path)).status_code == 404
    again = await publisher.delete(path)
    assert (again.status_code, again.json()["error"]) == (404, "not_found")


async def test_document_of_the_resource_itself(publisher: Publisher) -> None:
    """The resource is a document like any other; deleting it leaves those under its keys."""
    assert (await publisher.put(f"{PATH}/stays", b"1")).status_code == 201
    assert (await publisher.put(PATH, b"2")).status_code == 204
    assert (await publisher.delete(PATH)).status_code == 204
    assert (await publisher.http.get(PATH)).status_code == 404
    assert (await publisher.http.get(f"{PATH}/stays")).content == b"1"
    created = await publisher.put(PATH, DOCUMENT)
    assert created.status_code == 201
    assert created.headers["location"] == f"{publisher.system.resource_base}{PATH}"


async def test_same_bytes_have_the_same_tag(publisher: Publisher) -> None:
    """Whoever has a document at hand is not sent it again because somebody put the same."""
    first = await publisher.put(f"{PATH}/same", b"[1]")
    second = await publisher.put(f"{PATH}/same", b"[1]")
    assert (first.status_code, second.status_code) == (201, 204)
    assert first.headers["etag"] == second.headers["etag"]
    got = await publisher.http.get(f"{PATH}/same", headers={"If-None-Match": first.headers["etag"]})
    assert got.status_code == 304


async def test_only_the_scope_write_writes(publisher: Publisher) -> None:
    """A reader is told which scope it takes; a stranger what to bring; nothing is changed by either."""
    system = publisher.system
    reader = await bearer(system, system.client)
    for method in ("PUT", "DELETE"):
        async with http_client(base_url=system.resource_base) as http:
            refused = await http.request(method, PATH, headers={**JSON, **reader}, content=b"{}")
            stranger = await http.request(method, PATH, headers=JSON, content=b"{}")
            elsewhere = await http.request(method, "/other", headers={**JSON, **reader}, content=b"{}")
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        assert 'scope="write"' in refused.headers["www-authenticate"]
        assert stranger.status_code == 401
        assert stranger.headers["www-authenticate"].startswith('Bearer scope="write", resource_metadata=')
        assert (elsewhere.status_code, elsewhere.json()["error"]) == (401, "invalid_token")
    assert (await publisher.http.get(PATH)).content == DOCUMENT


async def test_writer_need_not_be_a_reader(publisher: Publisher) -> None:
    """The scope write alone publishes, and does not open what was published."""
    system = publisher.system
    writer = await bearer(system, await system.register("Writer", ("write",)))
    async with http_client(base_url=system.resource_base, headers=writer) as http:
        assert (await http.put(f"{PATH}/dropped", content=b"1", headers=JSON)).status_code == 201
        assert (await http.get(f"{PATH}/dropped")).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        *("/healthz", "/readyz", "/docs", "/docs/x", "/openapi.json", "/verify", "/verify/x", "/admin/v1"),
        *("/.well-known/x", f"/.well-known/oauth-protected-resource{PATH}", "/", f"{PATH}/", f"{PATH}/a/b"),
        *("/%68ealthz", "/docs%2Fx", "/..%2fx", "/~name", "/a%00b", "/" + "a" * 129, f"{PATH}/{'a' * 129}"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_what_is_no_document_cannot_be_written(publisher: Publisher, method: str, path: str) -> None:
    """The paths of the service itself, and those that no document can have, are not there to be published over."""
    url = httpx.URL(publisher.system.resource_base + path)
    refused = await publisher.http.request(method, url, content=b"{}", headers=JSON)
    assert refused.status_code in {404, 405} | ({400} if path == "/verify" else set())
    assert "PUT" not in refused.headers.get("allow", "")
    assert refused.json()["error"] in {"not_found", "invalid_request"}


async def test_allow_names_what_the_path_takes(publisher: Publisher) -> None:
    """Whoever asks for another method hears of these four (RFC 9110 §10.2.1)."""
    refused = await publisher.http.post(PATH, content=b"{}", headers=JSON)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, PUT, DELETE")


async def test_a_process_without_publisher_only_reads(start_system: Any) -> None:
    """Where the publisher's URL was not given nothing is written, and neither promised nor described."""
    system: System = await start_system(resource_options={"publisher_database_url": None})
    headers = await bearer(system, await system.register("Publisher", ("read", "write")))
    async with http_client(base_url=system.resource_base, headers=headers) as http:
        for method in ("PUT", "DELETE"):
            refused = await http.request(method, PATH, content=b"{}", headers=JSON)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert (await http.get(PATH)).content == DOCUMENT
        metadata = await http.get(f"/.well-known/oauth-protected-resource{PATH}")
        assert metadata.json()["scopes_supported"] == ["read"]
        described = (await http.get("/openapi.json")).json()["paths"]["/{resource}"]
        assert described.keys() == {"parameters", "get", "head"}


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
    first, second = await connect(databases.publisher), await connect(databases.publisher)
    try:
        before = (await documents.publish(first, "a", None, b"0")).etag
        condition = Preconditions(if_match=EntityTags((before,)))
        transaction = first.transaction()
        await transaction.start()
        await documents.publish(first, "a", None, b"1", condition)
        waiting = asyncio.ensure_future(documents.publish(second, "a", None, b"2", condition))
        await _until_it_waits(databases)
        await transaction.commit()
        with pytest.raises(PreconditionFailed):
            await waiting
        assert (await documents.read(first, "a")).body == b"1"
    finally:
        await first.close()
        await second.close()


async def _until_it_waits(databases: Databases) -> None:
    watcher = await connect(databases.resource.owner)
    try:
        await until(lambda: watcher.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"), 5)
    finally:
        await watcher.close()


async def test_log_says_who_changed_what(publisher: Publisher) -> None:
    """The operator sees the client, the change and the tag in one line, and no content."""
    created = await publisher.put(f"{PATH}/logged", b'"for few eyes"')
    replaced = await publisher.put(f"{PATH}/logged", b'"for few eyes"')
    deleted = await publisher.delete(f"{PATH}/logged")
    lines = [publisher.system.log.of(answer) for answer in (created, replaced, deleted)]
    assert [line["change"] for line in lines] == ["created", "replaced", "deleted"]
    assert [line.get("etag") for line in lines] == [created.headers["etag"].strip('"')] * 2 + [None]
    assert all(line["client_id"] for line in lines)
    assert "for few eyes" not in publisher.system.log.text


async def test_every_replica_serves_it_from_the_next_request_on(start_system: Any) -> None:
    """What one process has taken, replaced or deleted, the other one serves or serves no more.

    Without a cache; with one, the other must hear of it first.
    """
    system: System = await start_system()
    headers = await bearer(system, await system.register("Publisher", ("read", "write")))
    path = f"{PATH}/shared"
    async with resource_replicas(
        system.databases, system.issuer, system.resource_base, RESOURCE_CACHE_BYTES="0"
    ) as replicas:
        for turn in range(20):
            one, other = replicas[turn % 2].http, replicas[1 - turn % 2].http
            put = await one.put(path, content=b"%d" % turn, headers={**headers, **JSON})
            assert put.status_code == (204 if turn % 5 else 201)
            got = await other.get(path, headers=headers)
            assert (got.content, got.headers["etag"]) == (b"%d" % turn, put.headers["etag"])
            if turn % 5 == 4:
                assert (await other.delete(path, headers=headers)).status_code == 204
                assert (await one.get(path, headers=headers)).status_code == 404
