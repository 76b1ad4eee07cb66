"""What the roles of the auth database cannot do, by trying, each as somebody who has taken it over would."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from tests.support.system import System

MONTH = f"audit_events_{datetime.now(UTC):%Y_%m}"
EVENTS = ("audit_events", MONTH, "audit_events_other")

# Neither role may do any of it.
NOBODY = (
    *(f"UPDATE {table} SET actor = 'somebody else'" for table in EVENTS),
    *(f"DELETE FROM {table}" for table in EVENTS),
    *(f"TRUNCATE {table}" for table in EVENTS),
    f"INSERT INTO {MONTH} (actor, action, object_type, object_id) VALUES ('a', 'b', 'c', 'd')",
    f"ALTER TABLE audit_events DETACH PARTITION {MONTH}",
    f"DROP TABLE {MONTH}",
    "DROP TABLE clients",
    "ALTER TABLE clients ADD COLUMN note text",
    "ALTER TABLE clients DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "CREATE TABLE mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE TEMPORARY TABLE clients (x int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER mine AFTER INSERT ON clients EXECUTE FUNCTION notify_client()",
    "CREATE RULE mine AS ON INSERT TO audit_events DO INSTEAD NOTHING",
    "CREATE POLICY mine ON clients USING (true)",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "SET ROLE auth_owner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY clients FROM '/etc/passwd'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')",
    "CREATE EXTENSION dblink",
    "CREATE DATABASE mine",
    "UPDATE alembic_version SET version_num = '0001'",
    "BEGIN; LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE",
)
# What the role of the replicas that strangers reach may not do either.
RUN_TIME = (
    "INSERT INTO clients (client_id, name) VALUES ('x', 'x')",
    "UPDATE clients SET enabled = true",
    "DELETE FROM clients",
    "TRUNCATE clients CASCADE",
    "INSERT INTO client_grants (client_id, resource_id, scope) SELECT client_id, 1, 'write' FROM clients",
    "UPDATE client_grants SET scope = 'write'",
    "DELETE FROM client_grants",
    "INSERT INTO client_secrets (client_id, secret_id, hash) SELECT client_id, 'x', 'x' FROM clients",
    "UPDATE client_secrets SET hash = 'x'",
    "UPDATE client_secrets SET expires_at = NULL",
    "DELETE FROM client_secrets",
    "INSERT INTO signing_keys SELECT * FROM signing_keys",
    "UPDATE signing_keys SET state = 'retired'",
    "DELETE FROM signing_keys",
    "TRUNCATE signing_keys",
    "INSERT INTO resources (name, identifier) VALUES ('x', 'https://x.example.com')",
    "UPDATE resources SET identifier = 'https://evil.example.com'",
    "DELETE FROM resources",
    "INSERT INTO resource_scopes (resource_id, scope) VALUES (1, 'x')",
    "UPDATE resource_scopes SET is_default = true",
    "DELETE FROM resource_scopes",
    "DELETE FROM secret_usage",
    "DELETE FROM grant_usage",
    "SELECT * FROM audit_events",
    f"SELECT * FROM {MONTH}",
    "SELECT * FROM idempotent_answers",
    "INSERT INTO idempotent_answers SELECT * FROM idempotent_answers",
    "DELETE FROM idempotent_answers",
    "SELECT audit_maintain(1)",
    "SELECT FROM clients FOR UPDATE",
)
# What each must be able to do.
MAY = {
    "runtime": (
        "SELECT * FROM clients, client_grants, client_secrets, resources, resource_scopes, signing_keys",
        "INSERT INTO audit_events (actor, action, object_type, object_id) VALUES ('a', 'token.issue', 'c', 'd')",
        "INSERT INTO secret_usage (client_id, secret_id, last_used_at) VALUES ('a', 'b', now())",
        "SELECT note_key_in_service(ARRAY['none'], 1, 1, 1)",
    ),
    "administrator": (
        "UPDATE clients SET enabled = true",
        "DELETE FROM client_secrets",
        "UPDATE signing_keys SET lifetime_limit = 1",
        "INSERT INTO audit_events (actor, action, object_type, object_id) VALUES ('a', 'b', 'c', 'd')",
        "SELECT * FROM audit_events",
        "SELECT audit_maintain(12)",
    ),
}


@pytest.fixture
async def connections(system: System) -> AsyncIterator[dict[str, Any]]:
    """A connection of each role: of the replicas that serve `/token`, and of those that administer."""
    async with contextlib.AsyncExitStack() as stack:
        opened = {}
        for role, url in (
            ("runtime", system.databases.auth.runtime),
            ("administrator", system.databases.auth_admin),
        ):
            opened[role] = await asyncpg.connect(url)
            stack.push_async_callback(opened[role].close)
        yield opened


@pytest.mark.parametrize("statement", [*NOBODY, *RUN_TIME])
async def test_run_time_role_cannot(connections: dict[str, Any], statement: str) -> None:
    """Whoever takes over a replica that strangers reach can change or delete no client, key or audit event."""
    await _is_refused(connections["runtime"], statement)


@pytest.mark.parametrize("statement", NOBODY)
async def test_administrator_cannot(connections: dict[str, Any], statement: str) -> None:
    """Whoever takes over a replica that administers cannot make it unseen, and defines nothing."""
    await _is_refused(connections["administrator"], statement)


@pytest.mark.parametrize(("role", "statement"), [(role, each) for role, all_ in MAY.items() for each in all_])
async def test_each_can_do_its_work(connections: dict[str, Any], role: str, statement: str) -> None:
    """Otherwise the refusals above would say little."""
    transaction = connections[role].transaction()
    await transaction.start()
    await connections[role].execute(statement)
    await transaction.rollback()


async def _is_refused(connection: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
