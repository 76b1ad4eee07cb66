"""What one clock showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a clock is ahead of this machine's, in seconds, and how far that may be wrong."""

    offset: float
    uncertainty: float

    @classmethod
    def between(cls, begin: float, end: float, shown: float, resolution: float = 0.0) -> Self:
        """Make a reading of a clock that showed ``shown`` at some moment from ``begin`` to ``end`` of ours.

        ``resolution`` is how coarse it is: it shows what is past by up to so many seconds.
        """
        return cls(
            shown + resolution / 2 - (begin + end) / 2,
            (end - begin + resolution) / 2,
        )
