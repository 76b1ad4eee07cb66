"""What came of the turns: how long an operation takes at each size, and the largest beside the smallest."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.table import Row

# How many times as long as at the smallest size an operation may take at the largest.
AT_MOST: Final = 1.10


@dataclass(frozen=True)
class Timed:
    """An operation: for each size, smallest first, the p50 of its requests in every turn, in milliseconds."""

    name: str
    turns: Mapping[str, Sequence[float]]
    # None of what reads all there is, as it must: it is shown, and judged by nobody.
    at_most: float | None = AT_MOST

    @property
    def p50(self) -> Mapping[str, float]:
        """The median over all turns, for each size."""
        return {size: statistics.median(turns) for size, turns in self.turns.items()}

    @property
    def ratios(self) -> Sequence[float]:
        """The largest size beside the smallest, in each turn: what disturbs a turn disturbs both."""
        sizes = list(self.turns.values())
        return [largest / smallest for smallest, largest in zip(sizes[0], sizes[-1], strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    def rows(self) -> Sequence[Row]:
        """Return it as rows of a table."""
        figures = [Row(self.name, f"p50, {size}", value, "ms") for size, value in self.p50.items()]
        return [*figures, Row(self.name, "largest beside smallest", self.ratio, "×", at_most=self.at_most)]

    def values(self) -> Mapping[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "at_most": self.at_most,
            "p50_ms": self.p50,
            "ratio": self.ratio,
            "ratios": self.ratios,
            "turns_ms": self.turns,
        }
