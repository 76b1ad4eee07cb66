"""Systems of a size: so many clients, documents and audit events, of which the services wrote none one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from auth_service.administration.admin_api import create_admin
from benchmarks import population
from benchmarks.processes import Seeded, seeded
from steelcut.service.database.connecting import database_of
from tests.support.system import ACTOR, RESOURCE, Registered, as_owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from tests.support.databases import Databases

# Of a client that is seldom seen there are so many events at every size, of the busy ones each a share of all.
SELDOM: Final = 20
BUSY_CLIENTS: Final = 10
# Administrative changes among the tokens, at every size.
CHANGES: Final = 50
MONTHS: Final = 12
_PER_STATEMENT: Final = 100_000
# PostgreSQL's cache: clients and documents fit into it at every size, so that what grows is the work and not how much
# is read from a disk. The audit log does not.
SHARED_BUFFERS: Final = "2GB"


@dataclass(frozen=True)
class Size:
    """How much there is."""

    name: str
    clients: int
    documents: int
    events: int


SIZES: Final = (
    Size("small", 10, 10, 100_000),
    Size("middle", 10_000, 10_000, 1_000_000),
    Size("large", 1_000_000, 1_000_000, 10_000_000),
)
QUICK: Final = (Size("small", 10, 10, 4_000), Size("large", 1_000, 1_000, 40_000))


@dataclass(frozen=True)
class Grown:
    """A system of a size, with a client that may call the admin API."""

    size: Size
    services: Seeded
    operator: Registered
    # What each of the many clients sends as ``Authorization``; they share their secret.
    credentials: list[str]


# Half of the events are those of ten busy clients, half of many who are seldom seen: `load-11`, `load-12` and so on;
# of these there may be more than clients, as events outlive who left. Written as the service writes them: in the order
# of time, every month into its own partition, twenty to a transaction. Each statement has its part of them.
_EVENTS: Final = """
    INSERT INTO audit_events (at, actor, action, object_type, object_id, outcome, reason, before, after, trace_id,
                              address, transaction_id)
    SELECT begins + (now() - begins) * (n::float8 / {events}),
           CASE WHEN change THEN 'cli:operator@office' ELSE 'client:' || id END,
           CASE WHEN change THEN 'client.update' WHEN refused THEN 'token.refuse' ELSE 'token.issue' END,
           'client', id,
           CASE WHEN change THEN 'done' WHEN refused THEN 'invalid_client' ELSE 'issued' END,
           CASE WHEN refused AND NOT change THEN 'wrong, revoked or expired secret for client ' || id ELSE '' END,
           CASE WHEN change THEN '{{"token_lifetime_seconds": 600}}'::jsonb END,
           CASE WHEN change THEN '{{"token_lifetime_seconds": 3600}}'::jsonb
                WHEN NOT refused THEN jsonb_build_object(
                    'scopes', '["read"]'::jsonb, 'audience', '["{audience}"]'::jsonb, 'lifetime_seconds', 3600,
                    'secret_id', 'abcdefghijkl', 'token_id', gen_random_uuid()::text) END,
           CASE WHEN change THEN '' ELSE md5(n::text) END,
           CASE WHEN change THEN '' ELSE '10.0.' || n / 250 % 250 || '.' || n % 250 END,
           (1000 + n / 20)::text::xid8
      FROM (SELECT n, date_trunc('month', now()) - make_interval(months => {months} - 1) AS begins,
                   n % ({events} / {changes}) = 1 AS change, n % 50 = 0 AS refused,
                   'load-' || CASE WHEN n % 2 = 1 THEN 1 + n / 2 % {busy}
                                   ELSE {busy} + 1 + n / 2 % ({events} / {seldom} / 2) END AS id
              FROM generate_series({first}, {last}) n) events
"""
_USAGE: Final = """
    INSERT INTO secret_usage (client_id, secret_id, last_used_at, last_address)
        SELECT client_id, secret_id, now() - interval '1 day', '10.0.0.1' FROM client_secrets;
    INSERT INTO grant_usage (client_id, resource, scope, last_used_at)
        SELECT client_id, name, scope, now() - interval '1 day' FROM client_grants JOIN resources USING (resource_id);
"""
# The months that the service would have made, one after the other, if it had run for a year.
_PARTITIONS: Final = """
    DO $$ DECLARE begins timestamp; BEGIN
        FOR ago IN 1..{months} - 1 LOOP
            begins := date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => ago);
            EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)',
                'audit_events_' || to_char(begins, 'YYYY_MM'), begins AT TIME ZONE 'UTC',
                (begins + interval '1 month') AT TIME ZONE 'UTC');
        END LOOP;
    END $$
"""
_DOCUMENTS: Final = """
    INSERT INTO documents (resource, key, body, etag)
        SELECT '{resource}', 'k' || n, convert_to(format('{{"about": "document %s", "filler": "%s"}}',
               lpad(n::text, 8, '0'), repeat('x', 100)), 'UTF8'), md5(n::text)
          FROM generate_series(1, {documents}) n
"""

_WARM: Final = (
    "CREATE EXTENSION pg_prewarm",
    """
    SELECT sum(pg_prewarm(oid)) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') AND NOT starts_with(relname, 'audit_events')
    """,
)


async def grown(postgres: EmbeddedPostgres, databases: Databases, size: Size) -> Grown:
    """Fill ``databases`` until they have ``size``, by SQL."""
    services = await seeded(databases)
    operator = await as_owner(
        databases.auth_admin, lambda c: create_admin(c, ACTOR, "Operator", services.auth)
    )
    auth, resource = _superusers(postgres, databases)
    await _fill_audit(auth, size, f"{services.resource}/{RESOURCE}")
    await _execute(resource, _DOCUMENTS.format(resource=RESOURCE, documents=size.documents), "VACUUM ANALYZE")
    # Last, since it also vacuums: nothing is left for autovacuum to begin amid a measurement.
    credentials = await population.many_clients(auth, services.client, size.clients)
    await _execute(auth, "SET session_replication_role = replica", _USAGE, "VACUUM ANALYZE", "CHECKPOINT")
    return Grown(size, services, Registered(operator.client.client_id, operator.secret), credentials)


async def warm(postgres: EmbeddedPostgres, systems: Sequence[Grown]) -> None:
    """Read the clients and documents of all systems into PostgreSQL's cache, where each filling left its own."""
    for system in systems:
        for database in _superusers(postgres, system.services.databases):
            await _execute(database, *_WARM)


async def _fill_audit(superuser: str, size: Size, audience: str) -> None:
    statements = [
        _EVENTS.format(
            first=first,
            last=min(first + _PER_STATEMENT - 1, size.events),
            events=size.events,
            audience=audience,
            months=MONTHS,
            changes=CHANGES,
            busy=BUSY_CLIENTS,
            seldom=SELDOM,
        )
        for first in range(1, size.events + 1, _PER_STATEMENT)
    ]
    await _execute(
        superuser,
        _PARTITIONS.format(months=MONTHS),
        # Neither triggers nor their checks: the rows are right.
        "SET session_replication_role = replica; SET synchronous_commit = off",
        *statements,
    )


def _superusers(postgres: EmbeddedPostgres, databases: Databases) -> tuple[str, str]:
    """Return where the superuser finds the databases of the auth service and of the resource service."""
    return (
        postgres.dsn(database_of(databases.auth.owner)),
        postgres.dsn(database_of(databases.resource.owner)),
    )


async def _execute(superuser: str, *statements: str) -> None:
    connection = await asyncpg.connect(superuser)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
