"""A client's secrets as an operator sees and changes them. Their hashes never leave the database by this way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One secret of a client.

    ``live`` until ``expires_at``. ``in_use`` and ``safe_to_delete`` as ``administration.secrets`` defines them; a
    secret that never got a token is neither, until a newer one has taken over. ``ends_by_operator`` where an operator
    gave it, or the one that it followed, its end later.
    """

    client_id: str
    secret_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    ends_by_operator: bool
    last_used_at: datetime | None
    last_address: str
    live: bool
    in_use: bool
    safe_to_delete: bool


_SECRETS = """
    SELECT client_id, secret_id, label, created_at, expires_at, ends_by_operator, last_used_at, last_address, live,
           live AND last_used_at IS NOT NULL AND NOT outlived AS in_use,
           NOT live OR outlived AS safe_to_delete
      FROM (
        SELECT s.client_id, s.secret_id, s.label, s.created_at, s.expires_at, s.ends_by_operator, u.last_used_at,
               coalesce(u.last_address, '') AS last_address,
               s.expires_at IS NULL OR s.expires_at > now() AS live,
               greatest(s.created_at, u.last_used_at) < now() - make_interval(secs => $2)
                   AND EXISTS (
                       SELECT FROM client_secrets n JOIN secret_usage nu USING (client_id, secret_id)
                        WHERE n.client_id = s.client_id AND n.created_at > s.created_at
                          AND (n.expires_at IS NULL OR n.expires_at > now())
                          AND nu.last_used_at > greatest(s.created_at, u.last_used_at)
                   ) AS outlived
          FROM client_secrets s
          LEFT JOIN secret_usage u USING (client_id, secret_id)
         WHERE s.client_id = $1
      ) secrets
     ORDER BY created_at, secret_id
"""


async def secrets(connection: Connection, client_id: str, *, rest_seconds: float) -> list[SecretRow]:
    """Read a client's secrets, oldest first; one that rests for ``rest_seconds`` may have been outlived."""
    return [SecretRow(**row) for row in await connection.fetch(_SECRETS, client_id, rest_seconds)]


async def insert_secret(
    connection: Connection,
    client_id: str,
    secret_id: str,
    hashed: str,
    *,
    label: str = "",
    expires_at: datetime | None = None,
    ends_by_operator: bool = False,
) -> None:
    """Give a client one more secret, as its hash."""
    await connection.execute(
        "INSERT INTO client_secrets (client_id, secret_id, hash, label, expires_at, ends_by_operator)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        client_id,
        secret_id,
        hashed,
        label,
        expires_at,
        ends_by_operator,
    )


async def set_expiry(
    connection: Connection, client_id: str, secret_id: str, expires_at: datetime | None
) -> None:
    """Let a secret end at ``expires_at``, or never, as an operator says."""
    await connection.execute(
        "UPDATE client_secrets SET expires_at = $3, ends_by_operator = $3::timestamptz IS NOT NULL"
        " WHERE client_id = $1 AND secret_id = $2",
        client_id,
        secret_id,
        expires_at,
    )


async def shorten(
    connection: Connection,
    client_id: str,
    secret_ids: list[str],
    overlap_seconds: float,
    *,
    by_operator: bool,
) -> None:
    """Let secrets end in ``overlap_seconds``, or when they would have ended before that."""
    await connection.execute(
        "UPDATE client_secrets SET expires_at = least(expires_at, now() + make_interval(secs => $3)),"
        " ends_by_operator = ends_by_operator OR $4"
        " WHERE client_id = $1 AND secret_id = ANY($2)",
        client_id,
        secret_ids,
        overlap_seconds,
        by_operator,
    )


async def delete_secrets(connection: Connection, client_id: str, secret_ids: list[str]) -> None:
    """Delete secrets and what is known of their use."""
    for table in ("client_secrets", "secret_usage"):
        await connection.execute(
            f"DELETE FROM {table} WHERE client_id = $1 AND secret_id = ANY($2)", client_id, secret_ids
        )
