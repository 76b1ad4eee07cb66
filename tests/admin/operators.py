"""Those who call the admin API."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from auth_service.administration.admin_api import OPERATOR_SCOPES, admin_audience, create_admin
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, Registered, System

_names = itertools.count()


async def register_operator(system: System, *scopes: str) -> Registered:
    """Register a client with ``scopes`` of the admin API, by default those of an operator."""
    name = f"operator {next(_names)}"
    new = await system.as_admin(
        lambda c: create_admin(c, ACTOR, name, system.issuer, scopes or OPERATOR_SCOPES)
    )
    return Registered(new.client.client_id, new.secret)


async def admin_token(system: System, client: Registered, scope: str | None = None) -> str:
    """Get a token for the admin API; ``scope`` narrows it."""
    form = {**GRANT, "resource": admin_audience(system.issuer)}
    if scope is not None:
        form["scope"] = scope
    async with http_client() as http:
        answer = await http.post(system.token_url, data=form, auth=client.basic)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


@asynccontextmanager
async def calling(system: System, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client whose paths are those below ``/admin/v1``."""
    headers = {"Authorization": f"Bearer {token}"}
    async with http_client(base_url=admin_audience(system.issuer), headers=headers) as http:
        yield http


@asynccontextmanager
async def operating(system: System, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a new operator with ``scopes``."""
    token = await admin_token(system, await register_operator(system, *scopes))
    async with calling(system, token) as http:
        yield http


def kind(answer: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem, after a look at its form."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert body["status"] == answer.status_code
    assert body["trace_id"] == answer.headers["x-trace-id"]
    assert body["title"]
    assert body["detail"].endswith((".", "?"))
    return answer.status_code, body["type"].removeprefix("urn:steelcut:problem:")
