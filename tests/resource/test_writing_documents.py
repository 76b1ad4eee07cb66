"""Creating, replacing and deleting documents over HTTP: who may, and what comes of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.resource.publisher import JSON, PATH, Publisher, bearer
from tests.support.plain_http import http_client
from tests.support.replicas import resource_replicas
from tests.support.system import DOCUMENT, System

pytestmark = pytest.mark.slow


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
