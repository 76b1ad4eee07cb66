"""Clients over HTTP: created, seen, changed, shut out, deleted."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.admin.operators import kind
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, System

NEW = {"name": "Billing", "grants": {RESOURCE: ["read"]}}


async def create(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    """Create a client."""
    answer = await api.post("/clients", json={**NEW, **members})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_created_client_gets_a_token(administered: System, api: httpx.AsyncClient) -> None:
    """The id and the secret of the answer are good at the token endpoint, at once."""
    answer = await api.post("/clients", json={**NEW, "metadata": {"owner": "finance"}})
    assert answer.status_code == 201
    client = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"/admin/v1/clients/{client['client_id']}"
    async with http_client() as http:
        credentials = (client["client_id"], client["client_secret"])
        assert (await http.post(administered.token_url, data=GRANT, auth=credentials)).status_code == 200
    seen = await api.get(answer.headers["location"].removeprefix("/admin/v1"))
    assert seen.headers["etag"] == '"1"'
    del client["client_secret"]
    assert {**seen.json(), "last_used_at": None} == {**client, "last_used_at": None}


async def test_a_patch_changes_what_it_names(api: httpx.AsyncClient) -> None:
    """A merge patch sets, replaces, and takes away by null, also within metadata and grants (RFC 7396)."""
    client = await create(
        api, metadata={"owner": "finance", "mail": {"to": "a@b", "cc": "c@d"}}, token_lifetime_seconds=600
    )
    patch = {
        "name": "Billing, Europe",
        "grants": {RESOURCE: ["read", "write"]},
        "default_resource": RESOURCE,
        "token_lifetime_seconds": None,
        "expires_at": "2999-12-31T12:00:00+01:00",
        "metadata": {"owner": None, "mail": {"cc": None}, "team": 7},
    }
    answer = await api.patch(f"/clients/{client['client_id']}", json=patch, headers={"If-Match": '"1"'})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    changed = answer.json()
    assert changed["name"] == "Billing, Europe"
    assert changed["grants"] == {RESOURCE: ["read", "write"]}
    assert changed["default_resource"] == RESOURCE
    assert changed["token_lifetime_seconds"] is None
    assert changed["expires_at"] == "2999-12-31T11:00:00Z"
    assert changed["metadata"] == {"mail": {"to": "a@b"}, "team": 7}
    same = await api.patch(f"/clients/{client['client_id']}", json={}, headers={"If-Match": '"2"'})
    assert same.headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"name": None}, "#/name"),
        ({"name": 5}, "#/name"),
        ({"token_lifetime_seconds": "600"}, "#/token_lifetime_seconds"),
        ({"expires_at": "2031-12-31"}, "#/expires_at"),
        ({"expires_at": "2031-02-31T00:00:00Z"}, "#/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "#/expires_at"),
        ({"expires_at": 1924948800}, "#/expires_at"),
        ({"grants": {RESOURCE: [1]}}, f"#/grants/{RESOURCE}/0"),
        ({"state": "disabled"}, "#/state"),
        ({"a/b~c": 1}, "#/a~1b~0c"),
    ],
)
async def test_a_wrong_member_is_pointed_at(
    api: httpx.AsyncClient, patch: dict[str, Any], pointer: str
) -> None:
    """The problem says where in the body the fault is (RFC 6901)."""
    client = await create(api)
    answer = await api.patch(f"/clients/{client['client_id']}", json=patch, headers={"If-Match": '"1"'})
    assert kind(answer) == (422, "invalid")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"grants": {}}, "Grant the client at least one resource"),
        ({"grants": {"nowhere": ["read"]}}, "There is no resource 'nowhere'"),
        ({"grants": {"a\0b": ["read"]}}, "There is no resource"),
        ({"grants": {RESOURCE: ["fly"]}}, "has no scope fly"),
        ({"grants": {RESOURCE: []}}, "Name at least one scope"),
        ({"name": "a\0b"}, "A client name is"),
        ({"metadata": {"a": "\0"}}, "Metadata holds no NUL"),
        ({"metadata": {"a": "x" * 9000}}, "at most 8192 bytes"),
        ({"client_id": "ä"}, "A client id is"),
        ({"secret_label": "\n"}, "A label is"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "must lie in the future"),
        ({"default_resource": "nowhere"}, "The default resource must be one"),
    ],
)
async def test_what_cannot_be_meant_is_said(
    api: httpx.AsyncClient, members: dict[str, Any], words: str
) -> None:
    """The sentences are those of the command line, for it is the same function."""
    answer = await api.post("/clients", json={**NEW, **members})
    assert kind(answer) == (422, "invalid")
    assert words in answer.json()["detail"]


async def test_an_id_can_be_chosen_once(api: httpx.AsyncClient) -> None:
    """A second client of the same id is a conflict."""
    await create(api, client_id="worker")
    answer = await api.post("/clients", json={**NEW, "client_id": "worker"})
    assert kind(answer) == (409, "conflict")


@pytest.mark.parametrize("client_id", ["https://a.example/b?c=d#e", "x/secrets", "a b", "%2F", "+"])
async def test_an_id_may_hold_what_paths_are_made_of(api: httpx.AsyncClient, client_id: str) -> None:
    """Clients from other servers have URLs for ids; Location leads to them all the same."""
    answer = await api.post("/clients", json={**NEW, "client_id": client_id})
    path = answer.headers["location"].removeprefix("/admin/v1")
    shown = await api.get(path)
    assert shown.json()["client_id"] == client_id
    assert (await api.get(f"{path}/secrets")).status_code == 200
    assert (await api.delete(path)).status_code == 204
    assert kind(await api.get(path)) == (404, "not-found")


async def test_a_disabled_client_is_shut_out_until_it_is_enabled(
    administered: System, api: httpx.AsyncClient
) -> None:
    """Both are heard by the token endpoint."""
    client = await create(api)
    path = f"/clients/{client['client_id']}"
    disabled = await api.post(f"{path}/disable", headers={"If-Match": '"1"'})
    assert (disabled.json()["state"], disabled.headers["etag"]) == ("disabled", '"2"')
    assert kind(await api.post(f"{path}/disable", headers={"If-Match": '"1"'})) == (
        412,
        "precondition-failed",
    )
    enabled = await api.post(f"{path}/enable")
    assert (enabled.json()["state"], enabled.headers["etag"]) == ("active", '"3"')
    async with http_client() as http:
        credentials = (client["client_id"], client["client_secret"])
        assert (await http.post(administered.token_url, data=GRANT, auth=credentials)).status_code == 200


async def test_a_deleted_client_is_gone(api: httpx.AsyncClient) -> None:
    """The If-Match of a deletion is honoured, and a second deletion finds nothing."""
    client = await create(api)
    path = f"/clients/{client['client_id']}"
    assert kind(await api.delete(path, headers={"If-Match": '"7"'})) == (412, "precondition-failed")
    answer = await api.delete(path, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.content) == (204, b"")
    assert kind(await api.delete(path)) == (404, "not-found")


async def test_filters_find_clients(api: httpx.AsyncClient) -> None:
    """By text, by granted resource and by state."""
    client = await create(api, name="Zebra", metadata={"stall": "north wing"})
    await api.post(f"/clients/{client['client_id']}/disable")
    for query in ({"search": "ZEBRA"}, {"search": "north wing", "state": "disabled", "resource": RESOURCE}):
        answer = await api.get("/clients", params=query)
        assert [item["client_id"] for item in answer.json()["items"]] == [client["client_id"]]
    for nothing in ({"search": "zebra", "state": "active"}, {"search": "zebra", "resource": "nowhere"}):
        assert (await api.get("/clients", params=nothing)).json() == {"items": [], "next_cursor": None}


async def test_pages_lose_nothing_while_clients_are_added(api: httpx.AsyncClient) -> None:
    """Who was there all the time is on exactly one page, whoever comes and goes meanwhile (RFC 8288 links)."""
    there = [(await create(api, client_id=f"page-{number:02}"))["client_id"] for number in range(9)]
    seen: list[str] = []
    path: str | None = "/clients?search=page-&limit=2"
    added = 0
    while path is not None:
        answer = await api.get(path)
        seen += [item["client_id"] for item in answer.json()["items"]]
        # One before and one behind what was just read, and the last one that was read goes.
        for letter in "az":
            await create(api, client_id=f"page-{letter}{added}")
        await create(api, client_id=f"page-0{added}0")
        added += 1
        link = re.fullmatch(r'</admin/v1(.*)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (answer.json()["next_cursor"] is None)
        path = link[1] if link and added < 20 else None
        if added == 6:
            path = path and path.replace("limit=2", "limit=1000")
    assert len(seen) == len(set(seen))
    assert set(there) <= set(seen)


async def test_two_writers_do_not_overwrite_each_other(api: httpx.AsyncClient) -> None:
    """Of two changes that were decided on the same version, one is made and the other one is refused."""
    client = await create(api)
    path = f"/clients/{client['client_id']}"
    tag = {"If-Match": (await api.get(path)).headers["etag"]}
    first = await api.patch(path, json={"metadata": {"first": 1}}, headers=tag)
    assert first.status_code == 200
    second = await api.patch(path, json={"metadata": {"second": 2}}, headers=tag)
    assert kind(second) == (412, "precondition-failed")
    again = await api.patch(
        path, json={"metadata": {"second": 2}}, headers={"If-Match": first.headers["etag"]}
    )
    assert again.json()["metadata"] == {"first": 1, "second": 2}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (None, (428, "precondition-required")),
        ('W/"1"', (412, "precondition-failed")),
        ('"abc"', (412, "precondition-failed")),
        ('"99999999999999999999999"', (412, "precondition-failed")),
        ("1", (400, "malformed-request")),
        ('"1", "2"', (400, "malformed-request")),
    ],
)
async def test_a_change_says_on_which_version_it_was_decided(
    api: httpx.AsyncClient, tag: str | None, expected: tuple[int, str]
) -> None:
    """RFC 6585 §3, and RFC 9110 §13.1.1: a weak tag never matches."""
    client = await create(api)
    headers = {"If-Match": tag} if tag else {}
    answer = await api.patch(f"/clients/{client['client_id']}", json={"name": "Other"}, headers=headers)
    assert kind(answer) == expected


async def test_any_version_can_be_meant(api: httpx.AsyncClient) -> None:
    """``If-Match: *`` says so."""
    client = await create(api)
    answer = await api.patch(
        f"/clients/{client['client_id']}", json={"name": "Other"}, headers={"If-Match": "*"}
    )
    assert answer.json()["name"] == "Other"
