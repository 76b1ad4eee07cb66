"""What a process counts while it serves: plain numbers, always, read by ``telemetry.metrics`` when it is asked.

Counting is on the path of every request, so it is an addition or two and nothing else; names, labels and text are made
when somebody reads. A reader on another thread takes a copy first.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

# What the scope of a request has that is refused: the kind of the refusal.
REFUSED_FOR: Final = "refused_for"
# Seconds, as `le` of a histogram: from a guard that knows the token to a caller who waits for everything.
BOUNDS: Final = (
    *(0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5),
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Durations:
    """How long something took, by the buckets of ``BOUNDS`` and one beyond; ``total`` in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        """Begin with none."""
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    @classmethod
    def of(cls, others: Iterable[Durations]) -> Durations:
        """Return all of ``others`` together."""
        together = cls()
        for other in others:
            together.counts = [one + more for one, more in zip(together.counts, other.counts, strict=True)]
            together.total += other.total
        return together

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Count how long the block takes, also when it fails. Where each microsecond counts, use ``add``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(time.perf_counter() - began)


class Outcome(NamedTuple):
    """What is known of a request when it has been answered; ``kind`` says what it was refused for, if it was."""

    route: str
    method: str
    status: int
    kind: str


class Requests:
    """The requests of an application, and how long they took, by their outcomes.

    The names of routes, methods and kinds of refusal are ours or the HTTP parser's, never the caller's: however much is
    asked, there are only so many.
    """

    def __init__(self) -> None:
        """Begin with none."""
        # By outcome; as bare tuples, which are made for each request.
        self._durations: dict[tuple[str, str, int, str], Durations] = {}

    def add(self, route: str, method: str, status: int, kind: str, seconds: float) -> None:
        """Count one more."""
        durations = self._durations.get((route, method, status, kind))
        if durations is None:
            durations = self._durations[route, method, status, kind] = Durations()
        durations.add(seconds)

    def durations(self) -> dict[Outcome, Durations]:
        """Return a copy of what there is by now."""
        return {Outcome(*outcome): durations for outcome, durations in dict(self._durations).items()}


class Connections:
    """The connections of callers, and what was refused on them before it was a request."""

    def __init__(self) -> None:
        """Begin with none."""
        self.open = 0
        self.refused: Counter[int] = Counter()
