"""A system with limits, and clocks that stand still until a test sets them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

from auth_service import client_secrets
from tests.support.system import GRANT, Registered, System

ALLOWED = 3
# Whom the system believes about addresses: the test itself.
PROXY = "127.0.0.1"


@dataclass
class Clock:
    """Unix time, by hand."""

    now: float = field(default_factory=lambda: float(int(time.time())))

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class Limited:
    """The system, its time, and who asks it."""

    system: System
    # The one of the machine, and the one of the limits.
    wall: Clock
    clock: Clock
    http: httpx.AsyncClient

    async def ask(
        self, who: Registered, *, address: str = "192.0.2.1", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Ask for a token from an address."""
        told = {"X-Forwarded-For": address} if headers is None else headers
        return await self.http.post(self.system.token_url, data=GRANT, auth=who.basic, headers=told)

    async def guess(self, client_id: str, **where: Any) -> httpx.Response:
        """Ask with a well-formed secret that is nobody's."""
        return await self.ask(Registered(client_id, client_secrets.generate().value), **where)

    async def flood(self, client_id: str, times: int, **where: Any) -> None:
        """Guess so many times."""
        for _ in range(times):
            await self.guess(client_id, **where)

    def forget(self) -> None:
        """Know no client any longer, as a replica that has just started."""
        self.system.auth_process.registry.forget_all()


Start = Callable[..., AbstractAsyncContextManager[Limited]]
