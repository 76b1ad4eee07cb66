"""Fixtures of the resource server's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.resource import publisher as publishing
from tests.resource.publisher import Publisher
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import System, running_system


@pytest.fixture(scope="session")
async def bearer(system: System, auth: httpx.AsyncClient) -> dict[str, str]:
    """The header that opens the example document of the shared system."""
    response = await auth.post("/token", data={"grant_type": "client_credentials"}, auth=system.client.basic)
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


@pytest.fixture(scope="module")
async def publisher(templates: Templates) -> AsyncIterator[Publisher]:
    """A publisher on a system of that file's own; each test has keys of its own."""
    async with running_system(await templates.clone()) as system:
        headers = await publishing.bearer(system, await system.register("Publisher", ("read", "write")))
        base = system.resource_base
        async with http_client(base_url=base, headers=headers) as http:
            yield Publisher(system, http)
