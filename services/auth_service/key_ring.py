"""The signing keys of this process: read from the database, unsealed once, published as a JWK set."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import asyncpg
import orjson

from auth_service.master_key import SealBroken
from auth_service.queries import keys as key_queries
from auth_service.queries import token as queries
from auth_service.signing_keys import SigningAlgorithm, SigningKey, load_signing_key
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.refusal import Hindered, Refusal

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

    def __init__(self, master_key: MasterKey, timing: KeyTiming, monotonic: Callable[[], float]) -> None:
        """Start empty; ``refresh`` fills it. ``timing`` is what this process does with its keys."""
        self._master_key = master_key
        self._timing = timing
        self._monotonic = monotonic
        # When it was last begun to read what is known, in seconds of that clock.
        self._read_at = -math.inf
        self._is_whole = True
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
        """The key that signs. Raises ``TemporarilyUnavailable`` when there is none, or it may have gone meanwhile."""
        if self._active is None:
            if not self._is_whole:
                raise TemporarilyUnavailable("the active signing key does not open with this master key")
            raise TemporarilyUnavailable("no active signing key: run `steelcut keys create`")
        if self.is_old:
            raise TemporarilyUnavailable("the signing keys were not read for too long")
        return self._active

    @property
    def is_old(self) -> bool:
        """Whether what is known was read longer ago than a rotation counts on (``KeyTiming.refresh_seconds``)."""
        return self._monotonic() - self._read_at > self._timing.refresh_seconds

    @property
    def can_sign(self) -> bool:
        """Whether there is a key to sign with."""
        return self._active is not None and not self.is_old

    @property
    def fault(self) -> str | None:
        """What to tell a prober, None when all is well."""
        if self._active is None:
            if self._is_whole:
                return "no key signs yet: run `steelcut keys create`"
            return "the key that signs does not open with this master key"
        if self.is_old:
            return "the keys were not read for too long"
        return None if self._is_whole else Hindered("a key does not open with this master key")

    async def refresh(self, connection: Connection) -> None:
        """Read the keys again. Raises ``Refusal`` when the master key does not open one that is needed.

        What is known of the others is in force all the same: one that was revoked goes, whatever another one is like.
        """
        # One after the other, so that what was read earlier never takes the place of what was read later.
        async with self._refreshing:
            read_at = self._monotonic()
            stored = [key for key in await queries.signing_keys(connection) if key.state in _PUBLISHED]
            keys, fault = self._opened(stored)
            await self._note(connection, frozenset(key.kid for key in stored))
            active = next((key.kid for key in stored if key.state == "active"), None)
            # Replaced as a whole, so that a request never sees half a change.
            self._keys = keys
            self._active = keys.get(active) if active is not None else None
            self._is_whole = fault is None
            self.jwks = orjson.dumps({"keys": [orjson.loads(key.public_jwk) for key in stored]})
            self.stored = [
                PublishedKey(key.kid, key.algorithm, key.state, key.created_at.timestamp()) for key in stored
            ]
            self._read_at = read_at
            self.refreshed_at = time.time()
        if fault is not None:
            raise fault

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

    def _opened(self, stored: Sequence[StoredKey]) -> tuple[dict[str, SigningKey], Refusal | None]:
        """Return the keys that open, and what is wrong with the others."""
        keys: dict[str, SigningKey] = {}
        fault: Refusal | None = None
        for key in stored:
            try:
                keys[key.kid] = self._keys.get(key.kid) or self._unseal(key)
            except Refusal as refusal:
                fault = refusal
        return keys, fault

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
