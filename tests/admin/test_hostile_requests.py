"""Requests that cannot be meant, or are meant badly: each a clear answer, none a 500."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import pytest

from auth_service.admin import request_body
from auth_service.admin.merge_patch import merged
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.admin.operators import kind, operating
from tests.support.outage import outage
from tests.support.system import RESOURCE, System
from tests.support.wire import Wire

GOOD = b'{"name": "x", "grants": {"api_v0.0.1": ["read"]}}'
MALFORMED = (400, "malformed-request")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (422, "invalid")),
        (b"{", MALFORMED),
        (b"null", (422, "invalid")),
        (b"[]", (422, "invalid")),
        (b'"text"', (422, "invalid")),
        (b'{"name": "x", "name": "y", "grants": {}}', MALFORMED),
        (b'{"name": "x", "grants": {"a": [], "a": []}}', MALFORMED),
        (b'{"name": "\xff"}', MALFORMED),
        (b'\xef\xbb\xbf{"name": "x"}', MALFORMED),
        (b'{"name": "\\ud800", "grants": {}}', MALFORMED),
        (b'{"\\ud800": 1}', MALFORMED),
        (b'{"metadata": {"n": NaN}}', MALFORMED),
        (b'{"metadata": {"n": 1e999}}', MALFORMED),
        (b'{"metadata": {"n": 18446744073709551616}}', MALFORMED),
        (b'{"metadata": {"n": ' + b"9" * 5000 + b"}}", MALFORMED),
        (b'{"token_lifetime_seconds": ' + b"9" * 18 + b"}", (422, "invalid")),
        (b'{"metadata": ' + b'{"a":' * 300 + b"1" + b"}" * 301, MALFORMED),
        (b"[" * 30_000, MALFORMED),
        (b'{"name": "' + b"x" * 70_000 + b'"}', (413, "body-too-large")),
    ],
)
async def test_bodies(api: httpx.AsyncClient, body: bytes, expected: tuple[int, str]) -> None:
    """Not JSON, JSON with two meanings, JSON that no database keeps, too much of it."""
    answer = await api.post("/clients", content=body, headers={"Content-Type": "application/json"})
    assert kind(answer) == expected


@pytest.mark.parametrize("begin", [b"", GOOD[:-1]], ids=["nothing", "a part"])
async def test_body_that_does_not_come(
    administered: System, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    """Is not waited for longer than 10 s, which are fewer here (RFC 9110 §15.5.9)."""
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.05)
    authorization = (await api.get("/clients")).request.headers["authorization"]
    async with Wire.open(administered.issuer) as wire:
        fields = (
            f"Authorization: {authorization}\r\nContent-Type: application/json\r\nContent-Length: {len(GOOD)}"
        )
        await wire.send(f"POST /admin/v1/clients HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode() + begin)
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert b"urn:steelcut:problem:body-too-slow" in answer.body
        assert await wire.answer() is None


@pytest.mark.parametrize(
    "media_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "a; b"],
)
async def test_media_types(api: httpx.AsyncClient, media_type: str | None) -> None:
    """415 says what to send."""
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = await api.post("/clients", content=GOOD, headers=headers)
    assert kind(answer) == (415, "unsupported-media-type")
    assert answer.headers["accept"] == "application/json"


async def test_a_coded_body_is_refused(api: httpx.AsyncClient) -> None:
    """RFC 9110 §8.4: 415 says that no coding is understood."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await api.post("/clients", content=gzip.compress(GOOD), headers=headers)
    assert kind(answer) == (415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity"


async def test_a_patch_has_two_media_types(api: httpx.AsyncClient) -> None:
    """That of RFC 7396, and plain JSON; no other request takes the first one."""
    merge = {"Content-Type": "application/merge-patch+json"}
    plain = {"Content-Type": "application/json; charset=UTF-8"}
    assert kind(await api.post("/clients", content=GOOD, headers=merge)) == (415, "unsupported-media-type")
    made = await api.post("/clients", content=GOOD, headers=plain)
    path = f"/clients/{made.json()['client_id']}"
    for headers in (merge, plain):
        answer = await api.patch(path, content=b'{"name": "y"}', headers={**headers, "If-Match": "*"})
        assert answer.status_code == 200
    twice = [("Content-Type", "application/json"), ("Content-Type", "application/json"), ("If-Match", "*")]
    answer = await api.patch(path, content=b"{}", headers=twice)
    assert kind(answer) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "path",
    [
        "/clients?unknown=1",
        "/clients?limit=1&limit=2",
        "/clients?limit=0",
        "/clients?limit=1001",
        "/clients?limit=99999999999999999999999999",
        "/clients?limit=1.5",
        "/clients?limit=",
        "/clients?state=sleeping",
        "/clients?search=%00",
        "/clients?search=%FF",
        "/clients?cursor=x",
        "/clients?cursor=WyJcdTAwMDAiXQ",
        "/clients?%00=1",
        "/resources?x",
        "/keys?limit=1",
        f"/resources/{RESOURCE}/clients?cursor=!",
    ],
)
async def test_queries(api: httpx.AsyncClient, path: str) -> None:
    """Unknown, repeated or impossible parameters are not ignored."""
    assert kind(await api.get(path)) == MALFORMED


