"""Reading protected documents: bytes, tags, methods, names."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import Any

import httpx
import pytest

from resource_service import documents
from resource_service.document_endpoint import entity_tags
from tests.support.plain_http import http_client
from tests.support.system import DOCUMENT, RESOURCE, System, as_owner

ETAG = f'"{hashlib.sha256(DOCUMENT).hexdigest()[:32]}"'
PATH = f"/{RESOURCE}"


async def test_document_comes_as_it_was_published(
    resource: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    """A client with a token gets the bytes, their type, their tag, and the word that they are his alone."""
    response = await resource.get(PATH, headers=bearer)
    assert response.status_code == 200
    assert response.content == DOCUMENT
    headers = response.headers
    assert headers["content-type"] == "application/json"
    assert headers["etag"] == ETAG
    assert headers["cache-control"] == "private, no-cache"
    assert headers["vary"] == "Authorization"
    assert headers["content-length"] == str(len(DOCUMENT))
    assert len(headers["x-trace-id"]) == 32


async def test_head_tells_the_same_without_the_body(
    resource: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    """HEAD answers with the headers of GET and nothing else (RFC 9110 §9.3.2)."""
    got, head = await resource.get(PATH, headers=bearer), await resource.head(PATH, headers=bearer)
    assert (head.status_code, head.content) == (200, b"")
    own = {"date", "x-trace-id"}
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in got.headers.items() if k not in own
    }


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [
        ([ETAG], True),
        ([f"W/{ETAG}"], True),
        (["*"], True),
        ([f'"other", {ETAG}'], True),
        ([f'W/"other",W/{ETAG}'], True),
        (['"other"', ETAG], True),
        ([f'"a,b" , {ETAG}'], True),
        (['"other"'], False),
        ([ETAG.strip('"')], False),
        ([ETAG.upper()], False),
        ([ETAG[:-2] + '"'], False),
        (['""'], False),
        (['"*"'], False),
        (["**"], False),
        ([f"*, {ETAG}"], True),
        ([""], False),
        (["\xff"], False),
        (['"' * 101], False),
        (["'; DROP TABLE documents; --"], False),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_known_version_is_not_sent_again(
    resource: httpx.AsyncClient,
    bearer: dict[str, str],
    method: str,
    if_none_match: list[str],
    known: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A caller who names the tag at hand gets 304 and no body, any other the document (RFC 9110 §13.1.2)."""
    headers = [
        *(("authorization", value) for value in bearer.values()),
        *(("if-none-match", value.encode("latin-1")) for value in if_none_match),
    ]
    response = await resource.request(method, PATH, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == (304 if known else 200)
    assert response.content == (b"" if known or method == "HEAD" else DOCUMENT)
    assert response.headers["etag"] == ETAG
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["vary"] == "Authorization"


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f'"other", {ETAG}'}, 200),
        ({"If-Match": '"other"'}, 412),
        # The comparison is the strong one.
        ({"If-Match": f"W/{ETAG}"}, 412),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
        ({"If-Match": '"other"', "If-None-Match": ETAG}, 412),
        ({"If-Match": '"other"', "If-None-Match": "*"}, 412),
        ({"If-Match": ETAG.strip('"')}, 400),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_only_the_version_that_is_asked_for_is_sent(
    resource: httpx.AsyncClient, bearer: dict[str, str], method: str, conditions: dict[str, str], status: int
) -> None:
    """Who goes on with a version, and with no other, hears 412 when it has changed (RFC 9110 §13.1.1)."""
    response = await resource.request(method, PATH, headers={**bearer, **conditions})
    assert response.status_code == status
    if method == "GET" and status >= 400:
        assert response.json()["error"] == {412: "precondition_failed", 400: "invalid_request"}[status]


async def test_condition_on_what_is_not_there(resource: httpx.AsyncClient, bearer: dict[str, str]) -> None:
    """Is not looked at: without it the answer would be 404 (RFC 9110 §13.2.1)."""
    response = await resource.get(f"{PATH}/unknown", headers={**bearer, "If-Match": "*"})
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        (['"a"'], ["a"]),
        (['W/"a" , "b"'], ["a", "b"]),
        (["*"], ["*"]),
        (["a"], []),
        (['"a'], []),
        (['"\xe9"'], ["\xe9"]),
    ],
)
def test_tags_are_read_from_the_header(values: list[str], tags: list[str]) -> None:
    """What is in quotes is a tag (RFC 9110 §8.8.3)."""
    assert entity_tags([value.encode("latin-1") for value in values]) == tags


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_refused(
    resource: httpx.AsyncClient, bearer: dict[str, str], method: str
) -> None:
    """A document can be read and written and nothing else; the answer says so (RFC 9110 §15.5.6)."""
    request = resource.build_request("GET", PATH, headers=bearer)
    request.method = method
    response = await resource.send(request)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, PUT, DELETE"
    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        f"{PATH}/",
        f"{PATH}/a/b",
        "/docs/x",
        "/admin",
        "/admin/v1",
        "/verify/x",
        "/.well-known",
        "/.well-known/x",
        "/healthz/x",
        "/~name",
        "/-name",
        "/..%2f",
        "/a%20b",
        "/a%00b",
        "/%ff",
        "/%c3%a9",
        "/" + "a" * 129,
        f"{PATH}/" + "a" * 129,
        f"{PATH}%0a",
        f"{PATH}%0d%0aX-Injected:%201",
        f"{PATH};a=b",
    ],
)
async def test_path_of_no_document_is_not_found(
    resource: httpx.AsyncClient, bearer: dict[str, str], path: str
) -> None:
    """A path that no document can have is a 404 in JSON, without a redirect."""
    response = await resource.get(httpx.URL(str(resource.base_url).rstrip("/") + path), headers=bearer)
    assert response.status_code == 404, response.text
    assert response.json() == {"error": "not_found", "error_description": "There is nothing at this path."}


