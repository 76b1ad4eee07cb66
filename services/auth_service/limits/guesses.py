"""Wrong guesses are slowed down, and never their victim (ADR 0031).

Only requests come here that are about to cost a query or a slow hash. Whoever is right by what this process knows of
the client has been let through before.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from auth_service.errors import TooManyFailures
from steelcut.service.http.callers import parse_address

if TYPE_CHECKING:
    from limits.aio.storage import Storage

    from auth_service.limits.counters import Counters

# Ids and addresses that nobody can list are counted in so many places: a flood of invented ones finds no more room.
BUCKETS: Final = 16_384
# A client id or an address may fail so many times as often as one client id from one address.
SHARED: Final = 5
# From where clients proved themselves, in this process.
SEEN_SECONDS: Final = 86_400.0
MAX_SEEN: Final = 100_000
# How often a client whose id is under guesses is read all the same.
LOOK_SECONDS: Final = 1.0


class _Limit(NamedTuple):
    key: str
    allowed: int


class Guesses:
    """Counts failures by client id, by address and by both, and makes who goes on wait 1, 2, 4 … seconds."""

    def __init__(
        self,
        counters: Counters,
        *,
        allowed: int,
        window_seconds: int,
        longest_seconds: int,
        key: bytes,
        clock: Callable[[], float],
    ) -> None:
        """Allow so many failures in a window; ``key`` is secret, so that nobody finds ids that share a count."""
        self._counters = counters
        self._allowed = allowed
        self._window_seconds = window_seconds
        self._longest_seconds = longest_seconds
        self._key = hashlib.blake2b(key, person=b"steelcut-limits").digest()
        self._clock = clock
        self._seen: dict[tuple[str, str], float] = {}
        # Bounded by BUCKETS.
        self._looked: dict[str, float] = {}

    def succeeded(self, client_id: str, address: str) -> None:
        """Remember that the client proved itself from there: no await, and one entry of a dict."""
        seen = self._seen
        if len(seen) >= MAX_SEEN:
            del seen[next(iter(seen))]
        seen[client_id, address] = self._clock()

    async def admit(self, client_id: str, address: str) -> int:
        """Return 0, or for how long, in seconds, a failure of this request is to wait.

        Raises ``TooManyFailures`` when it is not to be looked at. Known and unknown ids are treated alike.
        """
        pair, client, caller = self._limits(client_id, address)
        own = await self._counters.run(lambda storage: self._wait(storage, [pair, caller]))
        wait = own or await self._counters.run(lambda storage: self._wait(storage, [client]))
        if wait:
            # Others' guesses: the client itself may be among those who ask. What is read stays known for a while, so
            # that once a second is enough for it; who is wrong hears the same as without a look.
            seen = self._clock() - self._seen.get((client_id, address), -math.inf) < SEEN_SECONDS
            if not ((seen or not own) and self._may_look(client.key)):
                raise TooManyFailures(wait_seconds=wait)
        return wait

    async def failed(self, client_id: str, address: str) -> None:
        """Count a failure that was looked at."""
        limits = self._limits(client_id, address)
        await self._counters.run(lambda storage: self._count(storage, limits))

    async def _wait(self, storage: Storage, limits: list[_Limit]) -> int:
        failures = await asyncio.gather(*(storage.get(limit.key) for limit in limits))
        wait = 0
        for limit, number in zip(limits, failures, strict=True):
            if number < limit.allowed:
                continue
            # Whoever comes first after a delay takes the next turn; the others, at the same moment too, go on waiting.
            turn = f"{limit.key}:turn"
            if await storage.incr(turn, self._delay(number, limit)) > 1:
                ends = await storage.get_expiry(turn)
                wait = max(wait, math.ceil(ends - self._clock()), 1)
        # Redis tells the end by the clock of the machine, which may have been set.
        return min(wait, self._longest_seconds)

    async def _count(self, storage: Storage, limits: tuple[_Limit, ...]) -> None:
        for limit in limits:
            number = await storage.incr(limit.key, self._window_seconds)
            if number >= limit.allowed:
                turn = f"{limit.key}:turn"
                await storage.clear(turn)
                await storage.incr(turn, self._delay(number, limit))

    def _delay(self, number: int, limit: _Limit) -> int:
        return min(1 << min(number - limit.allowed, 16), self._longest_seconds)

    def _may_look(self, bucket: str) -> bool:
        now = self._clock()
        if now - self._looked.get(bucket, -math.inf) < LOOK_SECONDS:
            return False
        self._looked[bucket] = now
        return True

    def _limits(self, client_id: str, address: str) -> tuple[_Limit, _Limit, _Limit]:
        network = _network(address)
        shared = SHARED * self._allowed
        return (
            _Limit(self._bucket("pair", f"{network} {client_id}"), self._allowed),
            _Limit(self._bucket("client", client_id), shared),
            _Limit(self._bucket("address", network), shared),
        )

    def _bucket(self, kind: str, what: str) -> str:
        digest = hashlib.blake2b(f"{kind} {what}".encode(), key=self._key, digest_size=8).digest()
        return f"{kind}:{int.from_bytes(digest) % BUCKETS}"


def _network(address: str) -> str:
    """Return what one caller has: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
