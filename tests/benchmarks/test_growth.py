"""What the benchmark of growth makes of its turns."""

from __future__ import annotations

from benchmarks.growth.figures import Timed


def test_the_largest_is_compared_with_the_smallest_in_each_turn() -> None:
    """A slow turn is slow for both, and a single odd one does not count."""
    timed = Timed("a", {"small": [1.0, 4.0, 1.0], "middle": [9.0, 9.0, 9.0], "large": [1.0, 4.4, 5.0]})
    assert timed.ratios == [1.0, 1.1, 5.0]
    assert timed.ratio == 1.1
    assert dict(timed.p50) == {"small": 1.0, "middle": 9.0, "large": 4.4}
    assert not timed.rows()[-1].missed
