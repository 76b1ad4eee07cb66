"""What the flood is held against: percentiles of what was granted, and their targets."""

from __future__ import annotations

import math

import pytest

from benchmarks.overload import Probed, percentile, rows
from benchmarks.wrk import Load

LOAD = Load(1000, 1.0, 0, 0.001, 0.002, 0.003, {}, {200: 100, 503: 900})


@pytest.mark.parametrize(
    ("times", "percent", "expected"), [([3.0, 1.0, 2.0], 50, 2.0), ([3.0, 1.0], 99, 3.0), ([5.0], 1, 5.0)]
)
def test_percentile(times: list[float], percent: float, expected: float) -> None:
    """The smallest time that so many in a hundred did not exceed."""
    assert percentile(times, percent) == expected


def test_nothing_granted_meets_no_target() -> None:
    """A process that refuses everybody has no percentile."""
    assert percentile([], 99) == math.inf


@pytest.mark.parametrize(("amid", "grown", "missed"), [(0.03, 5, 0), (0.031, 5, 1), (0.03, 6, 1)])
def test_targets(amid: float, grown: float, missed: int) -> None:
    """Three times the wait without a flood, and 5 MiB more, are the most."""
    alone, flooded = Probed(granted=[0.01] * 100), Probed(granted=[amid] * 100, refused=[0.1] * 900)
    figures = rows("at most 5 wait", LOAD, LOAD, alone, flooded, [80.0, 80.0 + grown])
    assert sum(row.missed for row in figures) == missed
    assert next(row.value for row in figures if row.figure == "tokens amid the flood") == 100
