"""When a signing key may go on to its next state, and what a rotation still has to do. Pure: no clock, no I/O.

pending    published; does not sign, since verifiers may hold a key set without it;
active     signs; there is always exactly one;
retiring   published; does not sign, but tokens of it may live;
retired    gone from the key set, its private part destroyed.

All moments are of the database's clock, which replicas and operators share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from auth_service.queries.keys import KeyRow

# What nobody's settings say: a commit, a statement that is slow, an answer on its way.
MARGIN_SECONDS = 10
# How far a verifier's clock may be behind ours (steelcut.verifier.MAX_LEEWAY_SECONDS).
LEEWAY_SECONDS = 60

Action = Literal["create", "promote", "retire"]


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """How long what was decided earlier goes on having effect, in seconds, by the settings of one process.

    ``refresh_seconds`` is how long a replica goes on with the keys that it knows, where it hears of nothing and cannot
    read them again.
    """

    token_lifetime_seconds: float = 3600
    jwks_max_age_seconds: float = 300
    refresh_seconds: float = 70


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rotation and the moment from which it is due; ``kid`` is None for a key yet to be made."""

    action: Action
    kid: str | None
    at: datetime


def publication(keys: Sequence[KeyRow], timing: KeyTiming) -> timedelta:
    """Return how long a new key must be published before it signs.

    A replica may have handed out the set without the key just before it learned of it, and a verifier may keep that
    set for its max-age (RFC 9111 §5.2.2.1). The longest counts that is in force, or was under a key of today's set.
    """
    published = [key for key in keys if key.state != "retired"]
    return timedelta(
        seconds=max([timing.jwks_max_age_seconds, *(key.jwks_age_limit for key in published)])
        + max([timing.refresh_seconds, *(key.refresh_limit for key in published)])
        + MARGIN_SECONDS
    )


def promotable_at(key: KeyRow, keys: Sequence[KeyRow], timing: KeyTiming) -> datetime:
    """Return the moment from which every verifier knows a pending ``key``."""
    return key.created_at + publication(keys, timing)


def drain(key: KeyRow, timing: KeyTiming) -> timedelta:
    """Return how long after the last day of ``key`` a verifier may meet a token of it.

    A replica may sign with it until it learns of the new one, for the longest lifetime that was in force.
    """
    return timedelta(
        seconds=max(timing.token_lifetime_seconds, key.lifetime_limit)
        + max(timing.refresh_seconds, key.refresh_limit)
        + LEEWAY_SECONDS
        + MARGIN_SECONDS
    )


def retirable_at(key: KeyRow, timing: KeyTiming) -> datetime:
    """Return the moment from which no token of a retiring ``key`` lives."""
    assert key.retiring_at is not None  # noqa: S101 - set together with the state
    return key.retiring_at + drain(key, timing)


def next_step(key: KeyRow, keys: Sequence[KeyRow], timing: KeyTiming) -> Step | None:
    """Return what ``key`` itself may do next, None for one that signs (another must follow it) or is retired."""
    if key.state == "pending":
        return Step("promote", key.kid, promotable_at(key, keys, timing))
    if key.state == "retiring":
        return Step("retire", key.kid, retirable_at(key, timing))
    return None


def plan(
    keys: Sequence[KeyRow], timing: KeyTiming, now: datetime, *, every: timedelta | None, begin: bool
) -> tuple[Step, ...]:
    """Return the steps of a rotation, the due ones first.

    With ``every``, a key signs for that long and its successor is made in time for it. Without, a rotation goes on as
    fast as it may; a new one is planned when none is under way and ``begin`` says so.
    """
    steps = [Step("retire", key.kid, retirable_at(key, timing)) for key in keys if key.state == "retiring"]
    active = next((key for key in keys if key.state == "active"), None)
    pending = next((key for key in keys if key.state == "pending"), None)
    if active is None:
        # Nothing signs, so nobody can hold an older set: the first key signs at once.
        return (Step("create", None, now), *steps)
    if pending is None and every is None and (steps or not begin):
        return _by_time(steps)
    turn = now if every is None else (active.activated_at or active.created_at) + every
    wait = publication(keys, timing)
    if pending is None:
        creation = max(now, turn - wait)
        steps.append(Step("create", None, creation))
        promotion = Step("promote", None, max(turn, creation + wait))
    else:
        promotion = Step("promote", pending.kid, max(turn, pending.created_at + wait))
    steps += [promotion, Step("retire", active.kid, max(now, promotion.at) + drain(active, timing))]
    return _by_time(steps)


def _by_time(steps: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.at))
