"""Signing keys: made, listed, brought through their life, sealed anew.

Each transition is guarded by time, see ``key_life``. The database's clock counts, and whoever changes keys holds
one lock, so that there is always exactly one active key.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from auth_service import key_life, signing_keys
from auth_service.administration.errors import Conflict, TooEarly
from auth_service.administration.key_changes import (
    KeyChanges,
    changing_keys,
    changing_keys_if_free,
    find,
    generated,
)
from auth_service.key_life import Action, KeyTiming, Step
from auth_service.queries import keys as queries

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from auth_service.master_key import MasterKey
    from auth_service.queries.keys import KeyRow, KeyState
    from auth_service.signing_keys import SigningAlgorithm
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class KeySummary:
    """A signing key without its private part, and from when it may be promoted or retired."""

    kid: str
    algorithm: str
    state: KeyState
    created_at: datetime
    activated_at: datetime | None
    retiring_at: datetime | None
    retired_at: datetime | None
    compromised: bool
    master_key_id: str
    next_action: Action | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a signing key: as a JWK (RFC 7517) and as PEM (RFC 7468)."""

    kid: str
    state: KeyState
    jwk: dict[str, Any]
    pem: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revoked key, the one that signs in its place if it signed, and until when verifiers may still hold it."""

    key: KeySummary
    successor: KeySummary | None
    held_until: datetime


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done ``at`` a moment of the database's clock, and what comes when."""

    at: datetime
    done: tuple[Step, ...]
    coming: tuple[Step, ...]


async def create_key(
    connection: Connection,
    actor: Actor,
    master_key: MasterKey,
    algorithm: SigningAlgorithm,
    timing: KeyTiming | None = None,
) -> KeySummary:
    """Make a signing key, sealed under ``master_key``; the first one is active at once, a later one pending.

    Raises ``Conflict`` when the services seal under another master key.
    """
    key = await generated(algorithm)
    async with changing_keys(connection, actor) as changes:
        await changes.create(key, master_key)
    return await show_key(connection, key.kid, timing)


async def list_keys(connection: Connection, timing: KeyTiming | None = None) -> list[KeySummary]:
    """Return all signing keys, oldest first; ``timing`` as the services are set up."""
    keys = await queries.keys(connection)
    return [_summary(key, keys, timing or KeyTiming()) for key in keys]


async def show_key(connection: Connection, kid: str, timing: KeyTiming | None = None) -> KeySummary:
    """Return one signing key. Raises ``NotFound``."""
    keys = await queries.keys(connection)
    return _summary(find(keys, kid), keys, timing or KeyTiming())


async def export_keys(connection: Connection, kid: str | None = None) -> list[PublicKey]:
    """Return the public keys of today's key set, or the one of ``kid`` in whatever state. Raises ``NotFound``."""
    keys = await queries.keys(connection)
    chosen = [key for key in keys if key.state != "retired"] if kid is None else [find(keys, kid)]
    return [
        PublicKey(
            key.kid, key.state, orjson.loads(key.public_jwk), signing_keys.public_key_pem(key.public_jwk)
        )
        for key in chosen
    ]


async def promote_key(
    connection: Connection, actor: Actor, kid: str, timing: KeyTiming, *, force: bool = False
) -> KeySummary:
    """Let a pending key sign in the place of the active one, which becomes retiring.

    Raises ``TooEarly`` while a verifier may hold a key set without it; ``force`` does it all the same, and tokens may
    be refused until verifiers have fetched the set again. Raises ``NotFound`` and ``Conflict``.
    """
    async with changing_keys(connection, actor) as changes:
        key = changes.find(kid)
        if key.state != "pending":
            raise Conflict(f"The key {kid} is {key.state}: only a pending key can be promoted.")
        allowed_from = key_life.promotable_at(key, changes.keys, timing)
        forced = changes.now < allowed_from
        if forced and not force:
            raise _too_early(
                f"The key {kid} may not sign yet: verifiers may hold a key set of before its publication",
                allowed_from,
            )
        await changes.promote(key, forced=forced)
    return await show_key(connection, kid, timing)


async def retire_key(connection: Connection, actor: Actor, kid: str, timing: KeyTiming) -> KeySummary:
    """Take a retiring key out of the key set and destroy its private part.

    Raises ``TooEarly`` while a token signed by it may live, ``NotFound`` and ``Conflict``.
    """
    async with changing_keys(connection, actor) as changes:
        key = changes.find(kid)
        _check_retirable(key, timing, changes.now)
        await changes.retire(key)
    return await show_key(connection, kid, timing)


