"""Callers of both services in bad times: one whom they know, and others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, Registered, System
from tests.support.waiting import until

PATH = f"/{RESOURCE}"
# So soon nothing is fresh any more.
YOUNG: Final[dict[str, Any]] = {
    "cache_max_age_seconds": 0.05,
    "resource_options": {"cache_max_age_seconds": 0.05},
}
RECOVERY_SECONDS = 1.0


class Callers:
    """A client with a token, and what it and others are answered."""

    def __init__(self, system: System, http: httpx.AsyncClient) -> None:
        self.system = system
        self._http = http
        self.bearer = ""

    async def token(self, client: Registered | None = None) -> httpx.Response:
        """Ask for a token."""
        asking = client or self.system.client
        return await self._http.post(self.system.token_url, data=GRANT, auth=asking.basic)

    async def document(self, path: str = PATH) -> httpx.Response:
        """Fetch a document."""
        url = f"{self.system.resource_base}{path}"
        return await self._http.get(url, headers={"Authorization": f"Bearer {self.bearer}"})

    async def ready(self, base: str) -> httpx.Response:
        """Probe a service."""
        return await self._http.get(f"{base}/readyz")

    async def become_known(self) -> None:
        """Let both services read what they are asked for later, and let it age."""
        await self.system.heard()
        self.bearer = (await self.token()).json()["access_token"]
        assert (await self.document()).status_code == 200
        registry = self.system.auth_process.registry
        documents = self.system.resource_app.state.process.documents

        async def aged() -> bool:
            return (
                registry.cached(self.system.client.client_id) is None
                and documents.ready(RESOURCE, "") is None
            )

        await until(aged, 5)


@contextlib.asynccontextmanager
async def known(system: System) -> AsyncIterator[Callers]:
    """Give callers of a system that knows the client and its document."""
    async with http_client(timeout=30) as http:
        callers = Callers(system, http)
        await callers.become_known()
        yield callers


async def status_within(asked: Any, seconds: float) -> int:
    """Return the status of an answer that comes in time."""
    begin = time.monotonic()
    response: httpx.Response = await asked
    assert time.monotonic() - begin < seconds
    return response.status_code
