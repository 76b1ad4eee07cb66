"""Where the admin API is, and where it is not."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from auth_service.administration.admin_api import admin_audience
from auth_service.migrations import GRANTS
from tests.admin.operators import admin_token, calling, kind, operating, register_operator
from tests.support.plain_http import http_client
from tests.support.system import System


async def test_a_process_without_the_administrator_has_none(start_system: Any) -> None:
    """The ordinary 404 with and without a token, and no word of it in the description."""
    system: System = await start_system()
    await register_operator(system)
    async with http_client(base_url=system.issuer) as auth:
        await _has_none(auth)


async def _has_none(auth: httpx.AsyncClient) -> None:
    for path in ("/admin/v1/clients", "/.well-known/oauth-protected-resource/admin/v1", "/admin/v1"):
        answer = await auth.get(path)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    document = (await auth.get("/openapi.json")).text
    assert "/admin/" not in document
    assert "problem+json" not in document


async def test_an_issuer_with_a_path_has_it_below_its_path(start_system: Any) -> None:
    """Audience, paths, Location and links."""
    system: System = await start_system(admin=True, issuer_path="/tenant")
    async with operating(system) as http:
        content = {"name": "x", "client_id": "x", "grants": {"admin": ["clients:read"]}}
        made = await http.post("/clients", json=content)
        assert made.headers["location"] == "/tenant/admin/v1/clients/x"
        page = await http.get("/clients?limit=1")
        assert page.links["next"]["url"].startswith("/tenant/admin/v1/clients?limit=1&cursor=")
        assert kind(await http.get("/nothing")) == (404, "not-found")
    root = system.issuer.removesuffix("/tenant")
    async with http_client(base_url=root) as http:
        url = "/.well-known/oauth-protected-resource/tenant/admin/v1"
        assert (await http.get(url)).json()["resource"] == admin_audience(system.issuer)
        document = (await http.get("/openapi.json")).json()
        assert "/tenant/admin/v1/clients" in document["paths"]
        assert (await http.get("/admin/v1/clients")).status_code == 404


async def test_the_token_endpoint_stands_first(administered: System) -> None:
    """It pays nothing for the API: no route is looked at before it, and its refusals keep their form."""
    assert administered.auth_app.router.routes[0].path == "/token"  # type: ignore[attr-defined]
    async with http_client() as http:
        refused = await http.post(administered.token_url, data={"grant_type": "x"})
        wrong = await http.get(administered.token_url)
        nothing = await http.get(f"{administered.issuer}/nothing")
    for answer in (refused, wrong, nothing):
        assert answer.headers["content-type"] == "application/json"
        assert "error" in answer.json()


async def test_a_resource_of_another_issuer_opens_nothing(administered: System) -> None:
    """The resource must be the one of this issuer, by name and by identifier."""
    operator = await register_operator(administered)
    token = await admin_token(administered, operator)
    rename = "UPDATE resources SET name = $2 WHERE name = $1"
    async with calling(administered, token) as http:
        await administered.as_owner(lambda c: c.execute(rename, "admin", "former"))
        try:
            assert kind(await http.get("/clients")) == (401, "unauthorized")
        finally:
            await administered.as_owner(lambda c: c.execute(rename, "former", "admin"))
        assert (await http.get("/clients")).status_code == 200


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO clients (client_id, name) VALUES ('x', 'x')",
        "UPDATE clients SET enabled = true",
        "DELETE FROM client_secrets",
        "INSERT INTO client_grants SELECT 'x', resource_id, 'read' FROM resources",
        "UPDATE resources SET identifier = 'x'",
        "UPDATE signing_keys SET state = 'retired'",
        "SELECT FROM idempotent_answers",
        "INSERT INTO idempotent_answers VALUES ('a', 'k', '', 200, '', '')",
    ],
)
async def test_a_replica_could_not_administer(administered: System, statement: str) -> None:
    """The role of a process without the API has not the right, whatever its code might do."""
    assert GRANTS
    connection = await asyncpg.connect(administered.databases.auth.runtime)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
