"""How far the clocks of a deployment are apart.

A resource server refuses a token that was issued in its future, and takes one for its leeway after it has ended: the
clocks of the two services must not differ by more (RFC 7519 §4.1.4 to §4.1.6).
"""

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
