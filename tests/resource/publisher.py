"""Who publishes over HTTP in the tests of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx

from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, Registered, System

PATH: Final = f"/{RESOURCE}"
JSON: Final = {"Content-Type": "application/json"}


async def bearer(system: System, client: Registered) -> dict[str, str]:
    """Return the header of a fresh token for ``client``."""
    async with http_client() as http:
        answer = await http.post(system.token_url, data=GRANT, auth=client.basic)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@dataclass
class Publisher:
    """A client that may read and write, with its connection."""

    system: System
    http: httpx.AsyncClient

    async def put(self, path: str, body: bytes | str, **headers: str) -> httpx.Response:
        """PUT ``body`` as JSON; ``if_match="…"`` becomes If-Match."""
        return await self.http.put(path, content=body, headers={**JSON, **_named(headers)})

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        """DELETE, with ``headers`` as ``put`` has them."""
        return await self.http.delete(path, headers=_named(headers))


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
