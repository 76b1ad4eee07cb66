"""Reports of use over HTTP, the same as at the terminal."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.admin.operators import kind
from tests.support.system import RESOURCE, System


async def test_what_is_not_used(administered: System, api: httpx.AsyncClient) -> None:
    """Clients and grants of a hundred days ago, in pages; scopes with how many have them."""
    client = await administered.register("Idle", ("read", "write"), client_id="idle")
    assert (await api.get("/usage/unused-clients")).json() == {"items": [], "next_cursor": None}
    await administered.as_owner(
        lambda c: c.execute(
            "UPDATE clients SET created_at = now() - interval '100 days' WHERE client_id = 'idle'"
        )
    )
    await administered.as_owner(
        lambda c: c.execute(
            "UPDATE client_grants SET granted_at = now() - interval '100 days' WHERE client_id = 'idle'"
        )
    )
    (unused,) = (await api.get("/usage/unused-clients", params={"days": 99})).json()["items"]
    assert (unused["client_id"], unused["state"], unused["last_used_at"]) == (
        client.client_id,
        "active",
        None,
    )
    page = await api.get("/usage/unused-grants", params={"limit": 1})
    (first,) = page.json()["items"]
    (second,) = (await api.get(page.links["next"]["url"].split("/admin/v1")[1])).json()["items"]
    assert [(grant["resource"], grant["scope"]) for grant in (first, second)] == [
        (RESOURCE, "read"),
        (RESOURCE, "write"),
    ]
    scopes = (await api.get("/usage/scopes", params={"resource": RESOURCE})).json()["items"]
    assert [(scope["scope"], scope["clients"] > 0) for scope in scopes] == [("read", True), ("write", True)]
    assert (await api.get("/usage/unused-clients", params={"days": 101})).json()["items"] == []
    assert kind(await api.get("/usage/unused-clients", params={"days": 0}))[0] == 400


async def test_a_report_may_take_longer_than_a_request(administered: System, api: httpx.AsyncClient) -> None:
    """With a million clients it does, and is not broken off after two seconds."""

    async def hold(connection: Any) -> httpx.Response:
        async with connection.transaction():
            await connection.execute("LOCK TABLE grant_usage")
            asking = asyncio.create_task(api.get("/usage/unused-clients"))
            await asyncio.sleep(2.5)
            assert not asking.done()
        return await asking

    assert (await administered.as_owner(hold)).status_code == 200
