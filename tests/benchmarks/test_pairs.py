"""Turns, ratios, and loads that are not as they should be; without a server."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from benchmarks import pairs, throughput, wrk
from benchmarks.pairs import (
    SETTLE_SECONDS,
    Bench,
    Comparison,
    Plan,
    Side,
    Subject,
    Target,
    Window,
    measure_in_turns,
    measure_pairs,
)
from benchmarks.statements import Statements
from benchmarks.throughput import MORE_PAIRS, PAIRS_WITHOUT_TARGET, Measured, Measurement
from benchmarks.traffic import Traffic
from benchmarks.wrk import LoadError
from tests.benchmarks.conftest import RESULT
from tools.programs import Program

PLAN = Plan(pairs=3, seconds=1, warm_up_seconds=1)
LOAD = wrk.read(RESULT.encode())


def subject(name: str, status: int = 200) -> Subject:
    """A subject that this process stands for."""

    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[Target]:
        yield Target(f"http://{name}", [os.getpid()], Traffic("/", status=status))

    return Subject(name, start)


def side(*per_second: float, **options: float) -> Side:
    """A side whose windows of a second had so many requests."""
    windows = [
        Window(replace(LOAD, requests=int(number)), cpu_seconds=options.get("cpu_seconds", 0.5))
        for number in per_second
    ]
    return Side("", windows, (0, 0))


async def test_subjects_take_turns(feigned_wrk: Program, tmp_path: Path) -> None:
    """Ours, other, ours, other, after a warm-up of each; a load is told how many requests went before."""
    comparison = await measure_pairs(Bench(feigned_wrk, None, PLAN), subject("ours"), subject("other"))
    sent = (tmp_path / "sent").read_text(encoding="utf-8").splitlines()
    assert sent == [
        f"http://{name} {before}" for before in (0, 500, 1000, 1500) for name in ("ours", "other")
    ]
    assert (comparison.ours.requests, comparison.other.requests) == (1500, 1500)
    assert comparison.ratios == [1, 1, 1]
    assert comparison.ours.resident_bytes[0] > 0


async def test_strangers_below_zero_are_kept(feigned_wrk: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one turn has too much another has too little: cut off at zero, a median would say that nobody was there."""
    monkeypatch.setattr(pairs, "strangers_cpu_seconds", itertools.count(0, -1).__next__)
    (side,) = await measure_in_turns(Bench(feigned_wrk, None, PLAN), subject("ours"))
    assert all(window.strangers < 0 for window in side.windows)


async def test_a_window_is_made_of_turns(feigned_wrk: Program, tmp_path: Path) -> None:
    """Five seconds by turns of two: ours, other, ours, other, and the last second of each."""
    plan = replace(PLAN, pairs=2, seconds=5, turn_seconds=2)
    assert plan.turns == [2, 2, 1]
    comparison = await measure_pairs(Bench(feigned_wrk, None, plan), subject("ours"), subject("other"))
    sent = (tmp_path / "sent").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in sent] == ["http://ours", "http://other"] * (1 + 2 * 3)
    for side in (comparison.ours, comparison.other):
        assert [window.load.requests for window in side.windows] == [1500, 1500]


def test_the_turns_of_a_window_are_one_load() -> None:
    """Counts are added; a turn in which the machine stood still does not make p99 its own."""
    loads = [
        replace(LOAD, seconds=2.0, p99=p99, errors={"read": 1}, statuses={status: 9})
        for p99, status in ((0.003, 200), (0.5, 200), (0.004, 304))
    ]
    turns = [
        Window(load, 0.5, 0.25, strangers, Statements(1, 2, 3, 4))
        for load, strangers in zip(loads, (0.0, 0.3, 0.0), strict=True)
    ]
    window = Window.together(turns)
    assert (window.load.requests, window.load.seconds, window.load.p99) == (1500, 6.0, 0.004)
    assert (window.load.longest, window.load.errors) == (LOAD.longest, {"read": 3})
    assert window.load.statuses == {200: 18, 304: 9}
    assert (window.cpu_seconds, window.database_cpu_seconds) == (1.5, 0.75)
    assert window.strangers == pytest.approx(0.1)
    assert window.statements == Statements(3, 6, 9, 12)


async def test_another_status_ends_it(feigned_wrk: Program) -> None:
    """Answers of 200 are not what a conditional request was to measure."""
    with pytest.raises(LoadError, match=r"ours answered by \{200: 500}, and not by 304 alone"):
        await measure_in_turns(Bench(feigned_wrk, None, PLAN), subject("ours", status=304))


