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

EVENT = "INSERT INTO audit_events (actor, action, object_type, object_id"
VALUES = "'client:a', 'token.issue', 'client', 'a'"
USED = "(client_id, secret_id, last_used_at, last_address) VALUES ('a', 'b', now(), '192.0.2.7')"

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
    "SELECT pg_ls_dir('.')",
    "COPY clients TO '/dev/null'",
    "ALTER SYSTEM SET fsync = off",
    "ALTER TABLE audit_events DISABLE TRIGGER audit_events_feigned",
    f"ALTER TABLE {MONTH} DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_events_feigned ON audit_events",
    "CREATE OR REPLACE FUNCTION refuse_feigned_event() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION audit_maintain(integer) SECURITY INVOKER",
    # What an event has by itself: who could give it could hide it from those who follow the log, or shadow another.
    f"{EVENT}, event_id) VALUES ({VALUES}, gen_random_uuid())",
    f"{EVENT}, transaction_id) VALUES ({VALUES}, '1')",
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
    "UPDATE secret_usage SET secret_id = 'x'",
    "UPDATE grant_usage SET client_id = 'x'",
    # Nor feign what others did.
    f"{EVENT}) VALUES ('cli:root@host', 'client.delete', 'client', 'a')",
    f"{EVENT}) VALUES ('client:a', 'token.issued', 'client', 'a')",
    f"{EVENT}, before) VALUES ({VALUES}, '{{}}')",
    "SELECT * FROM audit_events",
    f"SELECT * FROM {MONTH}",
    "SELECT * FROM idempotent_answers",
    "INSERT INTO idempotent_answers SELECT * FROM idempotent_answers",
    "DELETE FROM idempotent_answers",
    "SELECT audit_maintain(1)",
    "SELECT FROM clients FOR UPDATE",
)
# What the administrator may not do to be unseen either.
ADMINISTRATOR = (
    f"{EVENT}, at) VALUES ('cli:a@b', 'client.delete', 'client', 'a', now() - interval '1 year')",
    f"{EVENT}, outcome) VALUES ('cli:a@b', 'client.delete', 'client', 'a', 'refused')",
)
# What each must be able to do.
MAY = {
    "runtime": (
        "SELECT * FROM clients, client_grants, client_secrets, resources, resource_scopes, signing_keys",
        (
            f"{EVENT}, at, outcome, reason, after, trace_id, address)"
            f" VALUES ({VALUES}, now() - interval '1 hour', 'issued', '', '{{}}', 'ab', '192.0.2.7')"
        ),
        f"{EVENT}) VALUES ('unknown', 'token.refuse', 'client', '')",
        f"INSERT INTO secret_usage {USED}",
        (
            f"INSERT INTO secret_usage {USED} ON CONFLICT (client_id, secret_id) DO UPDATE"
            " SET last_used_at = excluded.last_used_at, last_address = excluded.last_address"
        ),
        "UPDATE grant_usage SET last_used_at = now()",
        "SELECT note_key_in_service(ARRAY['none'], 1, 1, 1)",
    ),
    "administrator": (
        "UPDATE clients SET enabled = true",
        "DELETE FROM client_secrets",
        "UPDATE signing_keys SET lifetime_limit = 1",
        (
            f"{EVENT}, before, after, trace_id, address)"
            " VALUES ('cli:a@b', 'client.update', 'client', 'a', '{}', '{}', 'ab', '192.0.2.7')"
        ),
        "INSERT INTO idempotent_answers SELECT * FROM idempotent_answers",
        "DELETE FROM idempotent_answers",
        "SELECT * FROM audit_events",
        "SELECT audit_maintain(12)",
    ),
}

READ = (
    "clients",
    "client_grants",
    "client_secrets",
    "resources",
    "resource_scopes",
    "signing_keys",
    "alembic_version",
)
# Each role's rights on each table, in small letters those on some of its columns only.
RIGHTS = """
    SELECT role, c.relname AS name, string_agg(
               CASE WHEN has_table_privilege(role, c.oid, verb) THEN verb ELSE lower(verb) END, ' ' ORDER BY verb
           ) AS rights
      FROM unnest(ARRAY['auth_runtime', 'auth_admin']) AS role, pg_class c,
           unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS verb
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND (has_table_privilege(role, c.oid, verb)
            OR verb IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(role, c.oid, verb))
     GROUP BY role, c.relname
"""


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


@pytest.mark.parametrize("statement", [*NOBODY, *ADMINISTRATOR])
async def test_administrator_cannot(connections: dict[str, Any], statement: str) -> None:
    """Whoever takes over a replica that administers cannot make it unseen, and defines nothing."""
    await _is_refused(connections["administrator"], statement)


@pytest.mark.parametrize("role", ["runtime", "administrator"])
async def test_no_month_can_be_reached_around_the_log(connections: dict[str, Any], role: str) -> None:
    """A right on a partition of its own would go past those of the log: nobody has one, on any of them."""
    months = await connections[role].fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
    )
    assert {"audit_events_other", MONTH} < {month["name"] for month in months}
    for month in months:
        for statement in (
            f"SELECT * FROM {month['name']}",
            f"INSERT INTO {month['name']} (actor, action, object_type, object_id) VALUES ({VALUES})",
            f"UPDATE {month['name']} SET actor = 'somebody else'",
            f"DELETE FROM {month['name']}",
            f"TRUNCATE {month['name']}",
        ):
            await _is_refused(connections[role], statement)


async def test_rights_are_these_and_no_others(system: System) -> None:
    """A table that comes later, or a right that slips in, is seen here."""
    rows = await system.as_owner(lambda c: c.fetch(RIGHTS))
    found: dict[str, dict[str, str]] = {"auth_runtime": {}, "auth_admin": {}}
    for row in rows:
        found[row["role"]][row["name"]] = row["rights"]
    assert found == {
        "auth_runtime": {
            **dict.fromkeys(READ, "SELECT"),
            "audit_events": "insert",
            **dict.fromkeys(("secret_usage", "grant_usage"), "INSERT SELECT update"),
        },
        "auth_admin": {
            **dict.fromkeys(READ, "DELETE INSERT SELECT UPDATE"),
            **dict.fromkeys(
                ("secret_usage", "grant_usage", "idempotent_answers"), "DELETE INSERT SELECT UPDATE"
            ),
            "alembic_version": "SELECT",
            "audit_events": "insert SELECT",
        },
    }


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
