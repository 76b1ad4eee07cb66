"""Answers of creations that may be repeated, sealed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection

# How long a creation may be repeated under its Idempotency-Key.
KEPT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to the request of one actor and key; the hash is of that request."""

    request_hash: bytes
    status: int
    sealed_answer: bytes
    master_key_id: str
    created_at: datetime


async def lock_key(connection: Connection, actor: str, key: str) -> None:
    """Wait until no other request of this actor and key is at work; held until the transaction's end."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($2, hashtextextended($1, 0)))", actor, key
    )


async def answer(connection: Connection, actor: str, key: str, kept_seconds: float) -> StoredAnswer | None:
    """Read the answer to an actor's key, unless it is older than ``kept_seconds``."""
    row = await connection.fetchrow(
        "SELECT request_hash, status, sealed_answer, master_key_id, created_at FROM idempotent_answers"
        " WHERE actor = $1 AND key = $2 AND created_at > now() - make_interval(secs => $3)",
        actor,
        key,
        kept_seconds,
    )
    return None if row is None else StoredAnswer(**row)


async def store_answer(
    connection: Connection,
    actor: str,
    key: str,
    *,
    request_hash: bytes,
    status: int,
    sealed_answer: bytes,
    master_key_id: str,
) -> None:
    """Keep an answer, in the place of an old one of that key. The caller holds the key and the transaction."""
    await connection.execute(
        "INSERT INTO idempotent_answers AS known (actor, key, request_hash, status, sealed_answer, master_key_id)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (actor, key) DO UPDATE SET request_hash = excluded.request_hash, status = excluded.status,"
        " sealed_answer = excluded.sealed_answer, master_key_id = excluded.master_key_id, created_at = now()",
        actor,
        key,
        request_hash,
        status,
        sealed_answer,
        master_key_id,
    )


async def forget_answers(connection: Connection, kept_seconds: float, *, at_most: int | None = None) -> None:
    """Delete answers older than ``kept_seconds``, ``at_most`` so many; those that somebody else deletes are left."""
    await connection.execute(
        "DELETE FROM idempotent_answers WHERE (actor, key) IN ("
        "SELECT actor, key FROM idempotent_answers WHERE created_at < now() - make_interval(secs => $1)"
        " ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        kept_seconds,
        at_most,
    )
