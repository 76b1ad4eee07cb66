"""Resources and their scopes as an operator sees and changes them, and who may call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from auth_service.queries.clients import REPORT_SECONDS, STATE

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A registered resource with the scopes that belong to it.

    ``default_scopes`` are those of ``scopes`` that a client gets which asks for none, as far as they were granted to
    it. ``version`` grows with every change.
    """

    name: str
    identifier: str
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...]
    token_lifetime_seconds: int | None
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class CallerRow:
    """A client that may call a resource; ``scopes`` says for each granted one when a token last had it."""

    client_id: str
    name: str
    state: str
    scopes: dict[str, datetime | None]
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """A scope of one resource, to how many clients it was granted, and when a token last had it."""

    resource: str
    scope: str
    is_default: bool
    clients: int
    last_used_at: datetime | None


_RESOURCES = """
    SELECT r.name, r.identifier, r.token_lifetime_seconds, r.created_at, r.updated_at, r.version,
           ARRAY(SELECT scope FROM resource_scopes s WHERE s.resource_id = r.resource_id
                  ORDER BY scope COLLATE "C") AS scopes,
           ARRAY(SELECT scope FROM resource_scopes s WHERE s.resource_id = r.resource_id AND is_default
                  ORDER BY scope COLLATE "C") AS default_scopes
      FROM resources r
     WHERE $1::text[] IS NULL OR r.name = ANY($1)
     ORDER BY r.name
"""

# First the ids of the page alone, which one index holds in order: no other clients are read, however few those are.
# The limit is not a parameter: see `clients.clients`.
_CALLERS = f"""
    SELECT c.client_id, c.name, {STATE} AS state, max(u.last_used_at) AS last_used_at,
           json_object_agg(g.scope, u.last_used_at ORDER BY g.scope COLLATE "C") AS scopes
      FROM (SELECT DISTINCT client_id, resource_id
              FROM client_grants
             WHERE resource_id = (SELECT resource_id FROM resources WHERE name = $1) AND client_id > $2
             ORDER BY client_id LIMIT {{limit:d}}) page
      JOIN clients c USING (client_id)
      JOIN client_grants g USING (client_id, resource_id)
      LEFT JOIN grant_usage u ON u.client_id = g.client_id AND u.resource = $1 AND u.scope = g.scope
     GROUP BY c.client_id
     ORDER BY c.client_id
"""

_SCOPES = """
    SELECT r.name AS resource, s.scope, s.is_default,
           (SELECT count(*) FROM client_grants g WHERE g.resource_id = s.resource_id AND g.scope = s.scope) AS clients,
           (SELECT max(last_used_at) FROM grant_usage u WHERE u.resource = r.name AND u.scope = s.scope) AS last_used_at
      FROM resource_scopes s
      JOIN resources r USING (resource_id)
     WHERE $1::text IS NULL OR r.name = $1
     ORDER BY r.name, s.scope COLLATE "C"
"""


async def resources(connection: Connection, names: Sequence[str] | None = None) -> list[ResourceRow]:
    """Read all resources by name, or those called ``names``."""
    rows = await connection.fetch(_RESOURCES, names)
    return [
        ResourceRow(**{**row, "scopes": tuple(row["scopes"]), "default_scopes": tuple(row["default_scopes"])})
        for row in rows
    ]


async def lock_resource(connection: Connection, name: str) -> bool:
    """Hold a resource against changes and new grants until the transaction's end; say whether one was there.

    After waiting for the end of one that was deleted there is none, though another of that name may exist by now.
    """
    return bool(await connection.fetchval("SELECT true FROM resources WHERE name = $1 FOR UPDATE", name))


async def share_resources(connection: Connection, names: Sequence[str]) -> set[str]:
    """Hold resources against changes until the transaction's end; others may grant them at the same time.

    Return the names of those that were there, as ``lock_resource`` does.
    """
    # In one order, so that two that hold several never wait for each other.
    rows = await connection.fetch(
        "SELECT name FROM resources WHERE name = ANY($1) ORDER BY resource_id FOR SHARE", names
    )
    return {row["name"] for row in rows}


async def insert_resource(
    connection: Connection,
    name: str,
    identifier: str,
    scopes: Sequence[str],
    lifetime: int | None,
    default_scopes: Sequence[str] = (),
) -> None:
    """Store a resource and its scopes. The caller holds the transaction."""
    await connection.execute(
        "INSERT INTO resources (name, identifier, token_lifetime_seconds) VALUES ($1, $2, $3)",
        name,
        identifier,
        lifetime,
    )
    await set_scopes(connection, name, scopes, default_scopes)


