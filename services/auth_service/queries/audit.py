"""Audit events and usage, written and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


async def insert_event(  # noqa: PLR0913 - the columns of an event
    connection: Connection,
    *,
    actor: str,
    action: str,
    object_type: str,
    object_id: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    trace_id: str,
    address: str,
) -> None:
    """Write the event of one administrative change, in the transaction of the change."""
    await connection.execute(
        "INSERT INTO audit_events (actor, action, object_type, object_id, before, after, trace_id, address)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        actor,
        action,
        object_type,
        object_id,
        _json(before),
        _json(after),
        trace_id,
        address,
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


TOKEN_EVENT_COLUMNS = (
    "at",
    "actor",
    "action",
    "object_type",
    "object_id",
    "outcome",
    "reason",
    "after",
    "trace_id",
    "address",
)


async def copy_token_events(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write many events of the token endpoint by one COPY; their columns are ``TOKEN_EVENT_COLUMNS``."""
    await connection.copy_records_to_table("audit_events", records=rows, columns=TOKEN_EVENT_COLUMNS)


class Transaction(NamedTuple):
    """A transaction, and when the server that ran it was started: after a failover its number may be another's."""

    number: int
    server: datetime


async def begun(connection: Connection, idle_seconds: int) -> Transaction:
    """Return the transaction that has begun, which ends by itself when it hears nothing for ``idle_seconds``."""
    row = await connection.fetchrow(
        "SELECT pg_current_xact_id()::text::bigint AS number, pg_postmaster_start_time() AS server,"
        " set_config('idle_in_transaction_session_timeout', $1, true)",
        f"{idle_seconds}s",
    )
    assert row is not None  # noqa: S101 - a SELECT without FROM is one row
    return Transaction(row["number"], row["server"])


async def fate_of(connection: Connection, transaction: Transaction) -> str:
    """Return how ``transaction`` ended: "committed", "aborted", "in progress" or, on another server, "unknown"."""
    # Asked on another server the number may be of the future, which is an error: so not before it is known.
    fate: str | None = await connection.fetchval(
        "SELECT CASE WHEN pg_postmaster_start_time() = $2 THEN pg_xact_status($1::text::xid8) END",
        str(transaction.number),
        transaction.server,
    )
    return fate or "unknown"


async def upsert_usage(
    connection: Connection,
    secrets: Mapping[tuple[str, str], tuple[datetime, str]],
    grants: Mapping[tuple[str, str, str], datetime],
) -> None:
    """Note when secrets and granted scopes were last used, and a secret from which address."""
    # Sorted, so that two replicas that note the same keys lock them in the same order.
    if secrets:
        rows = [(*key, *value) for key, value in sorted(secrets.items())]
        await connection.execute(
            "INSERT INTO secret_usage (client_id, secret_id, last_used_at, last_address)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])"
            " ON CONFLICT (client_id, secret_id) DO UPDATE"
            " SET last_used_at = excluded.last_used_at, last_address = excluded.last_address"
            " WHERE secret_usage.last_used_at < excluded.last_used_at",
            *(list(column) for column in zip(*rows, strict=True)),
        )
    if grants:
        lines = [(*key, at) for key, at in sorted(grants.items())]
        await connection.execute(
            "INSERT INTO grant_usage (client_id, resource, scope, last_used_at)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])"
            " ON CONFLICT (client_id, resource, scope) DO UPDATE SET last_used_at = excluded.last_used_at"
            " WHERE grant_usage.last_used_at < excluded.last_used_at",
            *(list(column) for column in zip(*lines, strict=True)),
        )


async def maintain(connection: Connection, months_kept: int, seconds: float) -> Sequence[str]:
    """Make the coming months and drop what is beyond ``months_kept``; return what that was, in words."""
    rows = await connection.fetch("SELECT audit_maintain($1) AS dropped", months_kept, timeout=seconds)
    return [row["dropped"] for row in rows]
