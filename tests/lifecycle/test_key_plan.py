"""When a key may go on to its next state, and what a rotation has still to do: from rows alone, no clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth_service.key_life import (
    LEEWAY_SECONDS,
    MARGIN_SECONDS,
    KeyTiming,
    drain,
    next_step,
    plan,
    promotable_at,
    publication,
    retirable_at,
)
from auth_service.queries.keys import KeyRow, KeyState

NOW = datetime(2031, 1, 1, 12, tzinfo=UTC)
TIMING = KeyTiming(token_lifetime_seconds=600, jwks_max_age_seconds=300, refresh_seconds=5)
PUBLICATION = timedelta(seconds=300 + 5 + MARGIN_SECONDS)
DRAIN = timedelta(seconds=600 + 5 + LEEWAY_SECONDS + MARGIN_SECONDS)
MONTH = timedelta(days=30)


ANY_KEY = KeyRow(
    kid="",
    algorithm="ES256",
    state="pending",
    public_jwk="{}",
    master_key_id="",
    created_at=NOW - MONTH,
    activated_at=None,
    retiring_at=None,
    retired_at=None,
    compromised=False,
    lifetime_limit=0,
    jwks_age_limit=0,
    refresh_limit=0,
    sealed_private=b"",
)
MOMENTS = {
    "pending": "created_at",
    "active": "activated_at",
    "retiring": "retiring_at",
    "retired": "retired_at",
}


def row(kid: str, state: KeyState, age: timedelta = timedelta(0), **changes: Any) -> KeyRow:
    """A key that came into its state ``age`` ago."""
    changes[MOMENTS[state]] = NOW - age
    return replace(ANY_KEY, kid=kid, state=state, **changes)


def steps(keys: list[KeyRow], every: timedelta | None = None, *, begin: bool = True) -> list[tuple[Any, ...]]:
    """The plan as (action, kid, time from now)."""
    planned = plan(keys, TIMING, NOW, every=every, begin=begin)
    return [(step.action, step.kid, step.at - NOW) for step in planned]


def test_key_is_published_for_the_longest_age_in_force() -> None:
    """What any replica said of any key of today's set counts, and what it said of a retired one no more."""
    new = row("new", "pending")
    assert promotable_at(new, [new], TIMING) == NOW + PUBLICATION
    patient = row("old", "active", jwks_age_limit=3600, refresh_limit=60)
    expected = timedelta(seconds=3600 + 60 + MARGIN_SECONDS)
    assert promotable_at(new, [patient, new], TIMING) == NOW + expected
    gone = row("gone", "retired", jwks_age_limit=3600, refresh_limit=60)
    assert promotable_at(new, [gone, new], TIMING) == NOW + PUBLICATION


def test_key_drains_for_the_longest_lifetime_in_force() -> None:
    """A lifetime that was lowered still holds for the key that signed under the longer one."""
    assert retirable_at(row("k", "retiring"), TIMING) == NOW + DRAIN
    long_lived = row("k", "retiring", lifetime_limit=86_400)
    assert retirable_at(long_lived, TIMING) == NOW + DRAIN + timedelta(seconds=86_400 - 600)


def test_next_step_of_each_state() -> None:
    """A key that signs and one that is gone have no step of their own."""
    keys = [row("a", "retired"), row("b", "retiring"), row("c", "active"), row("d", "pending")]
    found = [next_step(key, keys, TIMING) for key in keys]
    assert [step and step.action for step in found] == [None, "retire", None, "promote"]


def test_first_key_signs_at_once() -> None:
    """Where nothing signs there is no set that could be too old."""
    assert steps([]) == [("create", None, timedelta(0))]
    assert steps([], MONTH) == [("create", None, timedelta(0))]


def test_rotation_by_hand_step_by_step() -> None:
    """Each run plans what is left; the last one does not begin another rotation."""
    old = row("old", "active", MONTH)
    assert steps([old]) == [
        ("create", None, timedelta(0)),
        ("promote", None, PUBLICATION),
        ("retire", "old", PUBLICATION + DRAIN),
    ]
    assert steps([old], begin=False) == []
    young = row("new", "pending", timedelta(seconds=60))
    left = PUBLICATION - timedelta(seconds=60)
    assert steps([old, young]) == [("promote", "new", left), ("retire", "old", left + DRAIN)]
    due = row("new", "pending", PUBLICATION)
    assert steps([old, due]) == [("promote", "new", timedelta(0)), ("retire", "old", DRAIN)]
    draining = [row("old", "retiring", timedelta(seconds=1)), row("new", "active")]
    assert steps(draining) == [("retire", "old", DRAIN - timedelta(seconds=1))]


def test_key_that_signs_for_a_month() -> None:
    """Its successor is made in time to be known everywhere when the month is over, and not earlier."""
    assert steps([row("old", "active", timedelta(0))], MONTH) == [
        ("create", None, MONTH - PUBLICATION),
        ("promote", None, MONTH),
        ("retire", "old", MONTH + DRAIN),
    ]


def test_successor_that_comes_late_is_published_in_full() -> None:
    """A service that was off when the month ended does not make up for it by signing with an unknown key."""
    late = timedelta(days=3)
    assert steps([row("old", "active", MONTH + late)], MONTH)[:2] == [
        ("create", None, timedelta(0)),
        ("promote", None, PUBLICATION),
    ]
    waiting = row("new", "pending", timedelta(seconds=1))
    assert steps([row("old", "active", MONTH + late), waiting], MONTH)[0] == (
        "promote",
        "new",
        PUBLICATION - timedelta(seconds=1),
    )


def test_key_made_by_hand_waits_for_its_turn() -> None:
    """With an automatic rotation a spare key signs when the month of the one before it is over."""
    spare = row("spare", "pending", timedelta(days=5))
    assert steps([row("old", "active", timedelta(days=10)), spare], MONTH)[0] == (
        "promote",
        "spare",
        timedelta(days=20),
    )


@pytest.mark.parametrize("lifetime", [1, 600, 86_400])
@pytest.mark.parametrize("max_age", [1, 300, 86_400])
def test_waits_cover_what_is_in_force(lifetime: int, max_age: int) -> None:
    """Whatever the settings: no key signs before an older set is gone, none is gone before its tokens are."""
    timing = KeyTiming(lifetime, max_age, 5)
    assert publication([], timing) > timedelta(seconds=max_age + 5)
    assert drain(row("k", "retiring"), timing) > timedelta(seconds=lifetime + 5 + LEEWAY_SECONDS)