@pytest.mark.parametrize(
    "path",
    [
        *("/clients/a%00b", "/clients/%FF", "/clients/" + "x" * 300, "/clients/a/b", "/clients/", "/", ""),
        *("/resources/a%00b", "/resources/" + "x" * 300, "/keys/%00", "/nothing"),
    ],
)
async def test_paths(api: httpx.AsyncClient, path: str) -> None:
    """Nothing there is a problem too, and says so in the same form."""
    answer = await api.get(path)
    assert answer.status_code == 404
    if path:
        assert kind(answer) == (404, "not-found")


async def test_methods(api: httpx.AsyncClient) -> None:
    """405 names all that is allowed."""
    for path, allowed in (
        ("/clients", "GET, POST"),
        ("/clients/x%2Fy", "DELETE, GET, PATCH"),
        ("/clients/x/secrets/rotate", "POST"),
        ("/clients/x/secrets/y", "DELETE, PATCH"),
        ("/keys/rotate", "POST"),
        ("/keys/x", "GET"),
    ):
        answer = await api.put(path, json={})
        assert kind(answer) == (405, "method-not-allowed")
        assert answer.headers["allow"] == allowed


async def test_a_body_where_none_belongs(api: httpx.AsyncClient) -> None:
    """It would be ignored, and its sender would not notice."""
    assert kind(await api.post("/clients/x/disable", json={"force": True})) == MALFORMED
    assert kind(await api.request("DELETE", "/clients/x", json={"force": True})) == MALFORMED


async def test_many_faults_are_shortened(api: httpx.AsyncClient) -> None:
    """An answer does not grow with what is sent, and repeats none of it but names."""
    members = {f"member{number}": "sensitive" for number in range(1000)}
    answer = await api.post("/clients", json=members)
    assert len(answer.json()["errors"]) == 20
    assert "sensitive" not in answer.text


async def test_a_database_that_is_gone_is_503(
    administered: System, api: httpx.AsyncClient, postgres: EmbeddedPostgres
) -> None:
    """With Retry-After, and the cause for the log alone; when it is back, all is well."""
    async with outage(postgres, administered.databases.auth.owner):
        answer = await api.get("/clients")
    assert kind(answer) == (503, "temporarily-unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "database:" not in answer.text
    assert administered.log.of(answer)["reason"].startswith("database: ")
    assert (await api.get("/clients")).status_code == 200


async def test_two_that_wait_for_each_other_may_try_again(administered: System) -> None:
    """A deadlock, or a change that waits for a lock too long, is no error of the caller's: 503."""
    async with operating(administered) as http:
        made = (
            await http.post("/clients", content=GOOD, headers={"Content-Type": "application/json"})
        ).json()

        async def hold(connection: Any) -> httpx.Response:
            async with connection.transaction():
                await connection.execute(
                    "SELECT FROM clients WHERE client_id = $1 FOR UPDATE", made["client_id"]
                )
                return await http.post(f"/clients/{made['client_id']}/disable", timeout=10)

        answer = await administered.as_owner(hold)
        assert kind(answer) == (503, "temporarily-unavailable")
        assert (await http.post(f"/clients/{made['client_id']}/disable")).status_code == 200


async def test_concurrent_changes_of_all_kinds_end(api: httpx.AsyncClient) -> None:
    """Clients, secrets and their resource changed at once: each is done or refused, nobody waits in a circle."""
    resource = {"name": "busy", "identifier": "https://busy.example", "scopes": ["a", "b", "c"]}
    assert (await api.post("/resources", json=resource)).status_code == 201
    for number in range(4):
        client = {"name": "b", "client_id": f"busy-{number}", "grants": {"busy": ["a"], RESOURCE: ["read"]}}
        assert (await api.post("/clients", json=client)).status_code == 201
    tag = {"If-Match": "*"}

    def changes(number: int) -> list[Any]:
        path = f"/clients/busy-{number % 4}"
        scopes = ["a", "b", "c"][: 1 + number % 3]
        return [
            api.patch(path, json={"grants": {"busy": scopes}}, headers=tag),
            api.patch(path, json={"default_resource": "busy", "metadata": {"n": number}}, headers=tag),
            api.post(f"{path}/{['disable', 'enable'][number % 2]}"),
            api.patch("/resources/busy?force=true", json={"scopes": ["a", *scopes]}, headers=tag),
            api.get("/resources/busy/clients"),
        ]

    answers = await asyncio.gather(*(change for number in range(8) for change in changes(number)))
    # A scope may be gone when it is granted; that is said, and is all that may be said.
    assert {answer.status_code for answer in answers} <= {200, 422, 503}
    assert sum(answer.status_code == 200 for answer in answers) > len(answers) / 2


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7396, Appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    """The examples of the RFC."""
    assert merged(target, patch) == result
