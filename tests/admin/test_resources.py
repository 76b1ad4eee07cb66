"""Resources over HTTP, and who can call them."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from tests.admin.operators import kind

_names = itertools.count()


@pytest.fixture
async def resource(api: httpx.AsyncClient) -> dict[str, Any]:
    """A resource of the test's own."""
    name = f"reports-{next(_names)}"
    content = {
        "name": name,
        "identifier": f"https://{name}.example",
        "scopes": ["read", "write"],
        "default_scopes": ["read"],
        "token_lifetime_seconds": 600,
    }
    answer = await api.post("/resources", json=content)
    assert answer.status_code == 201, answer.text
    assert (answer.headers["etag"], answer.headers["location"]) == ('"1"', f"/admin/v1/resources/{name}")
    assert answer.json().items() >= content.items()
    return dict(answer.json())


async def test_a_resource_is_seen(api: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    """Alone with its ETag, and among the others."""
    shown = await api.get(f"/resources/{resource['name']}")
    assert (shown.json(), shown.headers["etag"]) == (resource, '"1"')
    assert resource in (await api.get("/resources")).json()["items"]


async def test_a_patch_changes_what_it_names(api: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    """A list takes the place of the whole list, null takes a value away, and If-Match is needed."""
    path = f"/resources/{resource['name']}"
    patch = {"scopes": ["read", "delete"], "default_scopes": None, "token_lifetime_seconds": None}
    assert kind(await api.patch(path, json=patch)) == (428, "precondition-required")
    changed = await api.patch(path, json=patch, headers={"If-Match": '"1"'})
    assert changed.headers["etag"] == '"2"'
    assert changed.json()["scopes"] == ["delete", "read"]
    assert changed.json()["default_scopes"] == []
    assert changed.json()["token_lifetime_seconds"] is None
    assert changed.json()["identifier"] == resource["identifier"]
    assert kind(await api.patch(path, json=patch, headers={"If-Match": '"1"'})) == (
        412,
        "precondition-failed",
    )


async def test_what_is_granted_goes_by_force_only(api: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    """A scope or the whole resource; those who have it are named."""
    path, name = f"/resources/{resource['name']}", resource["name"]
    client = {"name": "c", "client_id": f"of-{name}", "grants": {name: ["read", "write"]}}
    await api.post("/clients", json=client)
    patch, headers = {"scopes": ["read"]}, {"If-Match": "*"}
    refused = await api.patch(path, json=patch, headers=headers)
    assert kind(refused) == (409, "conflict")
    assert f"of-{name}" in refused.json()["detail"]
    forced = await api.patch(f"{path}?force=true", json=patch, headers=headers)
    assert forced.json()["scopes"] == ["read"]
    assert (await api.get(f"/clients/of-{name}")).json()["grants"] == {name: ["read"]}
    assert kind(await api.delete(path)) == (409, "conflict")
    assert kind(await api.delete(f"{path}?force=true", headers={"If-Match": '"1"'})) == (
        412,
        "precondition-failed",
    )
    assert (await api.delete(f"{path}?force=true")).status_code == 204
    assert kind(await api.get(path)) == (404, "not-found")


async def test_who_can_call_a_resource(api: httpx.AsyncClient, resource: dict[str, Any]) -> None:
    """With which scopes, and when each was last used; in pages."""
    name = resource["name"]
    for number in range(3):
        grants = {name: ["read", "write"][: number + 1]}
        client_id = f"{name}-caller-{number}"
        await api.post("/clients", json={"name": "c", "client_id": client_id, "grants": grants})
    first = await api.get(f"/resources/{name}/clients?limit=2")
    assert [item["scopes"] for item in first.json()["items"]] == [
        {"read": None},
        {"read": None, "write": None},
    ]
    path = first.links["next"]["url"].removeprefix("/admin/v1")
    second = await api.get(path)
    assert [item["client_id"] for item in second.json()["items"]] == [f"{name}-caller-2"]
    assert second.json()["next_cursor"] is None
    assert kind(await api.get("/resources/unknown/clients")) == (404, "not-found")


@pytest.mark.parametrize(
    "members",
    [
        {"name": "a b"},
        {"identifier": "reports"},
        {"identifier": "https://a.example/#f"},
        {"scopes": []},
        {"scopes": ["a b"]},
        {"default_scopes": ["fly"]},
        {"token_lifetime_seconds": 0},
        {"token_lifetime_seconds": 86_401},
        {"extra": 1},
    ],
)
async def test_what_cannot_be_meant(api: httpx.AsyncClient, members: dict[str, Any]) -> None:
    """Names, identifiers, scopes and lifetimes out of bounds."""
    content = {"name": "bad", "identifier": "https://bad.example", "scopes": ["read"], **members}
    assert kind(await api.post("/resources", json=content)) == (422, "invalid")
