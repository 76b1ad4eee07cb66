"""Signing keys over HTTP, and the waits that guard their life."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from tests.admin.operators import kind, operating
from tests.support.system import System


async def test_a_key_goes_through_its_life(start_system: Any) -> None:
    """Created, refused too early with the moment, promoted by force; the old one is refused to retire."""
    system: System = await start_system(admin=True)
    async with operating(system) as api:
        answer = await api.post("/keys", json={"algorithm": "EdDSA"})
        assert answer.status_code == 201
        made = answer.json()
        assert answer.headers["location"] == f"/admin/v1/keys/{made['kid']}"
        assert (made["state"], made["algorithm"], made["next_action"]) == ("pending", "EdDSA", "promote")
        assert "private" not in answer.text

        early = await api.post(f"/keys/{made['kid']}/promote")
        assert kind(early) == (409, "too-early")
        allowed_from = datetime.fromisoformat(early.json()["allowed_from"])
        seconds = (allowed_from - datetime.now(UTC)).total_seconds()
        assert 0 < seconds <= int(early.headers["retry-after"]) < seconds + 2
        assert allowed_from == datetime.fromisoformat(made["next_at"])

        promoted = await api.post(f"/keys/{made['kid']}/promote?force=true")
        assert promoted.json()["state"] == "active"
        first, second = (await api.get("/keys")).json()["items"]
        assert (first["state"], second["state"]) == ("retiring", "active")
        assert kind(await api.post(f"/keys/{first['kid']}/retire")) == (409, "too-early")
        assert kind(await api.post(f"/keys/{second['kid']}/retire")) == (409, "conflict")
        assert kind(await api.post(f"/keys/{second['kid']}/revoke")) == (409, "conflict")
        assert (await api.get(f"/keys/{first['kid']}")).json() == first


async def test_a_rotation_says_what_comes_when(start_system: Any) -> None:
    """Asked again it does nothing twice; a pending key is revoked without force."""
    system: System = await start_system(admin=True)
    async with operating(system) as api:
        begun = (await api.post("/keys/rotate")).json()
        assert [step["action"] for step in begun["done"]] == ["create"]
        assert [step["action"] for step in begun["coming"]] == ["promote", "retire"]
        again = (await api.post("/keys/rotate")).json()
        assert again["done"] == []
        assert again["coming"] == begun["coming"]
        revoked = await api.post(f"/keys/{begun['done'][0]['kid']}/revoke")
        assert revoked.json()["key"]["state"] == "retired"
        assert revoked.json()["successor"] is None


async def test_what_is_refused(api: httpx.AsyncClient) -> None:
    """Unknown keys, algorithms and parameters."""
    for action in ("promote", "retire", "revoke"):
        assert kind(await api.post(f"/keys/unknown/{action}")) == (404, "not-found")
    assert kind(await api.get("/keys/unknown%00")) == (404, "not-found")
    assert kind(await api.post("/keys", json={"algorithm": "HS256"})) == (422, "invalid")
    assert kind(await api.post("/keys/x/retire?force=true")) == (400, "malformed-request")
