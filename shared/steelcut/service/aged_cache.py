"""What was read from a database a moment ago: bounded, fresh for a while, and after that the last that was known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from cachetools import LRUCache

K = TypeVar("K")
V = TypeVar("V")


class _Kept(NamedTuple):
    value: Any
    # Seconds of the cache's clock.
    read_at: float


class AgedCache(Generic[K, V]):
    """Values that are fresh for ``fresh_seconds``, and known for ``stale_seconds`` more.

    Together they take at most ``size``, each as much as ``getsizeof`` says, or 1; the least used leave. What is stale
    is for whoever cannot ask the database now. What is forgotten is neither fresh nor stale: it is known to have
    changed.
    """

    def __init__(
        self,
        size: int,
        *,
        fresh_seconds: float,
        stale_seconds: float,
        monotonic: Callable[[], float],
        getsizeof: Callable[[V], int] | None = None,
    ) -> None:
        """Keep nothing yet; ``monotonic`` is the clock of the ages, in seconds."""
        measure = None if getsizeof is None else lambda kept: getsizeof(kept.value)
        self._kept: LRUCache[K, _Kept] = LRUCache(size, getsizeof=measure)
        self._fresh_seconds: Final = fresh_seconds
        self._stale_seconds: Final = stale_seconds
        self._monotonic: Final = monotonic
        self._doubted_at = -math.inf
        # How often ``fresh`` had an answer, and how often not.
        self.hits = self.misses = 0

    @property
    def size(self) -> float:
        """How much is kept, as ``getsizeof`` says."""
        return self._kept.currsize

    @property
    def most(self) -> float:
        """How much may be kept."""
        return self._kept.maxsize

    def __contains__(self, key: object) -> bool:
        """Say whether it is kept, however old."""
        return key in self._kept

    def fresh(self, key: K) -> V | None:
        """Return what was read recently."""
        try:
            value, read_at = self._kept[key]
        except KeyError:
            self.misses += 1
            return None
        if read_at > self._doubted_at and self._monotonic() - read_at < self._fresh_seconds:
            self.hits += 1
            return value  # type: ignore[no-any-return] # as it was put
        self.misses += 1
        return None

    def known(self, key: K) -> V | None:
        """Return what was read last, whether or not it is fresh, unless it is too old even for an outage."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        fresh_until = kept.read_at + self._fresh_seconds
        if kept.read_at <= self._doubted_at:
            fresh_until = min(fresh_until, self._doubted_at)
        if self._monotonic() - fresh_until < self._stale_seconds:
            return kept.value  # type: ignore[no-any-return] # as it was put
        self.forget(key)
        return None

    def put(self, key: K, value: V) -> None:
        """Keep what was read just now. Raises ``ValueError`` when it is larger than the whole."""
        self._kept[key] = _Kept(value, self._monotonic())

    def forget(self, key: K) -> None:
        """Drop what has changed."""
        self._kept.pop(key, None)

    def forget_all(self) -> None:
        """Drop everything: something has changed that many share."""
        self._kept.clear()

    def doubt_all(self) -> None:
        """Let nothing be fresh that was read until now: what changed was perhaps not heard of."""
        self._doubted_at = self._monotonic()
