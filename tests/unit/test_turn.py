"""How many of a turn are served: all who come in one moment, fewer of a crowd that stays, and again all after it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from steelcut.service.http.overload import FEW, LEAST, OVERLOADED, STAYING_SECONDS, TURN_SECONDS, Turn

MOST = 250
CROWD = 300


class Loop:
    """An event loop and its clock, both turned by hand."""

    def __init__(self) -> None:
        """Begin at some time."""
        self.now = 1000.0
        self._soon: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.later: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Keep what is to be called at the beginning of the next turn."""
        self._soon.append((call, arguments))

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Keep what is to be called some time."""
        self.later.append((seconds, call, arguments))

    def turn(self, turn: Turn, come: int, *, seconds_each: float = 0.000_15) -> int:
        """Let ``come`` requests come and be served, and return how many were."""
        scopes: list[dict[str, Any]] = [{} for _ in range(come)]
        for scope in scopes:
            turn.take(scope, self)  # type: ignore[arg-type] # all that it needs of a loop
        self.call_all()
        served = sum(OVERLOADED not in scope for scope in scopes)
        self.now += served * seconds_each
        self.call_all()
        return served

    def of(self, most: int) -> Turn:
        """Return what counts the requests of this loop."""
        return Turn(most, lambda: self.now)

    def call_all(self) -> None:
        """Begin a turn."""
        soon, self._soon = self._soon, []
        for call, arguments in soon:
            call(*arguments)


@pytest.fixture
def loop() -> Loop:
    """A loop turned by hand."""
    return Loop()


def stay(loop: Loop, turn: Turn, come: int, *, seconds_each: float = 0.000_15) -> int:
    """Let a crowd come turn by turn until it stays, and return how many of the last turn were served."""
    end = loop.now + 3 * STAYING_SECONDS
    served = 0
    while loop.now < end:
        served = loop.turn(turn, come, seconds_each=seconds_each)
    return served


def test_a_moment_may_be_crowded(loop: Loop) -> None:
    """However many come, as many as may wait are served."""
    assert loop.turn(loop.of(MOST), CROWD) == MOST


def test_of_a_crowd_that_stays_few_are_served(loop: Loop) -> None:
    """As many as a turn has time for; of what is dear some all the same, whatever they take."""
    assert stay(loop, loop.of(MOST), CROWD) == pytest.approx(TURN_SECONDS / 0.000_15, abs=1)
    assert stay(loop, loop.of(MOST), CROWD, seconds_each=0.001) == LEAST


def test_of_what_is_cheap_more_are_served(loop: Loop) -> None:
    """As many as a turn has time for."""
    served = stay(loop, loop.of(MOST), CROWD, seconds_each=TURN_SECONDS / 120)
    assert served == pytest.approx(120, abs=1)


def test_never_more_than_may_wait(loop: Loop) -> None:
    """Nor of a crowd that costs nothing, nor where the bound is lower than a few."""
    assert stay(loop, loop.of(MOST), CROWD, seconds_each=0.000_001) == MOST
    assert stay(loop, loop.of(LEAST // 2), CROWD) == LEAST // 2


def test_few_are_no_crowd(loop: Loop) -> None:
    """However long they stay, and whatever they cost."""
    assert stay(loop, loop.of(MOST), FEW, seconds_each=0.01) == FEW


def test_small_turns_amid_a_crowd_do_not_end_it(loop: Loop) -> None:
    """Those who were served need a moment to ask again."""
    turn = loop.of(MOST)
    assert stay(loop, turn, CROWD) < MOST
    for _ in range(100):
        loop.turn(turn, 2)
        loop.now += 2 * FEW * 0.000_15
        assert loop.turn(turn, CROWD) < MOST


def test_a_crowd_ends(loop: Loop) -> None:
    """By a while with few of them: the next moment may be crowded again."""
    turn = loop.of(MOST)
    assert stay(loop, turn, CROWD) < MOST
    end = loop.now + 5 * STAYING_SECONDS
    while loop.now < end:
        loop.turn(turn, FEW)
    assert loop.turn(turn, CROWD) == MOST


def test_those_who_are_not_heard_wait_as_well(loop: Loop) -> None:
    """Of a crowd few come in each turn; it has gone when all of it has been heard."""
    turn = loop.of(MOST)
    served = stay(loop, turn, CROWD)
    heard: list[int] = []
    for number in range(CROWD - served):
        turn.hear_later(loop, partial(heard.append, number))  # type: ignore[arg-type] # all that it needs of a loop
    assert stay(loop, turn, FEW) == served
    for _, call, arguments in loop.later:
        call(*arguments)
    assert heard == list(range(CROWD - served))
    assert stay(loop, turn, FEW) == FEW


def test_a_crowd_of_long_ago_is_none(loop: Loop) -> None:
    """A turn comes only with a request, so that nobody sees the last of a crowd go."""
    turn = loop.of(MOST)
    assert stay(loop, turn, CROWD) < MOST
    loop.now += 5 * STAYING_SECONDS
    assert loop.turn(turn, CROWD) == MOST


def test_crowds_with_pauses_between_do_not_stay(loop: Loop) -> None:
    """However often they come: for most of the time there is none."""
    turn = loop.of(MOST)
    for _ in range(100):
        assert loop.turn(turn, MOST) == MOST
        loop.now += 2 * MOST * 0.000_15


def test_lot_decides(loop: Loop) -> None:
    """Nobody is served only for being read first."""
    turn = loop.of(1)
    served = set()
    for _ in range(200):
        scopes: list[dict[str, Any]] = [{}, {}]
        for scope in scopes:
            turn.take(scope, loop)  # type: ignore[arg-type] # all that it needs of a loop
        loop.call_all()
        served.add([OVERLOADED in scope for scope in scopes].index(False))
    assert served == {0, 1}


def test_refused_connections_are_heard_one_after_the_other(loop: Loop) -> None:
    """Never two in one moment, until all of the time is taken that they were told to wait."""
    turn = loop.of(MOST)
    for _ in range(2000):
        turn.hear_later(loop, list)  # type: ignore[arg-type] # all that it needs of a loop
    seconds = [until for until, _, _ in loop.later]
    assert seconds[0] == pytest.approx(0.1)
    assert seconds[:400] == sorted(set(seconds[:400]))
    assert max(seconds) <= 1.0 + 1e-9