async def test_a_failed_request_ends_it(feigned_wrk: Program, tmp_path: Path) -> None:
    """Figures of a server that refuses mean nothing."""
    result = orjson.loads(RESULT)
    result["errors"]["timeout"] = 2
    (tmp_path / "result.json").write_bytes(orjson.dumps(result))
    with pytest.raises(LoadError, match="ours: 2 of 500 requests failed"):
        await measure_in_turns(Bench(feigned_wrk, None, PLAN), subject("ours"))


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    """A pair that was disturbed on one side does not move it, as it would the ratio of the medians."""
    comparison = Comparison(side(100, 300, 160), side(200, 400, 200))
    assert comparison.ratios == [0.5, 0.75, 0.8]
    assert comparison.ratio == 0.75


def test_a_ratio_is_told_as_closely_as_its_pairs_agree() -> None:
    """Twice the standard error of a median; one pair tells nothing of that."""
    comparison = Comparison(side(98, 100, 102, 100), side(100, 100, 100, 100))
    # The deviation is 0.0163, of the mean of four 0.0082, of their median a quarter more.
    assert comparison.give_or_take == pytest.approx(0.0205, abs=0.0001)
    assert Comparison(side(100), side(100)).give_or_take == math.inf


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        ([100, 101, 99, 100], []),
        ([98, 101, 99, 98], []),
        ([97, 96, 97, 96], ["share of other"]),
        ([90, 110, 95, 105], ["told to within"]),
        ([50, 70, 45, 65], ["share of other", "told to within"]),
    ],
    ids=["equal", "equal as far as can be told", "slower", "cannot be told", "slower by far"],
)
def test_who_ought_to_be_equal_is_no_slower(ours: list[float], missed: list[str]) -> None:
    """Lower by more than the run can err is slower; a run that cannot tell it closely does not pass for that."""
    sides = [side(*ours), replace(side(100, 100, 100, 100), name="other")]
    measured = Measured("equals", Measurement(lambda _: (), (1.0,), no_slower=True), sides)
    assert [row.figure for row in measured.rows() if row.missed] == missed
    (ratio,) = measured.figures()["ratios"]
    assert ratio["missed"] is bool(missed)
    assert ratio["give_or_take"] == measured.comparisons[0].give_or_take


def test_another_ratio_is_judged_as_it_is() -> None:
    """A share that is to be reached has been reached or not."""
    measured = Measured("share", Measurement(lambda _: (), (1.0,)), [side(99, 101, 99), side(100, 100, 100)])
    assert [row.figure for row in measured.rows() if row.missed] == ["share of "]
    (ratio,) = measured.figures()["ratios"]
    assert (ratio["missed"], ratio["give_or_take"]) == (True, None)


def test_who_ought_to_be_equal_is_measured_more_often() -> None:
    """How long that takes is said as well."""
    bench = Bench(Program(Path("wrk"), {}), None, PLAN)
    equal, share = (throughput.duration(bench, [name]) for name in ("document-304", "document"))
    warm_up = 2 * (PLAN.warm_up_seconds + SETTLE_SECONDS)
    assert equal - warm_up == pytest.approx(MORE_PAIRS * (share - warm_up))


def test_what_nobody_judges_is_measured_less_often() -> None:
    """But not more often than was asked for."""
    without = throughput.MEASUREMENTS["document-numbered"]
    assert [without.plan(replace(PLAN, pairs=pairs)).pairs for pairs in (5, 2)] == [PAIRS_WITHOUT_TARGET, 2]
    assert throughput.MEASUREMENTS["document"].plan(replace(PLAN, pairs=5)).pairs == 5


def test_a_ratio_by_processor_time_is_that_of_the_requests() -> None:
    """Who takes twice the time for each answers half as many."""
    assert Comparison(side(100, cpu_seconds=1.0), side(100, cpu_seconds=0.5)).cpu_ratio == 0.5


def test_processor_time_is_per_request() -> None:
    """Half a second for 1,000 requests is 500 µs each."""
    assert side(1000, 1000, 10, cpu_seconds=0.5).cpu_us == 500


def test_statements_are_per_request_over_all_windows() -> None:
    """What is asked once in a while is not lost in a median."""
    windows = [Window(LOAD, 0.0, statements=Statements(reads=reads)) for reads in (0, 0, 15)]
    assert Side("", windows, (0, 0)).per_request(lambda statements: statements.reads) == 0.01
    assert Side("", windows, (0, 0)).figures()["queries_per_request"] == 0.01


def test_how_long_it_takes_is_said_before() -> None:
    """Five windows of ten seconds and a warm-up, for each of two, and a moment after each turn of two seconds."""
    assert 2 * (5 * 10 + 2) <= Plan().duration(2) <= 2 * (5 * (10 + 5) + 3)
