"""Clients have a life: found, changed, shut out and let in again, deleted, and nothing of it by halves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth_service.administration import clients, resources, secrets
from auth_service.administration.errors import NotFound, PreconditionFailed
from auth_service.queries.clients import ClientRow
from tests.support.databases import Databases, Templates
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System, as_owner, running_system

IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(scope="module")
async def house(templates: Templates) -> AsyncIterator[System]:
    """A system with one more resource, for tests that make clients of their own."""
    async with running_system(await templates.clone()) as system:
        await system.as_admin(
            lambda c: resources.create_resource(
                c, ACTOR, "reports", "https://reports.example.com", ["read", "write"]
            )
        )
        yield system


async def token_status(system: System, client: Registered) -> int:
    """Ask for a token."""
    async with http_client() as http:
        response = await http.post(system.token_url, data={**GRANT, "resource": RESOURCE}, auth=client.basic)
    return response.status_code


async def events(system: System, client_id: str) -> list[dict[str, Any]]:
    """Return what the audit log knows of administrative changes of a client, oldest first."""
    rows = await system.as_owner(
        lambda c: c.fetch(
            "SELECT action, actor, before::text, after::text FROM audit_events"
            " WHERE object_type = 'client' AND object_id = $1 AND action NOT LIKE 'token.%' ORDER BY at",
            client_id,
        )
    )
    return [dict(row) for row in rows]


async def update(system: System, client_id: str, changes: clients.ClientChanges, **options: Any) -> ClientRow:
    """Change a client as an operator does."""
    return await system.as_admin(lambda c: clients.update_client(c, ACTOR, client_id, changes, **options))


async def test_client_with_everything(house: System) -> None:
    """What was registered is what is shown, and the log has it too, but for the secret."""
    new = await house.as_admin(
        lambda c: clients.create_client(
            c,
            ACTOR,
            "Everything",
            {RESOURCE: ["write", "read"], "reports": ["read"]},
            client_id="everything",
            default_resource="reports",
            token_lifetime_seconds=600,
            expires_at=IN_AN_HOUR,
            metadata={"owner": "finance", "tags": ["a", 1, None]},
            secret_label="first",
            secret_expires_at=IN_AN_HOUR,
        )
    )
    shown = await house.as_admin(lambda c: clients.show_client(c, "everything"))
    (secret,) = await house.as_admin(lambda c: secrets.list_secrets(c, "everything"))
    assert shown == new.client
    assert shown.grants == {RESOURCE: ["read", "write"], "reports": ["read"]}
    assert (shown.default_resource, shown.token_lifetime_seconds, shown.expires_at) == (
        "reports",
        600,
        IN_AN_HOUR,
    )
    assert shown.metadata == {"owner": "finance", "tags": ["a", 1, None]}
    assert (shown.state, shown.version, shown.last_used_at) == ("active", 1, None)
    assert (secret.label, secret.expires_at) == ("first", IN_AN_HOUR)
    (event,) = await events(house, "everything")
    assert event["action"] == "client.create"
    assert new.secret not in str(event)
    assert "SSHA" not in str(event)
    assert '"owner": "finance"' in event["after"]


async def test_pages_by_cursor(databases: Databases) -> None:
    """Every client is on one page, in order of ids, also when clients come and go between two pages."""

    async def walk(connection: Any) -> list[list[str]]:
        await resources.create_resource(connection, ACTOR, "r", "https://r.example.com", ["read"])
        for number in range(7):
            await clients.create_client(connection, ACTOR, "C", {"r": ["read"]}, client_id=f"client-{number}")
        pages, cursor = [], None
        while True:
            page = await clients.list_clients(connection, cursor=cursor, limit=3)
            pages.append([row.client_id for row in page.rows])
            cursor = page.next_cursor
            if cursor is None:
                return pages
            if len(pages) == 1:
                await clients.delete_client(connection, ACTOR, pages[-1][-1])
            await clients.create_client(
                connection, ACTOR, "C", {"r": ["read"]}, client_id=f"{pages[-1][-1]}-early"
            )

    pages = await as_owner(databases.auth_admin, walk)
    assert pages == [
        ["client-0", "client-1", "client-2"],
        ["client-2-early", "client-3", "client-4"],
        ["client-4-early", "client-5", "client-6"],
    ]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["a-reader", "b-writer", "c-off", "d-over"]),
        ({"text": "READ"}, ["a-reader"]),
        ({"text": "Bee"}, ["b-writer"]),
        ({"text": "sea@example.com"}, ["c-off"]),
        ({"text": "%"}, []),
        ({"resource": "r"}, ["a-reader", "c-off", "d-over"]),
        ({"resource": "nothing"}, []),
        ({"resource": "no name at all"}, []),
        ({"state": "active"}, ["a-reader", "b-writer"]),
        ({"state": "disabled"}, ["c-off"]),
        ({"state": "expired"}, ["d-over"]),
        ({"state": "active", "resource": "w"}, ["b-writer"]),
    ],
)
async def test_filters(found_among: Databases, filters: dict[str, Any], found: list[str]) -> None:
    """By text in id, name and metadata, by resource and by state."""
    page = await as_owner(found_among.auth_admin, lambda c: clients.list_clients(c, **filters))
    assert [row.client_id for row in page.rows] == found


@pytest.fixture(scope="module")
async def found_among(templates: Templates) -> Databases:
    """Four clients of different kinds."""
    databases = await templates.clone()

    async def fill(connection: Any) -> None:
        for name in ("r", "w"):
            await resources.create_resource(connection, ACTOR, name, f"https://{name}.example.com", ["x"])
        for client_id, name, resource, metadata in (
            ("a-reader", "Ay", "r", {}),
            ("b-writer", "Bee", "w", {}),
            ("c-off", "Sea", "r", {"owner": "sea@example.com"}),
            ("d-over", "Dee", "r", {}),
        ):
            await clients.create_client(
                connection, ACTOR, name, {resource: ["x"]}, client_id=client_id, metadata=metadata
            )
        await clients.disable_client(connection, ACTOR, "c-off")
        await connection.execute("UPDATE clients SET expires_at = now() WHERE client_id = 'd-over'")

    await as_owner(databases.auth_admin, fill)
    return databases


async def test_last_use_is_shown(house: System) -> None:
    """Of the client, whichever secret it used."""
    client = await house.register("Used")
    assert await token_status(house, client) == 200
    await house.auth_process.audit.flush()
    shown = await house.as_admin(lambda c: clients.show_client(c, client.client_id))
    assert shown.last_used_at is not None
    assert abs(shown.last_used_at - datetime.now(UTC)) < timedelta(minutes=1)


CHANGES: list[tuple[clients.ClientChanges, dict[str, Any]]] = [
    ({"name": "Other"}, {"name": "Other"}),
    ({"token_lifetime_seconds": 60}, {"token_lifetime_seconds": 60}),
    ({"expires_at": IN_AN_HOUR}, {"expires_at": IN_AN_HOUR}),
    ({"metadata": {"a": {"b": [1]}}}, {"metadata": {"a": {"b": [1]}}}),
    ({"grants": {"reports": ["write", "read", "write"]}}, {"grants": {"reports": ["read", "write"]}}),
    (
        {"grants": {"reports": ["read"], RESOURCE: ["write"]}, "default_resource": "reports"},
        {"grants": {"reports": ["read"], RESOURCE: ["write"]}, "default_resource": "reports"},
    ),
]


@pytest.mark.parametrize(("changes", "expected"), CHANGES)
async def test_update(house: System, changes: clients.ClientChanges, expected: dict[str, Any]) -> None:
    """What is named is changed, the rest stays, the version grows, and the log has what was before and after."""
    client = await house.register("Changed")
    before = await house.as_admin(lambda c: clients.show_client(c, client.client_id))
    after = await update(house, client.client_id, changes)
    different = {name for name in ClientRow.__slots__ if getattr(after, name) != getattr(before, name)}
    assert different == {*expected, "version", "updated_at"}
    assert {name: getattr(after, name) for name in expected} == expected
    assert after.version == before.version + 1
    event = (await events(house, client.client_id))[-1]
    assert (event["action"], event["actor"]) == ("client.update", ACTOR.name)
    assert all(f'"{name}"' in event["before"] and f'"{name}"' in event["after"] for name in expected)
    assert '"enabled"' not in event["before"] + event["after"]


async def test_change_that_changes_nothing(house: System) -> None:
    """No version, no event: a job may say every day how things should be."""
    client = await house.register("Same")
    same: clients.ClientChanges = {"name": "Same again", "grants": {RESOURCE: ["read"]}}
    first = await update(house, client.client_id, same)
    assert first.version == 2
    assert await update(house, client.client_id, same) == first
    assert [event["action"] for event in await events(house, client.client_id)] == [
        "client.create",
        "client.update",
    ]


async def test_values_are_taken_away(house: System) -> None:
    """None is a value: no lifetime of its own, no end, no default."""
    client = await house.register(
        "Limited", expires_at=IN_AN_HOUR, token_lifetime_seconds=60, default_resource=RESOURCE
    )
    row = await update(
        house,
        client.client_id,
        {"expires_at": None, "token_lifetime_seconds": None, "default_resource": None},
    )
    assert (row.expires_at, row.token_lifetime_seconds, row.default_resource) == (None, None, None)


async def test_lost_update_is_prevented(house: System) -> None:
    """Of several who decide on the same state at once, one changes it and the others are told."""
    client = await house.register("Contested")
    outcomes = await asyncio.gather(
        *(update(house, client.client_id, {"name": f"By {n}"}, expected_version=1) for n in range(4)),
        return_exceptions=True,
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, ClientRow)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, PreconditionFailed)]
    assert (len(won), len(lost)) == (1, 3)
    assert "version 2, not 1" in str(lost[0])
    shown = await house.as_admin(lambda c: clients.show_client(c, client.client_id))
    assert shown == won[0]


@pytest.mark.parametrize("deed", [clients.disable_client, clients.enable_client, clients.delete_client])
async def test_other_changes_heed_the_version_too(house: System, deed: Any) -> None:
    """Nobody shuts out or deletes another client than the one they looked at."""
    client = await house.register("Versioned")
    with pytest.raises(PreconditionFailed):
        await house.as_admin(lambda c: deed(c, ACTOR, client.client_id, expected_version=7))


async def test_disabled_and_enabled_again(house: System) -> None:
    """A disabled client gets nothing, an enabled one gets tokens by the same secret; twice is once."""
    client = await house.register("On and off")
    for deed, state, status in (
        (clients.disable_client, "disabled", 401),
        (clients.enable_client, "active", 200),
    ):
        first: ClientRow = await house.as_admin(lambda c: deed(c, ACTOR, client.client_id))  # noqa: B023
        assert first.state == state
        assert await house.as_admin(lambda c: deed(c, ACTOR, client.client_id)) == first  # noqa: B023
        house.auth_process.registry.forget(client.client_id)
        assert await token_status(house, client) == status
    assert [event["action"] for event in await events(house, client.client_id)] == [
        "client.create",
        "client.disable",
        "client.enable",
    ]


async def test_expired_client(house: System) -> None:
    """It gets no token, and comes back by another end."""
    client = await house.register("Expired")
    await house.as_owner(
        lambda c: c.execute("UPDATE clients SET expires_at = now() WHERE client_id = $1", client.client_id)
    )
    house.auth_process.registry.forget(client.client_id)
    assert await token_status(house, client) == 401
    row = await update(house, client.client_id, {"expires_at": None})
    house.auth_process.registry.forget(client.client_id)
    assert (row.state, await token_status(house, client)) == ("active", 200)


async def test_deleted_client_leaves_only_its_history(house: System) -> None:
    """Grants, secrets and usage go; the log keeps what it was; a new client of that id inherits nothing."""
    client = await house.register("Deleted", client_id="deleted")
    assert await token_status(house, client) == 200
    await house.auth_process.audit.flush()
    await house.as_admin(lambda c: clients.delete_client(c, ACTOR, "deleted"))
    for table in ("clients", "client_grants", "client_secrets", "secret_usage", "grant_usage"):
        left = await house.as_owner(
            lambda c: c.fetchval(f"SELECT count(*) FROM {table} WHERE client_id = 'deleted'")  # noqa: B023, S608
        )
        assert left == 0, table
    event = (await events(house, "deleted"))[-1]
    assert (event["action"], event["after"]) == ("client.delete", None)
    assert '"name": "Deleted"' in event["before"]
    assert client.secret.split("_")[1] in event["before"]
    with pytest.raises(NotFound):
        await house.as_admin(lambda c: clients.show_client(c, "deleted"))
    # A batch of usage may arrive after the deletion.
    await house.as_owner(lambda c: c.execute("INSERT INTO secret_usage VALUES ('deleted', 'x', now(), '')"))
    await house.register("Deleted", client_id="deleted")
    assert (await house.as_admin(lambda c: clients.show_client(c, "deleted"))).last_used_at is None
    house.auth_process.registry.forget("deleted")
    assert await token_status(house, client) == 401
