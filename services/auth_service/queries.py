"""Every SQL statement of the authorization server: connection first, literal text, frozen values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from auth_service.clients import Client, GrantedResource, StoredSecret

if TYPE_CHECKING:
    from auth_service.signing_keys import NewKey
    from steelcut.service.postgres import Connection


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


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A registered resource with the scopes that belong to it."""

    name: str
    identifier: str
    scopes: tuple[str, ...]
    token_lifetime_seconds: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as an operator sees it. ``grants`` maps resource names to scopes."""

    client_id: str
    name: str
    grants: dict[str, list[str]]
    default_resource: str | None
    token_lifetime_seconds: int | None
    secret_ids: tuple[str, ...]
    created_at: datetime


# The hot statement: one row, by primary keys, with everything that a token request may need.
CLIENT_BY_ID = """
    SELECT c.client_id, c.grant_types, c.token_lifetime_seconds, d.name AS default_resource,
           (SELECT coalesce(json_agg(json_build_array(s.secret_id, s.hash, extract(epoch FROM s.expires_at))), '[]')
              FROM client_secrets s WHERE s.client_id = c.client_id) AS secrets,
           (SELECT coalesce(json_agg(json_build_array(r.name, r.identifier, r.token_lifetime_seconds, g.scopes)), '[]')
              FROM (SELECT resource_id, json_agg(scope) AS scopes
                      FROM client_grants WHERE client_id = c.client_id GROUP BY resource_id) g
              JOIN resources r USING (resource_id)) AS grants
      FROM clients c
      LEFT JOIN resources d ON d.resource_id = c.default_resource_id
     WHERE c.client_id = coalesce(
               (SELECT client_id FROM clients WHERE client_id = $1),
               (SELECT client_id FROM clients ORDER BY client_id LIMIT 1)
           )
"""

_RESOURCES = """
    SELECT r.name, r.identifier, r.token_lifetime_seconds, r.created_at,
           ARRAY(SELECT scope FROM resource_scopes s WHERE s.resource_id = r.resource_id ORDER BY scope) AS scopes
      FROM resources r
     WHERE $1::text IS NULL OR r.name = $1
     ORDER BY r.name
"""

_CLIENTS = """
    SELECT c.client_id, c.name, c.token_lifetime_seconds, c.created_at, d.name AS default_resource,
           ARRAY(SELECT secret_id FROM client_secrets s WHERE s.client_id = c.client_id ORDER BY s.created_at)
               AS secret_ids,
           (SELECT coalesce(json_object_agg(r.name, g.scopes), '{}')
              FROM (SELECT resource_id, json_agg(scope ORDER BY scope) AS scopes
                      FROM client_grants WHERE client_id = c.client_id GROUP BY resource_id) g
              JOIN resources r USING (resource_id)) AS grants
      FROM clients c
      LEFT JOIN resources d ON d.resource_id = c.default_resource_id
     WHERE $1::text IS NULL OR c.client_id = $1
     ORDER BY c.client_id
"""


async def client_by_id(connection: Connection, client_id: str) -> Client | None:
    """Read a client with its secrets and grants, None when there is none of that id."""
    row = await connection.fetchrow(CLIENT_BY_ID, client_id)
    if row is None:
        return None
    resources = [
        GrantedResource(name, identifier, frozenset(scopes), lifetime)
        for name, identifier, lifetime, scopes in orjson.loads(row["grants"])
    ]
    by_name = {resource.name: resource for resource in resources}
    only = resources[0] if len(resources) == 1 else None
    client = Client(
        client_id=row["client_id"],
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
    # Only now: an unknown client must not be answered sooner than one with a wrong secret.
    return client if client.client_id == client_id else None


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


async def insert_signing_key(connection: Connection, key: NewKey, sealed: bytes, master_key_id: str) -> str:
    """Store a key and return its state: active when no key signs yet, since nobody can hold an older set."""
    state: str = await connection.fetchval(
        "INSERT INTO signing_keys (kid, algorithm, state, public_jwk, sealed_private, master_key_id, activated_at)"
        " SELECT $1, $2, s.state, $3, $4, $5, CASE s.state WHEN 'active' THEN now() END"
        " FROM (SELECT CASE WHEN EXISTS (SELECT FROM signing_keys WHERE state = 'active')"
        " THEN 'pending' ELSE 'active' END AS state) s RETURNING state",
        key.kid,
        key.algorithm,
        key.public_jwk,
        sealed,
        master_key_id,
    )
    return state


async def resources(connection: Connection, name: str | None = None) -> list[ResourceRow]:
    """Read all resources by name, or the one called ``name``."""
    rows = await connection.fetch(_RESOURCES, name)
    return [ResourceRow(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]


async def insert_resource(
    connection: Connection, name: str, identifier: str, scopes: Sequence[str], lifetime: int | None
) -> None:
    """Store a resource and its scopes. The caller holds the transaction."""
    resource_id = await connection.fetchval(
        "INSERT INTO resources (name, identifier, token_lifetime_seconds) VALUES ($1, $2, $3) RETURNING resource_id",
        name,
        identifier,
        lifetime,
    )
    await connection.execute(
        "INSERT INTO resource_scopes (resource_id, scope) SELECT $1, unnest($2::text[])", resource_id, scopes
    )


async def clients(connection: Connection, client_id: str | None = None) -> list[ClientRow]:
    """Read all clients by id, or the one of ``client_id``."""
    rows = await connection.fetch(_CLIENTS, client_id)
    return [ClientRow(**_client_row(row)) for row in rows]


async def insert_client(
    connection: Connection, client_id: str, name: str, default_resource: str | None, lifetime: int | None
) -> None:
    """Store a client without grants and secrets. The caller holds the transaction."""
    await connection.execute(
        "INSERT INTO clients (client_id, name, default_resource_id, token_lifetime_seconds)"
        " VALUES ($1, $2, (SELECT resource_id FROM resources WHERE name = $3), $4)",
        client_id,
        name,
        default_resource,
        lifetime,
    )


async def insert_grant(connection: Connection, client_id: str, resource: str, scopes: Sequence[str]) -> None:
    """Grant a client scopes of one resource. The caller holds the transaction."""
    await connection.execute(
        "INSERT INTO client_grants (client_id, resource_id, scope)"
        " SELECT $1, resource_id, unnest($3::text[]) FROM resources WHERE name = $2",
        client_id,
        resource,
        scopes,
    )


async def insert_secret(connection: Connection, client_id: str, secret_id: str, hashed: str) -> None:
    """Give a client one more secret, as its hash."""
    await connection.execute(
        "INSERT INTO client_secrets (client_id, secret_id, hash) VALUES ($1, $2, $3)",
        client_id,
        secret_id,
        hashed,
    )


def _client_row(row: Any) -> dict[str, Any]:
    return {**row, "grants": orjson.loads(row["grants"]), "secret_ids": tuple(row["secret_ids"])}
