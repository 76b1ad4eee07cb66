"""Signing keys as an operator changes them, and what the replicas note of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from auth_service.signing_keys import NewKey, SigningAlgorithm
    from steelcut.service.database.postgres import Connection

KeyState = Literal["pending", "active", "retiring", "retired"]

# Held by everybody who changes keys, until the end of the transaction; the function in the schema takes it too.
_LOCK = 7359064923


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A signing key as it is administered.

    The limits are the longest in force while it was published, in seconds, as the replicas noted them: how long its
    tokens live, how long a verifier may keep a key set, how long a replica may go on with old keys.
    """

    kid: str
    algorithm: SigningAlgorithm
    state: KeyState
    public_jwk: str
    master_key_id: str
    created_at: datetime
    activated_at: datetime | None
    retiring_at: datetime | None
    retired_at: datetime | None
    compromised: bool
    lifetime_limit: int
    jwks_age_limit: int
    refresh_limit: int
    sealed_private: bytes = field(repr=False)


async def lock_keys(connection: Connection) -> datetime:
    """Wait until nobody else changes keys, and return the database's time. The caller holds the transaction.

    The time is of this moment, not of the start of the transaction, which may have waited for the lock.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    return await now(connection)


async def try_lock_keys(connection: Connection) -> datetime | None:
    """Do as ``lock_keys`` does, but return None at once when somebody else is changing keys."""
    if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return await now(connection)
    return None


async def now(connection: Connection) -> datetime:
    """Read the database's clock: one for all replicas and operators."""
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return moment


async def keys(connection: Connection) -> list[KeyRow]:
    """Read all signing keys, oldest first."""
    rows = await connection.fetch(
        "SELECT kid, algorithm, state, public_jwk, master_key_id, created_at, activated_at, retiring_at, retired_at,"
        " compromised, lifetime_limit, jwks_age_limit, refresh_limit, sealed_private"
        " FROM signing_keys ORDER BY created_at, kid"
    )
    return [KeyRow(**row) for row in rows]


async def insert_key(
    connection: Connection, key: NewKey, state: KeyState, sealed: bytes, master_key_id: str, at: datetime
) -> None:
    """Store a key that begins its life ``at``, as pending or as active."""
    await connection.execute(
        "INSERT INTO signing_keys (kid, algorithm, state, public_jwk, sealed_private, master_key_id, created_at,"
        " activated_at) VALUES ($1, $2, $3::text, $4, $5, $6, $7, CASE $3 WHEN 'active' THEN $7::timestamptz END)",
        key.kid,
        key.algorithm,
        state,
        key.public_jwk,
        sealed,
        master_key_id,
        at,
    )


async def activate_key(connection: Connection, kid: str, at: datetime) -> None:
    """Let a key sign; the one before it must have stopped in the same transaction."""
    await connection.execute(
        "UPDATE signing_keys SET state = 'active', activated_at = $2 WHERE kid = $1", kid, at
    )


async def supersede_key(connection: Connection, kid: str, at: datetime) -> None:
    """Let a key sign no more; it stays published."""
    await connection.execute(
        "UPDATE signing_keys SET state = 'retiring', retiring_at = $2 WHERE kid = $1", kid, at
    )


async def retire_key(connection: Connection, kid: str, at: datetime, *, compromised: bool = False) -> None:
    """Take a key out of the published set and destroy its private part, which nobody may need again."""
    await connection.execute(
        "UPDATE signing_keys SET state = 'retired', retired_at = $2, compromised = $3, sealed_private = ''"
        " WHERE kid = $1",
        kid,
        at,
        compromised,
    )


async def replace_seal(connection: Connection, kid: str, sealed: bytes, master_key_id: str) -> None:
    """Store the private part of a key under another seal."""
    await connection.execute(
        "UPDATE signing_keys SET sealed_private = $2, master_key_id = $3 WHERE kid = $1",
        kid,
        sealed,
        master_key_id,
    )


async def note_in_service(
    connection: Connection,
    kids: Sequence[str],
    *,
    lifetime_seconds: int,
    jwks_age_seconds: int,
    refresh_seconds: int,
) -> None:
    """Note, before a replica serves these keys, how long what it does with them lasts."""
    await connection.execute(
        "SELECT note_key_in_service($1, $2, $3, $4)",
        kids,
        lifetime_seconds,
        jwks_age_seconds,
        refresh_seconds,
    )
