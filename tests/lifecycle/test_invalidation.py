"""What an operator changes is in force on every replica: within a second, or within the cache's age at the latest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from auth_service.administration import clients, resources, secrets
from tests.auth.test_keys_at_rest import new_master_key
from tests.support.databases import Databases, Templates
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import ACTOR, RESOURCE, Registered, as_owner, seed
from tests.support.waiting import until

pytestmark = pytest.mark.slow

HEARD_SECONDS = 1.0
Answer = tuple[int, dict[str, Any]]
Change = Callable[[Any, Registered], Awaitable[Any]]


@dataclass
class Fleet:
    """Two replicas and the database under them."""

    databases: Databases
    replicas: list[Replica]

    async def register(self, client_id: str) -> Registered:
        """Register a client of two resources, one of them its own."""

        async def both(connection: Any) -> Registered:
            identifier = f"https://api.example.com/{client_id}"
            await resources.create_resource(connection, ACTOR, client_id, identifier, ["read", "write"])
            new = await clients.create_client(
                connection,
                ACTOR,
                client_id,
                {client_id: ["read", "write"], RESOURCE: ["read"]},
                client_id=client_id,
                default_resource=client_id,
            )
            return Registered(client_id, new.secret)

        return await as_owner(self.databases.auth_admin, both)

    async def change(self, change: Change, client: Registered) -> None:
        """Make a change as an operator does."""
        await as_owner(self.databases.auth_admin, lambda c: change(c, client))

    async def answers(self, client: Registered, **form: Any) -> list[Answer]:
        """Ask every replica for a token."""
        return list(await asyncio.gather(*(replica.ask(client, **form) for replica in self.replicas)))


@pytest.fixture(scope="module")
async def fleet(templates: Templates) -> AsyncIterator[Fleet]:
    """Two replicas that would keep what they know for five minutes."""
    databases, master_key = await templates.clone(), new_master_key()
    await seed(databases, "http://127.0.0.1:8001", master_key)
    async with auth_replicas(databases, master_key, AUTH_CACHE_MAX_AGE_SECONDS="300") as replicas:
        yield Fleet(databases, replicas)


def refused(error: str) -> Callable[[Answer], bool]:
    """Say whether an answer is this error."""
    return lambda answer: answer[1].get("error") == error


async def _revoke(connection: Any, client: Registered) -> None:
    secret_id = client.secret.split("_")[1]
    await secrets.revoke_secret(connection, ACTOR, client.client_id, secret_id, force=True)


CHANGES: list[tuple[str, Change, dict[str, str], Callable[[Answer], bool]]] = [
    ("disable", lambda c, me: clients.disable_client(c, ACTOR, me.client_id), {}, refused("invalid_client")),
    ("delete", lambda c, me: clients.delete_client(c, ACTOR, me.client_id), {}, refused("invalid_client")),
    ("revoke the secret", _revoke, {}, refused("invalid_client")),
    (
        "take a scope",
        lambda c, me: clients.update_client(c, ACTOR, me.client_id, {"grants": {me.client_id: ["read"]}}),
        {"scope": "write"},
        refused("invalid_scope"),
    ),
    (
        "take a resource",
        lambda c, me: clients.update_client(
            c, ACTOR, me.client_id, {"grants": {RESOURCE: ["read"]}, "default_resource": None}
        ),
        {"resource": "take-a-resource"},
        refused("invalid_target"),
    ),
    (
        "shorten the lifetime",
        lambda c, me: clients.update_client(c, ACTOR, me.client_id, {"token_lifetime_seconds": 60}),
        {},
        lambda answer: answer[1]["expires_in"] == 60,
    ),
    (
        "remove a scope",
        lambda c, me: resources.update_resource(c, ACTOR, me.client_id, {"scopes": ["read"]}, force=True),
        {"scope": "write"},
        refused("invalid_scope"),
    ),
    (
        "set a default scope",
        lambda c, me: resources.update_resource(c, ACTOR, me.client_id, {"default_scopes": ["read"]}),
        {},
        lambda answer: answer[1]["scope"] == "read",
    ),
    (
        "shorten the resource's lifetime",
        lambda c, me: resources.update_resource(c, ACTOR, me.client_id, {"token_lifetime_seconds": 30}),
        {},
        lambda answer: answer[1]["expires_in"] == 30,
    ),
    (
        "delete the resource",
        lambda c, me: resources.delete_resource(c, ACTOR, me.client_id, force=True),
        {"resource": "delete-the-resource"},
        refused("invalid_target"),
    ),
]


@pytest.mark.parametrize(
    ("what", "change", "form", "effective"), CHANGES, ids=[change[0] for change in CHANGES]
)
async def test_change_is_in_force_within_a_second(
    fleet: Fleet, what: str, change: Change, form: dict[str, str], effective: Callable[[Answer], bool]
) -> None:
    """Both replicas hear of it, whatever it is; what they had cached would have lived for minutes."""
    client = await fleet.register(what.replace(" ", "-").replace("'", ""))
    before = await fleet.answers(client, **form)
    assert [status for status, _ in before] == [200, 200]
    assert not any(effective(answer) for answer in before)
    await fleet.change(change, client)

    async def everywhere() -> bool:
        return all(effective(answer) for answer in await fleet.answers(client, **form))

    await until(everywhere, HEARD_SECONDS)


async def test_enabled_client_gets_tokens_again_within_a_second(fleet: Fleet) -> None:
    """On both replicas, by the secret that it had."""
    client = await fleet.register("back-again")
    await fleet.change(lambda c, me: clients.disable_client(c, ACTOR, me.client_id), client)
    await until(lambda: _all(fleet, client, 401), HEARD_SECONDS)
    await fleet.change(lambda c, me: clients.enable_client(c, ACTOR, me.client_id), client)
    await until(lambda: _all(fleet, client, 200), HEARD_SECONDS)


async def test_change_while_nobody_listened(fleet: Fleet, templates: Templates) -> None:
    """A replica whose listening connection was cut forgets what it knew once it listens again."""
    client = await fleet.register("cut-off")
    assert await _all(fleet, client, 200)
    database = fleet.databases.auth_admin.rpartition("/")[2]
    superuser = await asyncpg.connect(templates.postgres.dsn(database))
    try:
        async with superuser.transaction():
            cut = await superuser.fetch(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'steelcut listener'"
            )
            # Nobody is told: the triggers are off for this session, and the listeners are gone.
            await superuser.execute("SET LOCAL session_replication_role = replica")
            await superuser.execute("UPDATE clients SET enabled = false WHERE client_id = 'cut-off'")
        assert len(cut) == 2
    finally:
        await superuser.close()
    await until(lambda: _all(fleet, client, 401), HEARD_SECONDS)


@pytest.mark.parametrize("deed", ["disable", pytest.param("delete", marks=pytest.mark.long)])
async def test_lost_notification(databases: Databases, deed: str) -> None:
    """Without any notification a client is out once the cache's maximum age is over, and not before: it was cached."""
    master_key, age = new_master_key(), 2.0
    await seed(databases, "http://127.0.0.1:8001", master_key)
    async with auth_replicas(databases, master_key, AUTH_CACHE_MAX_AGE_SECONDS=str(age)) as replicas:
        fleet = Fleet(databases, replicas)
        await as_owner(databases.auth.owner, _silence)
        client = await fleet.register("unheard")
        assert await _all(fleet, client, 200)
        if deed == "disable":
            await fleet.change(lambda c, me: clients.disable_client(c, ACTOR, me.client_id), client)
        else:
            await fleet.change(lambda c, me: clients.delete_client(c, ACTOR, me.client_id), client)
        assert await _all(fleet, client, 200)
        await until(lambda: _all(fleet, client, 401), age + 0.5)


async def _silence(connection: Any) -> None:
    for table in ("clients", "client_grants", "client_secrets", "resources", "resource_scopes"):
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")


async def _all(fleet: Fleet, client: Registered, status: int) -> bool:
    return [answer[0] for answer in await fleet.answers(client)] == [status, status]
