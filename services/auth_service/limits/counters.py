"""Where it is counted: in this process, or in Redis for all replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from limits.aio.storage import RedisStorage, Storage
from limits.errors import ConfigurationError

from steelcut.service.refusal import Refusal

if TYPE_CHECKING:
    from steelcut.service.telemetry.logs import Logger

# How long one request waits for Redis, and how long it is left alone after it did not answer.
PATIENCE_SECONDS: Final = 0.15
PAUSE_SECONDS: Final = 5.0
MAX_KEYS: Final = 200_000

T = TypeVar("T")


def steady_clock() -> Callable[[], float]:
    """Return a clock of Unix time, in seconds, that goes on evenly when the one of the machine is set."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class _Count(NamedTuple):
    number: int
    ends: float


class BoundedStorage(Storage):
    """Counts in memory: at most ``size`` of them, by the clock that it is given.

    The storage of ``limits`` itself has no bound, and looks through all that it holds at each count.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float], size: int = MAX_KEYS) -> None:
        """Count by ``clock``, which gives seconds: Unix time that nobody sets, as ``steady_clock`` gives it."""
        super().__init__()
        self._clock = clock
        self._size = size
        self._counts: dict[str, _Count] = {}

    def __len__(self) -> int:
        """Return how many counts are kept."""
        return len(self._counts)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What can go wrong: nothing of its own."""
        return ValueError

    def _live(self, key: str) -> _Count | None:
        count = self._counts.get(key)
        if count is not None and count.ends <= self._clock():
            del self._counts[key]
            return None
        return count

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count ``amount`` more; a new count ends after ``expiry`` seconds."""
        count = self._live(key)
        if count is None:
            if len(self._counts) >= self._size:
                self._make_room()
            count = _Count(0, self._clock() + expiry)
        count = _Count(count.number + amount, count.ends)
        self._counts[key] = count
        return count.number

    def _make_room(self) -> None:
        # Half of it, so that the next one that finds no room is far away.
        now = self._clock()
        live = [(key, count) for key, count in self._counts.items() if count.ends > now]
        self._counts = dict(live[-(self._size // 2) :])

    async def get(self, key: str) -> int:
        """Return what was counted so far."""
        count = self._live(key)
        return 0 if count is None else count.number

    async def get_expiry(self, key: str) -> float:
        """Return when the count ends, as Unix time."""
        count = self._live(key)
        return self._clock() if count is None else count.ends

    async def check(self) -> bool:
        """Say that it is there, as always."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        number = len(self._counts)
        self._counts.clear()
        return number

    async def clear(self, key: str) -> None:
        """Forget one count."""
        self._counts.pop(key, None)


class Counters:
    """Runs what counts on Redis where there is one, and on this process's own memory while that is away."""

    def __init__(self, own: Storage, shared: Storage | None, log: Logger) -> None:
        """Prefer ``shared``; ``log`` is told when it goes away."""
        self._own = own
        self._shared = shared
        self._log = log
        self._away_until = 0.0

    @classmethod
    def by_url(cls, url: str | None, clock: Callable[[], float], log: Logger) -> Counters:
        """Count in memory without a ``url``. Raises ``Refusal`` when it, or the package for Redis, cannot be used."""
        own = BoundedStorage(clock)
        return cls(own, None if url is None else _redis(url), log)

    async def close(self) -> None:
        """Hang up on Redis."""
        await _hang_up(self._shared)

    async def run(self, work: Callable[[Storage], Awaitable[T]]) -> T:
        """Return what ``work`` comes to; it is begun anew on the own memory when Redis does not answer in time."""
        loop = asyncio.get_running_loop()
        if self._shared is not None and loop.time() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await work(self._shared)
            except Exception as error:  # noqa: BLE001 - whatever it is, a limit must not become an outage
                self._away_until = loop.time() + PAUSE_SECONDS
                self._log.warning(
                    "limits are counted by this process alone: Redis is away", reason=type(error).__name__
                )
        return await work(self._own)


async def redis_answers(url: str) -> bool:
    """Say whether the Redis at ``url`` takes our password and answers as soon as it must.

    Raises ``Refusal`` when the URL, or the package for Redis, cannot be used.
    """
    storage = _redis(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await storage.check()
    except Exception:  # noqa: BLE001 - whatever it is, replicas would count alone
        return False
    finally:
        await _hang_up(storage)


async def _hang_up(storage: Storage | None) -> None:
    if isinstance(storage, RedisStorage):
        bridge: Any = storage.bridge
        await bridge.storage.aclose()


def _redis(url: str) -> Storage:
    try:
        return RedisStorage(
            f"async+{url}",
            implementation="redispy",
            key_prefix="steelcut",
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
        )
    except (ConfigurationError, ValueError):
        # The library has the first for what is missing, too. Its own words may repeat what the URL holds.
        if find_spec("redis") is None:
            sentence = "AUTH_LIMITS_URL needs the package redis: install steelcut with the extra `redis`."
        else:
            sentence = "AUTH_LIMITS_URL cannot be used: leave out what stands behind the ?, or correct it."
        raise Refusal(sentence) from None