async def test_unknown_document_is_told_to_those_who_may_know(
    resource: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    """Which documents exist is nobody's business before the guard has let him pass."""
    for path in (f"{PATH}/unknown", f"{PATH}/~", "/unknown", "/unknown/key"):
        assert (await resource.get(path)).status_code in {401, 404}
    assert (await resource.get(f"{PATH}/unknown")).status_code == 401
    assert (await resource.get(f"{PATH}/unknown", headers=bearer)).status_code == 404
    assert (await resource.head(f"{PATH}/unknown", headers=bearer)).status_code == 404
    assert (await resource.get("/unknown", headers=bearer)).status_code == 401


async def test_escapes_in_the_path_mean_the_same_document(
    resource: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    """A letter and its percent escape are the same path (RFC 3986 §6.2.2.2)."""
    response = await resource.get("/%61pi_v0.0.1", headers=bearer)
    assert response.content == DOCUMENT


async def _publish(system: System, key: str | None, body: bytes) -> None:
    await as_owner(system.databases.resource.owner, lambda c: documents.publish(c, RESOURCE, key, body))


async def _bearer(system: System) -> dict[str, str]:
    async with http_client() as client:
        response = await client.post(
            system.token_url, data={"grant_type": "client_credentials"}, auth=system.client.basic
        )
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def test_documents_under_keys(start_system: Any) -> None:
    """A resource may hold many documents, all opened by a token for the resource."""
    system: System = await start_system()
    bodies = {key: b'{"key": "%s"}' % key.encode() for key in ("a", "B-2", "c.json", "d_~", "0", "x" * 128)}
    for key, body in bodies.items():
        await _publish(system, key, body)
    bearer = await _bearer(system)
    async with http_client(base_url=system.resource_base) as client:
        for key, body in bodies.items():
            assert (await client.get(f"{PATH}/{key}", headers=bearer)).content == body
        assert (await client.get(PATH, headers=bearer)).content == DOCUMENT
        assert (await client.get(f"{PATH}/A", headers=bearer)).status_code == 404


async def test_new_version_is_served_at_once(start_system: Any) -> None:
    """After publishing, the old tag no longer counts and the new bytes come, at every request.

    By somebody else than this process, so without a cache: with one it is served as soon as the change is heard of.
    """
    system: System = await start_system(resource_options={"cache_bytes": 0})
    bearer = await _bearer(system)
    async with http_client(base_url=system.resource_base) as client:
        for number in range(3):
            before = await client.get(PATH, headers=bearer)
            body = b'{"version": %d}' % number
            await _publish(system, None, body)
            after = await client.get(PATH, headers={**bearer, "If-None-Match": before.headers["etag"]})
            assert (after.status_code, after.content) == (200, body)
            assert after.headers["etag"] != before.headers["etag"]


async def test_documents_of_every_size(start_system: Any) -> None:
    """From two bytes to a mebibyte, what is served is what was published, to twenty clients at once."""
    system: System = await start_system()
    bearer = await _bearer(system)
    async with http_client(base_url=system.resource_base) as client:
        for size in (2, 1024, 100 * 1024, 1024 * 1024):
            body = b'"' + secrets.token_hex(size // 2 - 1).encode() + b'"'
            await _publish(system, None, body)
            # It hears of that by a connection of its own: on a busy machine that may be after the next request.
            await system.heard()
            answers = await asyncio.gather(*(client.get(PATH, headers=bearer) for _ in range(20)))
            assert all(answer.content == body for answer in answers)
            tag = {"If-None-Match": answers[0].headers["etag"]}
            assert (await client.get(PATH, headers={**bearer, **tag})).status_code == 304
            head = await client.head(PATH, headers=bearer)
            assert head.headers["content-length"] == str(size)


async def test_log_line_names_the_client_and_no_token(
    system: System, resource: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    """The operator sees who read what, and nothing with which to read it again."""
    response = await resource.get(PATH, headers=bearer)
    line = system.log.of(response)
    assert (line["client_id"], line["path"], line["status"]) == (system.client.client_id, PATH, 200)
    token = bearer["Authorization"].removeprefix("Bearer ")
    assert not any(part in system.log.text for part in token.split("."))
