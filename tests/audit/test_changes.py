"""Every administrative change and its event are one: both are kept, or neither, and the event holds no secret."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from auth_service.administration import clients, keys, resources, secrets
from auth_service.administration.actor import Actor
from auth_service.key_life import KeyTiming
from auth_service.master_key import MasterKey
from steelcut.service.migrations import connect
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases, Templates
from tests.support.system import RESOURCE

WHO = Actor("client:operator", address="192.0.2.7", trace_id="0123456789abcdef0123456789abcdef")
TIMING = KeyTiming()
IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)


@dataclass
class House:
    """A database with a key that signs, one that waits, two resources, and a client with two secrets."""

    connection: Any
    owner: Any
    old: MasterKey
    new: MasterKey
    client_id: str
    secret_ids: list[str]
    pending: str
    known_secrets: list[str]


@pytest.fixture(scope="module")
async def house(templates: Templates) -> AsyncIterator[House]:
    """Made once: each test takes back what it did."""
    databases: Databases = await templates.clone()
    connection = await connect(databases.auth_admin)
    old, new = new_master_key(), new_master_key()
    master_key = MasterKey.from_base64(old)
    await keys.create_key(connection, WHO, master_key, "ES256")
    pending = await keys.create_key(connection, WHO, master_key, "ES256")
    for name in (RESOURCE, "spare"):
        await resources.create_resource(
            connection, WHO, name, f"https://x.example.com/{name}", ["read", "write"]
        )
    made = await clients.create_client(
        connection, WHO, "Jane", {RESOURCE: ["read"]}, default_resource=RESOURCE
    )
    client_id = made.client.client_id
    added = await secrets.add_secret(connection, WHO, client_id)
    owner = await connect(databases.auth.owner)
    yield House(
        connection,
        owner,
        master_key,
        MasterKey.from_base64(new, previous=old),
        client_id,
        [*made.client.secret_ids, added.secret.secret_id],
        pending.kid,
        [made.secret, added.value, old, new],
    )
    await connection.close()
    await owner.close()


async def _enable(house: House) -> None:
    await house.connection.execute("UPDATE clients SET enabled = false")
    await clients.enable_client(house.connection, WHO, house.client_id)


async def _retire(house: House) -> None:
    await house.connection.execute(
        "UPDATE signing_keys SET state = 'retiring', activated_at = now() - interval '9 days',"
        " retiring_at = now() - interval '8 days', created_at = now() - interval '10 days' WHERE kid = $1",
        house.pending,
    )
    await keys.retire_key(house.connection, WHO, house.pending, TIMING)


async def _rotate(house: House) -> None:
    await house.connection.execute("UPDATE signing_keys SET created_at = now() - interval '30 days'")
    await keys.rotate_keys(house.connection, WHO, house.old, "ES256", TIMING)


# What these need is made before, and is no change of theirs.
PREPARED = {"enable_client", "retire_key", "rotate_keys"}
Change = Callable[[House], Awaitable[Any]]
# By the function that makes the change: how it is called, and the events that it leaves, as action and object.
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "create_client": (
        lambda h: clients.create_client(h.connection, WHO, "New", {RESOURCE: ["read"]}, client_id="new"),
        ["client.create client new"],
    ),
    "update_client": (
        lambda h: clients.update_client(
            h.connection, WHO, h.client_id, {"name": "Joan", "metadata": {"a": "b"}}
        ),
        ["client.update client JANE"],
    ),
    "disable_client": (
        lambda h: clients.disable_client(h.connection, WHO, h.client_id),
        ["client.disable client JANE"],
    ),
    "enable_client": (_enable, ["client.enable client JANE"]),
    "delete_client": (
        lambda h: clients.delete_client(h.connection, WHO, h.client_id),
        ["client.delete client JANE"],
    ),
    "add_secret": (
        lambda h: secrets.add_secret(h.connection, WHO, h.client_id, label="x"),
        ["secret.add client JANE"],
    ),
    "expire_secret": (
        lambda h: secrets.expire_secret(h.connection, WHO, h.client_id, h.secret_ids[0], IN_AN_HOUR),
        ["secret.expire client JANE"],
    ),
    "revoke_secret": (
        lambda h: secrets.revoke_secret(h.connection, WHO, h.client_id, h.secret_ids[0]),
        ["secret.revoke client JANE"],
    ),
    "rotate_secret": (
        lambda h: secrets.rotate_secret(h.connection, WHO, h.client_id),
        ["secret.rotate client JANE"],
    ),
    "rotate_own_secret": (
        lambda h: secrets.rotate_own_secret(h.connection, WHO, h.client_id),
        ["secret.rotate client JANE"],
    ),
    "create_resource": (
        lambda h: resources.create_resource(h.connection, WHO, "new", "https://new.example.com", ["read"]),
        ["resource.create resource new"],
    ),
    "update_resource": (
        lambda h: resources.update_resource(h.connection, WHO, "spare", {"token_lifetime_seconds": 60}),
        ["resource.update resource spare"],
    ),
    "delete_resource": (
        lambda h: resources.delete_resource(h.connection, WHO, RESOURCE, force=True),
        ["client.update client JANE", "client.update client JANE", f"resource.delete resource {RESOURCE}"],
    ),
    "create_key": (lambda h: keys.create_key(h.connection, WHO, h.old, "ES256"), ["key.create key *"]),
    "promote_key": (
        lambda h: keys.promote_key(h.connection, WHO, h.pending, TIMING, force=True),
        ["key.promote key *", "key.supersede key *"],
    ),
    "revoke_key": (
        lambda h: keys.revoke_key(h.connection, WHO, h.pending, h.old, "ES256", TIMING, force=True),
        ["key.revoke key *"],
    ),
    "retire_key": (_retire, ["key.retire key *"]),
    "rotate_keys": (
        _rotate,
        ["key.promote key *", "key.supersede key *"],
    ),
    "reseal_keys": (
        lambda h: keys.reseal_keys(h.connection, WHO, h.new),
        ["key.reseal key *", "key.reseal key *"],
    ),
}


def _functions_with_an_actor(*modules: ModuleType) -> set[str]:
    return {
        name
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and "actor" in inspect.signature(function).parameters
    }


def test_every_change_is_in_the_table() -> None:
    """A new one without an event would otherwise go unseen."""
    assert CHANGES.keys() == _functions_with_an_actor(clients, secrets, resources, keys)


@pytest.mark.parametrize("name", CHANGES)
async def test_change_leaves_its_events(house: House, name: str) -> None:
    """Exactly these, by whom, from where, under which trace id, and with no secret in any column."""
    change, expected = CHANGES[name]
    transaction = house.connection.transaction()
    await transaction.start()
    try:
        known = await _events(house)
        done = await change(house)
        events = [event for event in await _events(house) if event not in known]
        house.known_secrets += [
            value
            for value in (getattr(done, "secret", None), getattr(getattr(done, "added", None), "value", None))
            if isinstance(value, str)
        ]
        hashes = await house.connection.fetch("SELECT hash FROM client_secrets")
        sealed = await house.connection.fetch("SELECT * FROM signing_keys")
    finally:
        await transaction.rollback()
    told = sorted(f"{event['action']} {event['object_type']} {event['object_id']}" for event in events)
    wanted = sorted(line.replace("JANE", house.client_id) for line in expected)
    assert [line.rsplit(" ", 1)[0] for line in told] == [line.rsplit(" ", 1)[0] for line in wanted]
    assert all(line in told or line.endswith("*") for line in wanted)
    for event in events:
        assert (event["actor"], event["address"], event["trace_id"]) == (WHO.name, WHO.address, WHO.trace_id)
        assert event["outcome"] == "done"
        assert event["before"] or event["after"]
    text = str(events)
    assert not any(secret in text for secret in house.known_secrets)
    assert not any(row["hash"] in text for row in hashes)
    assert not any(
        value.hex() in text or str(value) in text
        for row in sealed
        for value in row.values()
        if isinstance(value, bytes) and value
    )


@pytest.mark.parametrize("name", CHANGES)
async def test_change_without_its_event_is_no_change(house: House, name: str) -> None:
    """Where the log does not take the event, nothing is done."""
    change, _ = CHANGES[name]
    before = await _everything(house)
    await house.owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the log takes nothing'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        with pytest.raises(asyncpg.RaiseError, match="the log takes nothing"):
            await change(house)
        after = await _everything(house)
    finally:
        await house.owner.execute("DROP FUNCTION refuse() CASCADE")
        await _put_back(house)
    if name not in PREPARED:
        assert after == before


async def _put_back(house: House) -> None:
    """Take back what `PREPARED` changes did to the rows beforehand."""
    await house.connection.execute("UPDATE clients SET enabled = true")
    await house.connection.execute(
        "UPDATE signing_keys SET state = 'pending', activated_at = NULL, retiring_at = NULL WHERE kid = $1",
        house.pending,
    )


async def _events(house: House) -> list[dict[str, Any]]:
    rows = await house.connection.fetch(
        "SELECT * FROM audit_events WHERE action NOT LIKE 'token.%' ORDER BY at"
    )
    return [dict(row) for row in rows]


async def _everything(house: House) -> list[Any]:
    tables = ("clients", "client_grants", "client_secrets", "resources", "resource_scopes", "signing_keys")
    return [
        [tuple(row) for row in await house.connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
        for table in tables
    ]
