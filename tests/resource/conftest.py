"""Fixtures of the resource server's tests."""

from __future__ import annotations

import httpx
import pytest

from tests.support.system import System


@pytest.fixture(scope="session")
async def bearer(system: System, auth: httpx.AsyncClient) -> dict[str, str]:
    """The header that opens the example document of the shared system."""
    response = await auth.post("/token", data={"grant_type": "client_credentials"}, auth=system.client.basic)
    return {"Authorization": f"Bearer {response.json()['access_token']}"}
