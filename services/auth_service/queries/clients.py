"""Clients and their grants as an operator sees and changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as an operator sees it.

    ``state`` is active, disabled, or expired (enabled, and past its ``expires_at``). ``grants`` maps resource names
    to scopes. ``version`` grows with every change but those of secrets. ``last_used_at`` is when it last got a
    token, by whichever secret; it is noted once a minute.
    """

    client_id: str
    name: str
    state: str
    enabled: bool
    grants: dict[str, list[str]]
    default_resource: str | None
    token_lifetime_seconds: int | None
    expires_at: datetime | None
    metadata: dict[str, Any]
    secret_ids: tuple[str, ...]
    last_used_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class ClientFields:
    """What may be changed of a client, apart from its grants."""

    name: str
    enabled: bool = True
    default_resource: str | None = None
    token_lifetime_seconds: int | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] | None = None


# What may have to read all there is has so long: an operator waits for it, and no token.
REPORT_SECONDS: Final = 30.0

STATE = """
    CASE WHEN NOT c.enabled THEN 'disabled' WHEN c.expires_at <= now() THEN 'expired' ELSE 'active' END
"""

_COLUMNS = f"""
    SELECT c.client_id, c.name, {STATE} AS state, c.enabled, d.name AS default_resource, c.token_lifetime_seconds,
           c.expires_at, c.metadata, c.created_at, c.updated_at, c.version,
           ARRAY(SELECT secret_id FROM client_secrets s WHERE s.client_id = c.client_id
                  ORDER BY s.created_at, s.secret_id) AS secret_ids,
           (SELECT coalesce(json_object_agg(r.name, g.scopes), '{{}}')
              FROM (SELECT resource_id, json_agg(scope ORDER BY scope COLLATE "C") AS scopes
                      FROM client_grants WHERE client_id = c.client_id GROUP BY resource_id) g
              JOIN resources r USING (resource_id)) AS grants,
           greatest((SELECT max(last_used_at) FROM secret_usage u WHERE u.client_id = c.client_id),
                    (SELECT max(last_used_at) FROM grant_usage u WHERE u.client_id = c.client_id)) AS last_used_at
"""
_DEFAULT = "LEFT JOIN resources d ON d.resource_id = c.default_resource_id"
_SELECT = f"{_COLUMNS} FROM clients c {_DEFAULT}"
# Who may call the resource $2, by the index of grants: where only few may call it, no other clients are
# read. OFFSET keeps PostgreSQL from turning it round.
_SELECT_CALLERS = f"""{_COLUMNS}
      FROM (SELECT DISTINCT client_id
              FROM client_grants
             WHERE resource_id = (SELECT resource_id FROM resources WHERE name = $2) AND client_id > $1
             ORDER BY client_id) callers
     CROSS JOIN LATERAL (SELECT * FROM clients WHERE client_id = callers.client_id OFFSET 0) c
      {_DEFAULT}
"""

_CLIENT = f"{_SELECT} WHERE c.client_id = $1"

# What is not asked for is not in the statement, and the limit is: a plan for every filter and any limit would look dear
# beside many clients, and PostgreSQL would plan each page anew, for longer than it takes to read it.
_CONDITIONS = {
    "text": """ AND (strpos(lower(c.client_id), lower({0})) > 0 OR strpos(lower(c.name), lower({0})) > 0
                     OR strpos(lower(c.metadata::text), lower({0})) > 0)""",
    "resource": "",
    "state": f" AND {STATE} = {{0}}",
}


async def client(connection: Connection, client_id: str) -> ClientRow | None:
    """Read one client."""
    row = await connection.fetchrow(_CLIENT, client_id)
    return None if row is None else _client_row(row)


