"""Whole clients, read and written by the thousand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from auth_service.transfer.records import ClientRecord, ResourceRecord, SecretRecord

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from steelcut.service.database.postgres import Connection

# How many rows a cursor brings at once.
_BATCH = 1000

_RESOURCES = """
    SELECT r.name, r.identifier, r.token_lifetime_seconds,
           ARRAY(SELECT scope FROM resource_scopes s WHERE s.resource_id = r.resource_id ORDER BY scope) AS scopes,
           ARRAY(SELECT scope FROM resource_scopes s WHERE s.resource_id = r.resource_id AND is_default
                  ORDER BY scope) AS default_scopes
      FROM resources r
     ORDER BY r.name
"""

_CLIENTS = """
    SELECT c.client_id, c.name, c.enabled, c.expires_at, c.grant_types, c.token_lifetime_seconds, c.metadata,
           d.name AS default_resource,
           (SELECT coalesce(json_agg(json_build_array(secret_id, hash, label, created_at, expires_at)
                                     ORDER BY secret_id), '[]')
              FROM client_secrets s WHERE s.client_id = c.client_id) AS secrets,
           (SELECT coalesce(json_agg(json_build_array(r.name, g.scope) ORDER BY r.name, g.scope), '[]')
              FROM client_grants g JOIN resources r USING (resource_id) WHERE g.client_id = c.client_id) AS grants
      FROM clients c
      LEFT JOIN resources d ON d.resource_id = c.default_resource_id
"""
_EVERY_CLIENT = f"{_CLIENTS} ORDER BY c.client_id"
_THESE_CLIENTS = f"{_CLIENTS} WHERE c.client_id = ANY($1::text[])"


async def resources(connection: Connection) -> list[ResourceRecord]:
    """Read all resources by name."""
    return [
        ResourceRecord(
            row["name"],
            row["identifier"],
            tuple(sorted(row["scopes"])),
            tuple(sorted(row["default_scopes"])),
            row["token_lifetime_seconds"],
        )
        for row in await connection.fetch(_RESOURCES)
    ]


async def every_client(connection: Connection) -> AsyncIterator[ClientRecord]:
    """Read all clients by id, some at a time. The caller holds a transaction."""
    async for row in connection.cursor(_EVERY_CLIENT, prefetch=_BATCH):
        yield _client(row)


async def these_clients(connection: Connection, client_ids: Sequence[str]) -> dict[str, ClientRecord]:
    """Read the clients of ``client_ids`` that exist, by id."""
    return {row["client_id"]: _client(row) for row in await connection.fetch(_THESE_CLIENTS, client_ids)}


async def insert_resources(connection: Connection, records: Iterable[ResourceRecord]) -> None:
    """Store resources with their scopes. The caller holds the transaction."""
    for record in records:
        resource_id = await connection.fetchval(
            "INSERT INTO resources (name, identifier, token_lifetime_seconds) VALUES ($1, $2, $3)"
            " RETURNING resource_id",
            record.name,
            record.identifier,
            record.token_lifetime_seconds,
        )
        await connection.execute(
            "INSERT INTO resource_scopes (resource_id, scope, is_default)"
            " SELECT $1, scope, scope = ANY($3::text[]) FROM unnest($2::text[]) AS scope",
            resource_id,
            record.scopes,
            record.default_scopes,
        )


async def insert_clients(connection: Connection, records: Sequence[ClientRecord]) -> None:
    """Store clients with grants and secrets, by one COPY each. The caller holds the transaction."""
    now = datetime.now(UTC)
    found = await connection.fetch("SELECT name, resource_id FROM resources")
    resource_ids: Mapping[str, int] = {row["name"]: row["resource_id"] for row in found}
    # Somebody of that id who was deleted before must leave no traces of use to its successor.
    ids = [record.client_id for record in records]
    await connection.execute("DELETE FROM secret_usage WHERE client_id = ANY($1::text[])", ids)
    await connection.execute("DELETE FROM grant_usage WHERE client_id = ANY($1::text[])", ids)
    await connection.copy_records_to_table(
        "clients",
        columns=(
            "client_id",
            "name",
            "enabled",
            "expires_at",
            "grant_types",
            "default_resource_id",
            "token_lifetime_seconds",
            "metadata",
        ),
        records=[
            (
                record.client_id,
                record.name,
                record.enabled,
                record.expires_at,
                record.grant_types,
                resource_ids.get(record.default_resource or ""),
                record.token_lifetime_seconds,
                orjson.dumps(record.metadata).decode(),
            )
            for record in records
        ],
    )
    await connection.copy_records_to_table(
        "client_grants",
        columns=("client_id", "resource_id", "scope"),
        records=[
            (record.client_id, resource_ids[name], scope)
            for record in records
            for name, scopes in record.grants.items()
            for scope in scopes
        ],
    )
    await connection.copy_records_to_table(
        "client_secrets",
        columns=("client_id", "secret_id", "hash", "label", "created_at", "expires_at"),
        records=[
            (record.client_id, s.secret_id, s.hash, s.label, s.created_at or now, s.expires_at)
            for record in records
            for s in record.secrets
        ],
    )


async def insert_events(
    connection: Connection,
    actor: Actor,
    action: str,
    object_type: str,
    after: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write one audit event for each object of ``after``, by one COPY, in the transaction of the change."""
    # Their time is the column's default: nobody who administers may give another.
    await connection.copy_records_to_table(
        "audit_events",
        columns=("actor", "action", "object_type", "object_id", "after", "trace_id", "address"),
        records=[
            (
                actor.name,
                action,
                object_type,
                object_id,
                orjson.dumps(state).decode(),
                actor.trace_id,
                actor.address,
            )
            for object_id, state in after.items()
        ],
    )


def _client(row: Any) -> ClientRecord:
    grants: dict[str, list[str]] = {}
    for name, scope in orjson.loads(row["grants"]):
        grants.setdefault(name, []).append(scope)
    return ClientRecord(
        row["client_id"],
        row["name"],
        {name: tuple(sorted(scopes)) for name, scopes in grants.items()},
        tuple(_secret(*columns) for columns in orjson.loads(row["secrets"])),
        row["default_resource"],
        row["token_lifetime_seconds"],
        row["enabled"],
        row["expires_at"],
        orjson.loads(row["metadata"]),
        tuple(row["grant_types"]),
    )


def _secret(secret_id: str, hashed: str, label: str, created_at: str, expires_at: str | None) -> SecretRecord:
    return SecretRecord(
        secret_id,
        hashed,
        label,
        datetime.fromisoformat(created_at),
        None if expires_at is None else datetime.fromisoformat(expires_at),
    )
