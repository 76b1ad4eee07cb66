"""What the token endpoint reads: clients by their ids, the keys, the scopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from auth_service.clients import Client, GrantedResource, StoredSecret

if TYPE_CHECKING:
    import asyncpg

    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key as it lies in the database: its private part sealed."""

    kid: str
    algorithm: str
    state: str
    public_jwk: str
    master_key_id: str
    created_at: datetime
    sealed_private: bytes = field(repr=False)


# The hot statement: a row for each id, by primary keys, with everything that a token request may need.
# The array stands in a SELECT of its own, so that its length is unknown also to a plan that is made for it: else that
# plan looks cheaper than the one that is kept, and PostgreSQL plans each time, for several times as long as it reads.
# For an id that nobody has, the row of some client: it must not be answered sooner than one with a wrong secret.
CLIENTS_BY_ID = """
    SELECT c.client_id, c.enabled, extract(epoch FROM c.expires_at) AS expires_at, c.grant_types,
           c.token_lifetime_seconds, d.name AS default_resource,
           (SELECT coalesce(json_agg(json_build_array(s.secret_id, s.hash, extract(epoch FROM s.expires_at))), '[]')
              FROM client_secrets s WHERE s.client_id = c.client_id) AS secrets,
           (SELECT coalesce(json_agg(json_build_array(r.name, r.identifier, r.token_lifetime_seconds,
                                                     g.scopes, g.default_scopes)), '[]')
              FROM (SELECT resource_id, json_agg(scope) AS scopes,
                           coalesce(json_agg(scope) FILTER (WHERE is_default), '[]') AS default_scopes
                      FROM client_grants JOIN resource_scopes USING (resource_id, scope)
                     WHERE client_id = c.client_id GROUP BY resource_id) g
              JOIN resources r USING (resource_id)) AS grants
      FROM unnest((SELECT $1::text[])) wanted (client_id)
      JOIN clients c
        ON c.client_id = coalesce(
               (SELECT client_id FROM clients WHERE client_id = wanted.client_id),
               (SELECT client_id FROM clients ORDER BY client_id LIMIT 1)
           )
      LEFT JOIN resources d ON d.resource_id = c.default_resource_id
"""


async def clients_by_id(connection: Connection, client_ids: Sequence[str]) -> dict[str, Client]:
    """Read clients with their secrets and grants; an id that nobody has may lead to somebody else."""
    rows = await connection.fetch(CLIENTS_BY_ID, client_ids)
    return {row["client_id"]: _client(row) for row in rows}


def _client(row: asyncpg.Record) -> Client:
    resources = [
        # A resource without default scopes gives all that were granted.
        GrantedResource(
            name, identifier, frozenset(scopes), tuple(sorted(default_scopes or scopes)), lifetime
        )
        for name, identifier, lifetime, scopes, default_scopes in orjson.loads(row["grants"])
    ]
    by_name = {resource.name: resource for resource in resources}
    only = resources[0] if len(resources) == 1 else None
    return Client(
        client_id=row["client_id"],
        enabled=row["enabled"],
        expires_at=None if row["expires_at"] is None else float(row["expires_at"]),
        grant_types=frozenset(row["grant_types"]),
        secrets={
            secret_id: StoredSecret(secret_id, hashed, expires_at)
            for secret_id, hashed, expires_at in orjson.loads(row["secrets"])
        },
        targets={resource.identifier: resource for resource in resources} | by_name,
        # A default that is no longer granted is no default.
        default_target=by_name.get(row["default_resource"], only),
        token_lifetime_seconds=row["token_lifetime_seconds"],
    )


async def imported_hashes(connection: Connection, limit: int) -> tuple[str, ...]:
    """Read up to ``limit`` hashes of secrets that came from other servers."""
    rows = await connection.fetch(
        "SELECT hash FROM client_secrets WHERE secret_id LIKE 'imported-%' ORDER BY client_id LIMIT $1", limit
    )
    return tuple(row["hash"] for row in rows)


async def scopes(connection: Connection) -> tuple[str, ...]:
    """Read all scopes that any resource knows, in order."""
    rows = await connection.fetch("SELECT DISTINCT scope FROM resource_scopes ORDER BY scope")
    return tuple(row["scope"] for row in rows)


async def signing_keys(connection: Connection) -> list[StoredKey]:
    """Read all signing keys, oldest first."""
    rows = await connection.fetch(
        "SELECT kid, algorithm, state, public_jwk, master_key_id, created_at, sealed_private"
        " FROM signing_keys ORDER BY created_at, kid"
    )
    return [StoredKey(**row) for row in rows]
