"""A database in which something of everything is registered, for changes that are made and taken back."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from auth_service.administration import clients, keys, resources, secrets
from auth_service.administration.actor import Actor
from auth_service.master_key import MasterKey
from steelcut.service.database.connecting import connect
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Templates
from tests.support.system import RESOURCE

WHO = Actor("client:operator", address="192.0.2.7", trace_id="0123456789abcdef0123456789abcdef")
IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)
TABLES = ("clients", "client_grants", "client_secrets", "resources", "resource_scopes", "signing_keys")
# The log refuses everything while a transaction says so.
_REFUSAL = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('test.refuse', true) = 'on' THEN RAISE EXCEPTION 'the log takes nothing'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()
"""


@dataclass
class House:
    """A key that signs, one that waits, two resources, and the client ``jane`` with two secrets."""

    connection: Any
    old: MasterKey
    new: MasterKey
    active: str
    pending: str
    secret_ids: list[str]
    # Every secret of which anybody knows, in clear.
    known: list[str] = field(repr=False)

    async def events(self) -> list[dict[str, Any]]:
        """Everything in the log, in order, ``before`` and ``after`` as values."""
        rows = await self.connection.fetch("SELECT * FROM audit_events ORDER BY at")
        return [
            {**row, **{name: row[name] and orjson.loads(row[name]) for name in ("before", "after")}}
            for row in rows
        ]

    async def rows(self) -> list[Any]:
        """Everything that can be changed."""
        return [
            [tuple(row) for row in await self.connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in TABLES
        ]

    async def told(self) -> list[str]:
        """Every event as PostgreSQL writes a row: nothing that is in a column can hide from it."""
        rows = await self.connection.fetch("SELECT e::text AS text FROM audit_events e")
        return [row["text"] for row in rows]

    async def secret_texts(self) -> list[str]:
        """Whatever no event may hold: secrets, what is random in them, hashes and keys, however they are written."""
        texts = [*self.known, *(value.split("_")[2] for value in self.known if value.startswith("scut_"))]
        texts += [row["hash"] for row in await self.connection.fetch("SELECT hash FROM client_secrets")]
        for key in await self.connection.fetch("SELECT * FROM signing_keys WHERE state <> 'retired'"):
            opener = self.new.named(key["master_key_id"])
            assert opener is not None
            for raw in (key["sealed_private"], opener.unseal(key["sealed_private"], key["kid"])):
                texts += [raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
        return texts

    @contextlib.asynccontextmanager
    async def for_a_while(self) -> AsyncIterator[None]:
        """Take back whatever is done in the block; imports ask for this isolation."""
        transaction = self.connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            yield
        finally:
            await transaction.rollback()


@contextlib.asynccontextmanager
async def furnished(templates: Templates) -> AsyncIterator[House]:
    """Furnish a database of its own."""
    databases = await templates.clone()
    owner = await connect(databases.auth.owner)
    await owner.execute(_REFUSAL)
    await owner.close()
    connection = await connect(databases.auth_admin)
    old, new = new_master_key(), new_master_key()
    master_key = MasterKey.from_base64(old)
    active, pending = [await keys.create_key(connection, WHO, master_key, "ES256") for _ in range(2)]
    for name in (RESOURCE, "spare"):
        await resources.create_resource(
            connection, WHO, name, f"https://x.example.com/{name}", ["read", "write"]
        )
    grants = {RESOURCE: ["read"]}
    jane = await clients.create_client(
        connection, WHO, "Jane", grants, client_id="jane", default_resource=RESOURCE
    )
    added = await secrets.add_secret(connection, WHO, "jane")
    try:
        yield House(
            connection,
            master_key,
            MasterKey.from_base64(new, previous=old),
            active.kid,
            pending.kid,
            [*jane.client.secret_ids, added.secret.secret_id],
            [jane.secret, added.value, old, new],
        )
    finally:
        await connection.close()
        await templates.drop(databases)
