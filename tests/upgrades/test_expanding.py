"""Migrations expand first: a replica of the version before, not yet replaced, goes on with the new schema."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from steelcut.service.database.migrations import _config
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import AUTH_MIGRATIONS, RESOURCE_MIGRATIONS, Templates
from tests.upgrades import catalogue

if TYPE_CHECKING:
    Owner = asyncpg.Connection[asyncpg.Record]

# Migrations before these were made when there was no version whose replicas could have met their schema.
FIRST: Final = {AUTH_MIGRATIONS: "0002", RESOURCE_MIGRATIONS: "0001"}
# What a migration takes away that no version reads any more which may run beside it: by its revision, with the reason.
CONTRACTED: Final[dict[tuple[str, str], set[str]]] = {}


@pytest.fixture
async def empty(templates: Templates, postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of an empty database, as its owner."""
    name = f"expanding_{os.getpid()}"
    server = await asyncpg.connect(postgres.dsn())
    try:
        await server.execute(f"CREATE DATABASE {name} OWNER auth_owner")
        yield templates._url("auth_owner", name)
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


async def schema_at(url: str, package: str, revision: str) -> catalogue.Schema:
    """Bring a database to a revision, and read it."""
    await asyncio.to_thread(command.upgrade, _config(package, url), revision)
    connection = await asyncpg.connect(url)
    try:
        return await catalogue.read(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("package", [AUTH_MIGRATIONS, RESOURCE_MIGRATIONS])
async def test_each_migration_leaves_what_earlier_code_relies_on(package: str, empty: str) -> None:
    """Nothing is dropped, renamed or retyped, and nothing is demanded that the code before does not give."""
    scripts = ScriptDirectory.from_config(_config(package, None))
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    before = await schema_at(empty, package, FIRST[package])
    for revision in revisions[revisions.index(FIRST[package]) + 1 :]:
        after = await schema_at(empty, package, revision)
        found = set(catalogue.breaches(before, after)) - CONTRACTED.get((package, revision), set())
        assert found == set(), f"revision {revision} of {package}: expand now, contract a version later"
        before = after


@pytest.fixture(scope="module")
async def owner(templates: Templates) -> AsyncIterator[Owner]:
    """The owner of an auth database, which no test changes for good."""
    databases = await templates.clone()
    connection = await asyncpg.connect(databases.auth.owner)
    yield connection
    await connection.close()
    await templates.drop(databases)


HARMFUL: Final = {
    "ALTER TABLE clients DROP COLUMN metadata": "clients.metadata is gone",
    "ALTER TABLE clients RENAME COLUMN name TO title": "clients.name is gone",
    "ALTER TABLE clients RENAME TO customers": "clients.client_id is gone",
    "ALTER TABLE clients ALTER COLUMN version TYPE integer": "clients.version was bigint and is integer",
    "ALTER TABLE clients ALTER COLUMN expires_at SET NOT NULL": "clients.expires_at must have a value now",
    "ALTER TABLE clients ALTER COLUMN version DROP DEFAULT": "clients.version gets no value by itself any more",
    "ALTER TABLE clients ADD COLUMN team text NOT NULL": "clients.team is new, and must be given a value",
    "ALTER TABLE clients ADD CHECK (name <> 'x')": "a new rule, which old code may break: clients: CHECK",
    "CREATE UNIQUE INDEX ON clients (name)": "a new rule, which old code may break: clients: unique",
    "DROP TABLE grant_usage": "grant_usage.client_id is gone",
    "DROP FUNCTION audit_maintain(integer)": "function audit_maintain(integer) returns text is gone",
    "DROP TRIGGER clients_heard ON clients": "trigger clients_heard of clients is gone",
}
HARMLESS: Final = (
    "ALTER TABLE clients ADD COLUMN team text",
    "ALTER TABLE clients ADD COLUMN team text NOT NULL DEFAULT '' CHECK (length(team) < 100)",
    "ALTER TABLE clients ALTER COLUMN name DROP NOT NULL",
    "CREATE TABLE teams (name text PRIMARY KEY)",
    "CREATE INDEX ON clients (name)",
)


@pytest.mark.parametrize("statement", [*HARMFUL, *HARMLESS])
async def test_what_would_hinder_earlier_code_is_found(statement: str, owner: Owner) -> None:
    """Each kind of change that is not an expansion is named, and an expansion is not."""
    before = await catalogue.read(owner)
    change = owner.transaction()
    await change.start()
    await owner.execute(statement)
    found = catalogue.breaches(before, await catalogue.read(owner))
    await change.rollback()
    expected = HARMFUL.get(statement)
    assert found == [] if expected is None else any(one.startswith(expected) for one in found), found
