"""The signing keys of this process: read from the database, unsealed once, published as a JWK set."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import asyncpg
import orjson

from auth_service.master_key import SealBroken
from auth_service.queries import keys as key_queries
from auth_service.queries import token as queries
from auth_service.signing_keys import SigningAlgorithm, SigningKey, load_signing_key
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.refusal import Refusal

if TYPE_CHECKING:
    from auth_service.key_life import KeyTiming
    from auth_service.master_key import MasterKey
    from auth_service.queries.token import StoredKey
    from steelcut.service.database.postgres import Connection

# A pending key is published before it signs, a retiring one until its last token has expired.
_PUBLISHED = frozenset({"pending", "active", "retiring"})


class PublishedKey(NamedTuple):
    """What may be told of a key; ``created_at`` is Unix time in seconds."""

    kid: str
    algorithm: str
    state: str
    created_at: float


class KeyRing:
    """Which key signs now, and the set that verifiers read (RFC 7517 §5)."""

    def __init__(self, master_key: MasterKey, timing: KeyTiming) -> None:
        """Start empty; ``refresh`` fills it. ``timing`` is what this process does with its keys."""
        self._master_key = master_key
        self._timing = timing
        self._keys: dict[str, SigningKey] = {}
        self._active: SigningKey | None = None
        self._noted: frozenset[str] = frozenset()
        self._refreshing = asyncio.Lock()
        self.stored: Sequence[PublishedKey] = ()
        # Unix time, in seconds.
        self.refreshed_at = 0.0
        self.jwks = orjson.dumps({"keys": []})

    @property
    def active(self) -> SigningKey:
        """The key that signs. Raises ``TemporarilyUnavailable`` when there is none yet."""
        if self._active is None:
            raise TemporarilyUnavailable("no active signing key: run `steelcut keys create`")
        return self._active

    @property
    def can_sign(self) -> bool:
        """Whether there is a key to sign with."""
        return self._active is not None

    async def refresh(self, connection: Connection) -> None:
        """Read the keys again. Raises ``Refusal`` when the master key does not open one that is needed."""
        # One after the other, so that what was read earlier never takes the place of what was read later.
        async with self._refreshing:
            stored = [key for key in await queries.signing_keys(connection) if key.state in _PUBLISHED]
            keys = {key.kid: self._keys.get(key.kid) or self._unseal(key) for key in stored}
            await self._note(connection, frozenset(keys))
            active = next((key.kid for key in stored if key.state == "active"), None)
            # Replaced as a whole, so that a request never sees half a change.
            self._keys = keys
            self._active = keys[active] if active is not None else None
            self.jwks = orjson.dumps({"keys": [orjson.loads(key.public_jwk) for key in stored]})
            self.stored = [
                PublishedKey(key.kid, key.algorithm, key.state, key.created_at.timestamp()) for key in stored
            ]
            self.refreshed_at = time.time()

    async def _note(self, connection: Connection, kids: frozenset[str]) -> None:
        """Say how long what this process does with a key lasts, before it does it: rotation waits for that long."""
        if kids <= self._noted:
            return
        try:
            await key_queries.note_in_service(
                connection,
                sorted(kids),
                lifetime_seconds=math.ceil(self._timing.token_lifetime_seconds),
                jwks_age_seconds=math.ceil(self._timing.jwks_max_age_seconds),
                refresh_seconds=math.ceil(self._timing.refresh_seconds),
            )
        except asyncpg.ReadOnlySQLTransactionError:
            # A standby, or a failover that is not over: better to serve than to note; tried at the next refresh.
            return
        self._noted = kids

    def _unseal(self, key: StoredKey) -> SigningKey:
        try:
            private_der = self._master_key.unseal(key.sealed_private, key.kid)
        except SealBroken:
            raise Refusal(_wrong_master_key(key, self._master_key)) from None
        return load_signing_key(key.kid, cast("SigningAlgorithm", key.algorithm), private_der)


def _wrong_master_key(key: StoredKey, master_key: MasterKey) -> str:
    if master_key.previous is None:
        return (
            f"AUTH_MASTER_KEY is not the master key that sealed the signing key {key.kid}: that one has the id "
            f"{key.master_key_id}, this one {master_key.key_id}. Start with the right master key, or, while it is "
            "changed, with the old one as AUTH_PREVIOUS_MASTER_KEY."
        )
    return (
        "Neither AUTH_MASTER_KEY nor AUTH_PREVIOUS_MASTER_KEY is the master key that sealed the signing key "
        f"{key.kid}: that one has the id {key.master_key_id}, these {master_key.key_id} and "
        f"{master_key.previous.key_id}. Start with the right master keys."
    )
