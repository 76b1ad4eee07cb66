"""What the benchmark of growth makes of its turns, and the page that shows a recorded run of it."""

from __future__ import annotations

import itertools

import orjson
import pytest

from benchmarks.growth.figures import Timed
from benchmarks.growth.life import Memory
from benchmarks.growth.operations import apart
from benchmarks.growth.page import PAGE, section, table, turns
from benchmarks.growth.sizes import QUICK, SIZES, Size
from benchmarks.page import ROOT, between_marks
from tests.benchmarks.test_page import RUN


def test_the_largest_is_compared_with_the_smallest_turn_by_turn() -> None:
    """A slow moment is one for both, and a single odd turn does not count."""
    timed = Timed("a", {"small": [1.0, 4.0, 1.0], "middle": [9.0, 9.0, 9.0], "large": [1.0, 4.4, 5.0]})
    assert timed.ratios == pytest.approx([1.0, 1.1, 5.0])
    assert timed.ratio == pytest.approx(1.1)
    assert dict(timed.p50) == {"small": 1.0, "middle": 9.0, "large": 4.4}


@pytest.mark.parametrize(("large", "missed"), [(1.09, False), (1.11, True)], ids=["met", "missed"])
def test_a_tenth_more_is_allowed(large: float, *, missed: bool) -> None:
    """And no more; what reads all there is has no target."""
    turns = {"small": [1.0], "large": [large]}
    assert Timed("a", turns).rows()[-1].missed is missed
    assert not Timed("a", turns, at_most=None).rows()[-1].missed


def test_memory_is_compared_with_what_it_was_after_the_first_tenth() -> None:
    """Not with what it was at rest."""
    memory = Memory([(0, 80.0), (100, 90.0), (200, 90.5)])
    assert memory.growth == pytest.approx(0.5)
    assert not memory.rows()[-1].missed
    assert Memory([(0, 80.0), (100, 90.0), (200, 92.5)]).rows()[-1].missed


@pytest.mark.parametrize("size", [*SIZES, *QUICK], ids=lambda size: f"{size.name}-{size.clients}")
def test_each_comes_before_any_comes_again(size: Size) -> None:
    """Else one that is asked for again might still be in memory."""
    first = min(size.clients, 1_000)
    assert len(set(itertools.islice(apart(size.clients), first))) == first


def test_a_table_has_words_first() -> None:
    """All other columns are numbers."""
    assert table(("a", "b"), [("c", "1")]) == "| a | b |\n| --- | --: |\n| c | 1 |\n"


def test_the_page_shows_the_run_that_it_names() -> None:
    """A figure that was written by hand, or a run that was recorded anew without the page, fails here."""
    shown = between_marks(PAGE.read_text(encoding="utf-8"))
    named = RUN.search(shown)
    assert named
    result = orjson.loads((ROOT / "benchmarks" / "results" / named[1]).read_bytes())
    assert section(result, named[1]) == shown


def test_the_page_says_how_often_each_was_measured() -> None:
    """Reports that read all there is are measured less often, and judged by nobody."""
    judged = {"ratios": [1.0, 1.02, 0.98, 1.0], "at_most": 1.1}
    said = "4 turns, so that the judged ratios are told to ± 0.02 to 0.02"
    assert turns([judged]) == said
    assert turns([judged, {"ratios": [9.0], "at_most": None}]) == f"{said}; 1 of the lines without a target"
