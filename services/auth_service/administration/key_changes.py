"""The single changes of signing keys, each with its audit event, under one lock and in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from auth_service import signing_keys
from auth_service.administration.audit import record
from auth_service.administration.errors import Conflict, NotFound
from auth_service.master_key import SealBroken
from auth_service.queries import keys as queries

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from auth_service.master_key import MasterKey
    from auth_service.queries.keys import KeyRow, KeyState
    from auth_service.signing_keys import NewKey, SigningAlgorithm
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Changes keys on behalf of ``actor``; ``keys`` and ``now``, the database's time, are of when the lock was had."""

    connection: Connection
    actor: Actor
    now: datetime
    keys: Sequence[KeyRow]

    def find(self, kid: str) -> KeyRow:
        """Return the key of this id. Raises ``NotFound``."""
        return find(self.keys, kid)

    @property
    def active(self) -> KeyRow | None:
        """The key that signs, None before there is one."""
        return next((key for key in self.keys if key.state == "active"), None)

    async def create(self, key: NewKey, master_key: MasterKey) -> str:
        """Store a new key and return its kid; it is active when none is, since nobody holds an older set then."""
        sealing = self._sealing(master_key)
        state: KeyState = "active" if self.active is None else "pending"
        sealed = sealing.seal(key.private_der, key.kid)
        await queries.insert_key(self.connection, key, state, sealed, sealing.key_id, self.now)
        after = {"algorithm": key.algorithm, "state": state, "master_key_id": sealing.key_id}
        await record(self.connection, self.actor, "key.create", "key", key.kid, after=after)
        return key.kid

    async def promote(self, key: KeyRow, *, forced: bool = False) -> None:
        """Let ``key`` sign; the active one is retiring from now on."""
        if self.active is not None:
            # First: the schema allows one active key and no more, at any moment.
            await queries.supersede_key(self.connection, self.active.kid, self.now)
            await self._record("key.supersede", self.active, state="retiring", successor=key.kid)
        await queries.activate_key(self.connection, key.kid, self.now)
        await self._record("key.promote", key, state="active", forced=forced)

    async def retire(self, key: KeyRow, *, action: str = "key.retire", compromised: bool = False) -> None:
        """Take ``key`` out of the key set and destroy its private part."""
        await queries.retire_key(self.connection, key.kid, self.now, compromised=compromised)
        await self._record(action, key, state="retired", compromised=compromised)

    async def succeed(self, master_key: MasterKey, algorithm: SigningAlgorithm) -> str:
        """Let another key sign in the place of the active one, which was just retired; return its kid."""
        left = replace(self, keys=[key for key in self.keys if key.state != "active"])
        # The oldest, which the most verifiers know.
        pending = next((key for key in left.keys if key.state == "pending"), None)
        if pending is None:
            # Decided by all keys: the one that was just retired may be the only one to say what the services have.
            sealing = self._sealing(master_key)
            return await left.create(await generated(algorithm), sealing)
        await left.promote(pending, forced=True)
        return pending.kid

    async def reseal(self, key: KeyRow, master_key: MasterKey) -> None:
        """Seal ``key`` under the newer of two master keys. Raises ``Conflict`` when it opens under neither."""
        try:
            private_der = _opener(key, master_key).unseal(key.sealed_private, key.kid)
        except SealBroken:
            raise Conflict(
                f"The key {key.kid} does not open under the master key {key.master_key_id} that its row names: "
                "restore the row, or revoke the key with force."
            ) from None
        sealed = master_key.seal(private_der, key.kid)
        await queries.replace_seal(self.connection, key.kid, sealed, master_key.key_id)
        before, after = {"master_key_id": key.master_key_id}, {"master_key_id": master_key.key_id}
        await record(self.connection, self.actor, "key.reseal", "key", key.kid, before=before, after=after)

    def _sealing(self, master_key: MasterKey) -> MasterKey:
        # As the newest key is sealed: while one master key takes the place of another, a replica may have only the
        # old one until all keys are resealed. Raises Conflict for a master key that no service has.
        sealing = master_key
        for key in self.keys:
            if key.state != "retired":
                sealing = _opener(key, master_key)
        return sealing

    async def _record(self, action: str, key: KeyRow, **after: object) -> None:
        before = {"state": key.state}
        await record(self.connection, self.actor, action, "key", key.kid, before=before, after=after)


@asynccontextmanager
async def changing_keys(connection: Connection, actor: Actor) -> AsyncIterator[KeyChanges]:
    """Hold the lock of all who change keys, and one transaction, for as long as the block lasts."""
    async with connection.transaction():
        now = await queries.lock_keys(connection)
        yield KeyChanges(connection, actor, now, await queries.keys(connection))


@asynccontextmanager
async def changing_keys_if_free(connection: Connection, actor: Actor) -> AsyncIterator[KeyChanges | None]:
    """Do as ``changing_keys`` does, or give None at once where somebody else holds the lock."""
    async with connection.transaction():
        now = await queries.try_lock_keys(connection)
        yield None if now is None else KeyChanges(connection, actor, now, await queries.keys(connection))


async def generated(algorithm: SigningAlgorithm) -> NewKey:
    """Make a key in a thread: a replica that rotates by itself answers requests meanwhile."""
    return await asyncio.to_thread(signing_keys.generate, algorithm)


def find(keys: Sequence[KeyRow], kid: str) -> KeyRow:
    """Return the key of this id. Raises ``NotFound``."""
    found = next((key for key in keys if key.kid == kid), None)
    if found is None:
        raise NotFound("There is no signing key with this id: `steelcut keys list` shows them.")
    return found


def _opener(key: KeyRow, master_key: MasterKey) -> MasterKey:
    opener = master_key.named(key.master_key_id)
    if opener is None:
        raise Conflict(
            f"The stored keys are sealed under the master key {key.master_key_id}, this one is {master_key.key_id}: "
            "set AUTH_MASTER_KEY to the one that the services use or, while you change it, AUTH_PREVIOUS_MASTER_KEY "
            "to the old one."
        )
    return opener
