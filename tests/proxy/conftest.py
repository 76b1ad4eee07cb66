"""Fixtures: both services, a service that knows nothing of tokens, and proxies before it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

import pytest

from auth_service.administration.resources import create_resource
from tests.proxy.upstream import Upstream
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, Registered, System, running_system
from tools.programs import NotToBeHadError, Program, find

# As in the examples.
ORDERS: Final = "https://orders.example.com"


@pytest.fixture(scope="package")
async def guarded_system(templates: Templates) -> AsyncIterator[System]:
    """Both services, with a resource that lies behind a proxy and not in the resource service."""
    databases = await templates.clone()
    async with running_system(databases) as system:
        await system.as_admin(lambda c: create_resource(c, ACTOR, "orders", ORDERS, ["read", "write"]))
        yield system
    await templates.drop(databases)


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """The service behind the proxies, which nothing has reached yet."""
    shared_upstream.seen.clear()
    return shared_upstream


@pytest.fixture(scope="package")
def shared_upstream() -> Upstream:
    """The service behind the proxies."""
    return Upstream()


@pytest.fixture(scope="session")
def nginx_program() -> Program:
    """The program nginx: of this machine, or brought by the first run, which then takes seconds more."""
    try:
        return find("nginx")
    except NotToBeHadError as reason:
        pytest.skip(f"no nginx: {reason}")


async def token_of(system: System, client: Registered) -> str:
    """Return a token as the client gets it."""
    async with http_client() as http:
        answer = await http.post(system.token_url, data=GRANT, auth=client.basic)
    token: str = answer.json()["access_token"]
    return token


def challenge(value: str | None) -> dict[str, str]:
    """Take a challenge apart."""
    assert value is not None
    assert value.startswith("Bearer ")
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', value))
