"""How many tokens a client may have in a while; off unless it is set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from auth_service.errors import QuotaExceeded

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.storage import Storage

    from auth_service.limits.counters import Counters

Mode = Literal["observe", "enforce"]


class Quota:
    """Counts the tokens of each client in fixed windows; its keys are the ids of clients that proved themselves."""

    def __init__(
        self, counters: Counters, item: RateLimitItem, mode: Mode, clock: Callable[[], float]
    ) -> None:
        """Allow ``item``, as in ``limits.parse("600/minute")``."""
        self._counters = counters
        self._item = item
        self._mode = mode
        self._clock = clock
        self._policy = f'"tokens";q={item.amount};w={item.get_expiry()}'

    async def take(self, client_id: str) -> tuple[bool, dict[str, str]]:
        """Count one token: whether it is one too many, and the fields that tell the client about its quota.

        Raises ``QuotaExceeded`` where the quota is enforced. Where it is observed, clients hear nothing of it.
        """
        key = self._item.key_for("quota", client_id)

        async def count(storage: Storage) -> tuple[int, float]:
            number = await storage.incr(key, self._item.get_expiry())
            return number, await storage.get_expiry(key)

        number, ends = await self._counters.run(count)
        over = number > self._item.amount
        if self._mode == "observe":
            return over, {}
        # Redis tells the end by the clock of the machine, which may have been set.
        wait = min(max(math.ceil(ends - self._clock()), 1), self._item.get_expiry())
        left = max(self._item.amount - number, 0)
        fields = {"RateLimit-Policy": self._policy, "RateLimit": f'"tokens";r={left};t={wait}'}
        if over:
            raise QuotaExceeded(wait_seconds=wait, fields=fields)
        return False, fields