async def clients(
    connection: Connection,
    *,
    after: str,
    text: str | None,
    resource: str | None,
    state: str | None,
    limit: int,
) -> list[ClientRow]:
    """Read clients by id from the one after ``after`` on; ``text`` is looked for in id, name and metadata."""
    asked = {"resource": resource, "text": text, "state": state}
    values = {name: value for name, value in asked.items() if value is not None}
    conditions = "".join(_CONDITIONS[name].format(f"${number}") for number, name in enumerate(values, 2))
    # No id is empty, so an empty $1 is the beginning, and the primary key's index is read from there.
    select, place = (_SELECT, "c") if resource is None else (_SELECT_CALLERS, "callers")
    statement = (
        f"{select} WHERE {place}.client_id > $1{conditions} ORDER BY {place}.client_id LIMIT {limit:d}"
    )
    rows = await connection.fetch(statement, after, *values.values(), timeout=REPORT_SECONDS)
    return [_client_row(row) for row in rows]


async def lock_client(connection: Connection, client_id: str) -> bool:
    """Hold a client against other changes until the transaction's end; say whether there was one to be held.

    After waiting for the end of one that was deleted there is none, though another of that id may exist by now.
    """
    return bool(
        await connection.fetchval(
            "SELECT true FROM clients WHERE client_id = $1 FOR NO KEY UPDATE", client_id
        )
    )


async def insert_client(connection: Connection, client_id: str, fields: ClientFields) -> None:
    """Store a client without grants and secrets. The caller holds the transaction."""
    await connection.execute(
        "INSERT INTO clients (client_id, name, enabled, default_resource_id, token_lifetime_seconds, expires_at,"
        " metadata) VALUES ($1, $2, $3, (SELECT resource_id FROM resources WHERE name = $4), $5, $6, $7)",
        client_id,
        *_columns(fields),
    )


async def update_client(connection: Connection, client_id: str, fields: ClientFields) -> None:
    """Store a client's fields anew, under the next version. The caller holds the client's lock."""
    await connection.execute(
        "UPDATE clients SET name = $2, enabled = $3, token_lifetime_seconds = $5, expires_at = $6, metadata = $7,"
        " default_resource_id = (SELECT resource_id FROM resources WHERE name = $4),"
        " version = version + 1, updated_at = now() WHERE client_id = $1",
        client_id,
        *_columns(fields),
    )


async def delete_client(connection: Connection, client_id: str) -> None:
    """Delete a client with its grants and secrets. The caller holds the client's lock."""
    await connection.execute("DELETE FROM clients WHERE client_id = $1", client_id)
    await forget_usage(connection, client_id)


async def forget_usage(connection: Connection, client_id: str) -> None:
    """Delete what is known of the use of an id, which another client of that id must not inherit."""
    await connection.execute("DELETE FROM secret_usage WHERE client_id = $1", client_id)
    await connection.execute("DELETE FROM grant_usage WHERE client_id = $1", client_id)


async def replace_grants(connection: Connection, client_id: str, grants: Mapping[str, Sequence[str]]) -> None:
    """Grant a client exactly ``grants``; what stays is not touched. The caller holds the client's lock."""
    pairs = [(resource, scope) for resource, scopes in grants.items() for scope in scopes]
    names, scopes = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    wanted = (
        "SELECT r.resource_id, w.scope FROM unnest($2::text[], $3::text[]) w (name, scope)"
        " JOIN resources r USING (name)"
    )
    await connection.execute(
        f"DELETE FROM client_grants WHERE client_id = $1 AND (resource_id, scope) NOT IN ({wanted})",
        client_id,
        names,
        scopes,
    )
    await connection.execute(
        "INSERT INTO client_grants (client_id, resource_id, scope)"
        f" SELECT $1, resource_id, scope FROM ({wanted}) ON CONFLICT DO NOTHING",
        client_id,
        names,
        scopes,
    )


def _columns(fields: ClientFields) -> tuple[Any, ...]:
    return (
        fields.name,
        fields.enabled,
        fields.default_resource,
        fields.token_lifetime_seconds,
        fields.expires_at,
        orjson.dumps(fields.metadata or {}).decode(),
    )


def _client_row(row: Any) -> ClientRow:
    return ClientRow(
        **{
            **row,
            "grants": orjson.loads(row["grants"]),
            "metadata": orjson.loads(row["metadata"]),
            "secret_ids": tuple(row["secret_ids"]),
        }
    )


async def may_administer(connection: Connection) -> bool:
    """Say whether the role of this connection may change clients."""
    may: bool = await connection.fetchval("SELECT has_table_privilege('clients', 'INSERT')")
    return may