async def revoke_key(
    connection: Connection,
    actor: Actor,
    kid: str,
    master_key: MasterKey,
    algorithm: SigningAlgorithm,
    timing: KeyTiming,
    *,
    force: bool = False,
) -> Revocation:
    """Drop a key from the key set at once.

    Without ``force`` only where it breaks no token: a key that never signed, or whose tokens have all expired.
    ``force`` is for a compromise: the tokens of the key are refused as soon as verifiers fetch the set, and if it
    was the active one, the pending key that was published longest signs from now on, or a new one of ``algorithm``.

    Raises ``TooEarly``, ``Conflict`` and ``NotFound``.
    """
    async with changing_keys(connection, actor) as changes:
        key = changes.find(kid)
        if key.state == "retired":
            raise Conflict(f"The key {kid} is retired: it is in no key set any more.")
        if not force and key.state != "pending":
            _check_retirable(
                key, timing, changes.now, otherwise=" If it is compromised, revoke it with force."
            )
        await changes.retire(key, action="key.revoke", compromised=force)
        successor = await changes.succeed(master_key, algorithm) if key.state == "active" else None
        held_until = changes.now + key_life.publication(changes.keys, timing)
    return Revocation(
        await show_key(connection, kid, timing),
        await show_key(connection, successor, timing) if successor else None,
        held_until,
    )


async def rotate_keys(
    connection: Connection,
    actor: Actor,
    master_key: MasterKey,
    algorithm: SigningAlgorithm,
    timing: KeyTiming,
    *,
    every: timedelta | None = None,
    unattended: bool = False,
) -> Rotation | None:
    """Do the steps of a rotation that are due, and return what comes when; run again later, it goes on.

    Without ``every`` a rotation is begun when none is under way. With it, a key signs for that long. Where somebody
    else changes keys at this moment it waits for them, or, ``unattended``, returns None.

    Raises ``Conflict`` when the services seal under another master key.
    """
    lock = changing_keys_if_free if unattended else changing_keys
    held: AbstractAsyncContextManager[KeyChanges | None] = lock(connection, actor)
    async with held as changes:
        if changes is None:
            return None
        now = changes.now
        planned = key_life.plan(changes.keys, timing, now, every=every, begin=True)
        done = [await _take(step, changes, master_key, algorithm) for step in planned if step.at <= now]
        left = await queries.keys(connection)
    return Rotation(now, tuple(done), key_life.plan(left, timing, now, every=every, begin=False))


async def reseal_keys(connection: Connection, actor: Actor, master_key: MasterKey) -> list[str]:
    """Seal every key under ``master_key`` that lies under its ``previous`` one; return their kids.

    All or none. Replicas that run go on with either master key; afterwards only one that has the new one can start.
    Raises ``Conflict`` when a key opens under neither.
    """
    async with changing_keys(connection, actor) as changes:
        old = [
            key for key in changes.keys if key.state != "retired" and key.master_key_id != master_key.key_id
        ]
        for key in old:
            await changes.reseal(key, master_key)
    return [key.kid for key in old]


async def _take(step: Step, changes: KeyChanges, master_key: MasterKey, algorithm: SigningAlgorithm) -> Step:
    """Take a step that is due; return it with the kid of a key that was made."""
    if step.kid is None:
        return Step(step.action, await changes.create(await generated(algorithm), master_key), changes.now)
    key = changes.find(step.kid)
    if step.action == "promote":
        await changes.promote(key)
    else:
        await changes.retire(key)
    return Step(step.action, key.kid, changes.now)


def _check_retirable(key: KeyRow, timing: KeyTiming, now: datetime, *, otherwise: str = "") -> None:
    if key.state == "active":
        raise Conflict(
            f"The key {key.kid} signs: promote another one first, then its last tokens must expire.{otherwise}"
        )
    if key.state != "retiring":
        raise Conflict(f"The key {key.kid} is {key.state}: only a retiring key can be retired.")
    allowed_from = key_life.retirable_at(key, timing)
    if now < allowed_from:
        why = f"The key {key.kid} is still needed: tokens signed by it may live"
        raise _too_early(why, allowed_from, otherwise)


def _too_early(why: str, allowed_from: datetime, otherwise: str = "") -> TooEarly:
    # Rounded up, so that the moment that is named is not refused again.
    shown = (allowed_from + timedelta(microseconds=999_999)).astimezone(UTC)
    return TooEarly(f"{why}; it is allowed from {shown:%Y-%m-%d %H:%M:%S} UTC on.{otherwise}", allowed_from)


def _summary(key: KeyRow, keys: Sequence[KeyRow], timing: KeyTiming) -> KeySummary:
    step = key_life.next_step(key, keys, timing)
    return KeySummary(
        kid=key.kid,
        algorithm=key.algorithm,
        state=key.state,
        created_at=key.created_at,
        activated_at=key.activated_at,
        retiring_at=key.retiring_at,
        retired_at=key.retired_at,
        compromised=key.compromised,
        master_key_id=key.master_key_id,
        next_action=step.action if step else None,
        next_at=step.at if step else None,
    )
