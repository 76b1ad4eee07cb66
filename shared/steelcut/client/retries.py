"""When to try again, and after how long (RFC 9110 §10.2.3)."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

# RFC 6585 §4, RFC 9110 §15.6: the server, or what stands before it, cannot answer just now.
TEMPORARY: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How patient to be with a server that cannot be reached or says that it is busy; in the terms of stamina.

    At most ``attempts`` attempts, and none that begins later than ``timeout`` seconds after the first; None is no
    bound. Before attempt *n* + 1 passes ``wait_initial * wait_exp_base ** (n - 1)`` plus a random part of
    ``wait_jitter`` seconds, ``wait_max`` at most. A Retry-After of the server takes the place of that; one beyond
    ``timeout`` ends the attempts at once.

    ``sleep``, ``sleep_async``, ``clock`` (monotonic, in seconds) and ``random`` (from 0 to 1) are for tests. Raises
    ``ValueError`` for numbers that mean nothing.
    """

    attempts: int | None = 6
    timeout: float | None = 30.0
    wait_initial: float = 0.1
    wait_max: float = 5.0
    wait_jitter: float = 1.0
    wait_exp_base: float = 2.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    sleep_async: Callable[[float], Awaitable[None]] = field(default=anyio.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    random: Callable[[], float] = field(default=random.random, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("attempts must be 1 or more, or None for no bound")
        if self.timeout is not None and self.timeout < 0:
            raise ValueError("timeout must be 0 seconds or more, or None for no bound")
        if min(self.wait_initial, self.wait_max, self.wait_jitter) < 0 or self.wait_exp_base < 1:
            raise ValueError("the waits must be 0 seconds or more, and wait_exp_base 1 or more")

    def begin(self) -> Attempts:
        """Begin the first attempt."""
        return Attempts(self)


class Attempts:
    """The attempts at one thing."""

    __slots__ = ("_begin", "_made", "_retries")

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._begin = retries.clock()
        self._made = 1

    def pause(self, retry_after: float | None = None) -> float | None:
        """Return for how many seconds to wait before another attempt, None when there is to be none."""
        retries = self._retries
        if retries.attempts is not None and self._made >= retries.attempts:
            return None
        seconds = self._wait() if retry_after is None else retry_after
        passed = retries.clock() - self._begin
        if retries.timeout is not None and passed + seconds > retries.timeout:
            return None
        self._made += 1
        return seconds

    def _wait(self) -> float:
        retries = self._retries
        try:
            wait = retries.wait_initial * retries.wait_exp_base ** (self._made - 1)
        except OverflowError:
            wait = retries.wait_max
        return min(retries.wait_max, wait + retries.random() * retries.wait_jitter)


class Pause:
    """A wait, waited for as a ``Flight`` is."""

    __slots__ = ("_retries", "seconds")

    def __init__(self, seconds: float, retries: Retries) -> None:
        self.seconds: float = seconds
        self._retries = retries

    def wait(self) -> None:
        """Block until it is over."""
        self._retries.sleep(self.seconds)

    async def arrival(self) -> None:
        """Wait until it is over, on asyncio or trio."""
        await self._retries.sleep_async(self.seconds)