async def update_resource(connection: Connection, name: str, identifier: str, lifetime: int | None) -> None:
    """Store what may be changed of a resource, under the next version. The caller holds the resource's lock."""
    await connection.execute(
        "UPDATE resources SET identifier = $2, token_lifetime_seconds = $3, version = version + 1,"
        " updated_at = now() WHERE name = $1",
        name,
        identifier,
        lifetime,
    )


async def set_scopes(
    connection: Connection, name: str, scopes: Sequence[str], default_scopes: Sequence[str]
) -> None:
    """Give a resource exactly ``scopes``. Those that go must not be granted any more."""
    await connection.execute(
        "DELETE FROM resource_scopes USING resources r"
        " WHERE r.resource_id = resource_scopes.resource_id AND r.name = $1 AND scope <> ALL($2::text[])",
        name,
        scopes,
    )
    await connection.execute(
        "INSERT INTO resource_scopes AS known (resource_id, scope, is_default)"
        " SELECT resource_id, w.scope, w.scope = ANY($3::text[]) FROM resources, unnest($2::text[]) w (scope)"
        " WHERE name = $1"
        " ON CONFLICT (resource_id, scope) DO UPDATE SET is_default = excluded.is_default"
        " WHERE known.is_default <> excluded.is_default",
        name,
        scopes,
        default_scopes,
    )


async def delete_resource(connection: Connection, name: str) -> None:
    """Delete a resource with its scopes and what is known of their use. None of it may be granted any more."""
    await connection.execute("DELETE FROM resources WHERE name = $1", name)
    await connection.execute("DELETE FROM grant_usage WHERE resource = $1", name)


async def take_default(connection: Connection, name: str) -> list[str]:
    """Leave the clients whose default a resource is without one, and return their ids in order."""
    rows = await connection.fetch(
        "UPDATE clients SET default_resource_id = NULL, version = version + 1, updated_at = now()"
        " WHERE default_resource_id = (SELECT resource_id FROM resources WHERE name = $1) RETURNING client_id",
        name,
    )
    return sorted(row["client_id"] for row in rows)


async def lock_callers(connection: Connection, name: str) -> None:
    """Hold the clients that a resource was granted to, or is the default of, against other changes."""
    # In one order, as always.
    await connection.execute(
        "SELECT FROM clients WHERE default_resource_id = (SELECT resource_id FROM resources WHERE name = $1)"
        " OR client_id IN (SELECT client_id FROM client_grants JOIN resources USING (resource_id) WHERE name = $1)"
        " ORDER BY client_id FOR NO KEY UPDATE",
        name,
    )


async def grants_of(
    connection: Connection, name: str, scopes: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Read which clients were granted any of ``scopes`` (None: of all) of a resource, with those scopes."""
    rows = await connection.fetch(
        'SELECT client_id, array_agg(scope ORDER BY scope COLLATE "C") AS scopes'
        " FROM client_grants JOIN resources USING (resource_id)"
        " WHERE name = $1 AND ($2::text[] IS NULL OR scope = ANY($2)) GROUP BY client_id ORDER BY client_id",
        name,
        scopes,
    )
    return {row["client_id"]: row["scopes"] for row in rows}


async def take_grants(connection: Connection, name: str, scopes: Sequence[str] | None) -> None:
    """Take ``scopes`` (None: all) of a resource from whomever they were granted. The caller holds its lock."""
    await connection.execute(
        "WITH taken AS (DELETE FROM client_grants USING resources r"
        " WHERE r.resource_id = client_grants.resource_id AND r.name = $1"
        " AND ($2::text[] IS NULL OR scope = ANY($2)) RETURNING client_id)"
        " UPDATE clients SET version = version + 1, updated_at = now()"
        " WHERE client_id IN (SELECT client_id FROM taken)",
        name,
        scopes,
    )


async def callers(connection: Connection, name: str, *, after: str, limit: int) -> list[CallerRow]:
    """Read who may call a resource, by client id from the one after ``after`` on."""
    statement = _CALLERS.format(limit=limit)
    return [_caller_row(row) for row in await connection.fetch(statement, name, after)]


async def scopes(connection: Connection, name: str | None = None) -> list[ScopeRow]:
    """Read every scope of every resource, or of one."""
    return [ScopeRow(**row) for row in await connection.fetch(_SCOPES, name, timeout=REPORT_SECONDS)]


def _caller_row(row: Any) -> CallerRow:
    used = orjson.loads(row["scopes"])
    return CallerRow(
        client_id=row["client_id"],
        name=row["name"],
        state=row["state"],
        scopes={scope: datetime.fromisoformat(at) if at else None for scope, at in used.items()},
        last_used_at=row["last_used_at"],
    )
