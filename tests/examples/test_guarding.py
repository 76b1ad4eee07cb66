"""The examples that guard: FastAPI and plain ASGI, on real sockets, with tokens of the running auth service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import ModuleType

import httpx
import pytest

from auth_service.administration.resources import create_resource
from steelcut import ClientCredentials, RequestRefused
from steelcut.testing import Issuer
from tests.support.issuer import url_of
from tests.support.system import ACTOR, Registered, System, listen, serving

Load = Callable[..., ModuleType]


async def register(system: System, name: str, audience: str, scopes: tuple[str, ...]) -> Registered:
    """Register a resource, and a client that may read it."""
    await system.as_admin(lambda c: create_resource(c, ACTOR, name, audience, scopes))
    return await system.register(f"caller of {name}", grants={name: scopes[:1]})


@pytest.fixture
async def reports(system: System, load: Load) -> AsyncIterator[tuple[str, Registered]]:
    """The FastAPI example, running, and a client that may read there."""
    listener = listen()
    audience = f"{url_of(listener)}/reports"
    client = await register(system, f"reports-{listener.getsockname()[1]}", audience, ("read", "write"))
    module = load("fastapi_app", STEELCUT_ISSUER=system.issuer, REPORTS_AUDIENCE=audience)
    async with serving(module.app, listener):
        yield audience, client


async def test_fastapi_example_serves_who_may_and_refuses_the_rest(
    system: System, reports: tuple[str, Registered]
) -> None:
    """Reading works by the two lines of a client; writing needs a scope that it lacks; nobody comes in without."""
    url, client = reports
    auth = ClientCredentials(client.client_id, client.secret, issuer=system.issuer, resource=url)
    async with httpx.AsyncClient(auth=auth) as http:
        answer = await http.get(url)
        assert (answer.status_code, answer.json()["for"]) == (200, client.client_id)
        refused = await http.put(f"{url}/2031-q1")
        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    async with httpx.AsyncClient() as http:
        assert (await http.get(url)).status_code == 401


async def test_fastapi_example_is_found_by_its_challenge(reports: tuple[str, Registered]) -> None:
    """A client that knows the resource alone finds the issuer through the challenge (RFC 9728)."""
    url, client = reports
    auth = ClientCredentials(client.client_id, client.secret, resource=url)
    async with httpx.AsyncClient(auth=auth) as http:
        assert (await http.get(url)).status_code == 200


async def test_fastapi_example_describes_its_guard(reports: tuple[str, Registered]) -> None:
    """The OpenAPI document names the security scheme at each guarded route."""
    url, _ = reports
    async with httpx.AsyncClient() as http:
        document = (await http.get(url.replace("/reports", "/openapi.json"))).json()
    (scheme,) = document["components"]["securitySchemes"]
    assert [*document["paths"]["/reports"]["get"]["security"][0]] == [scheme]


async def test_asgi_example_says_who_calls(system: System, load: Load) -> None:
    """The application sees the claims of the caller and nobody else gets as far."""
    listener = listen()
    audience = f"{url_of(listener)}/status"
    client = await register(system, f"status-{listener.getsockname()[1]}", audience, ("read",))
    module = load("asgi_app", STEELCUT_ISSUER=system.issuer, STATUS_AUDIENCE=audience)
    async with serving(module.app, listener, lifespan="auto"):
        auth = ClientCredentials(client.client_id, client.secret, resource=audience)
        async with httpx.AsyncClient(auth=auth) as http:
            answer = await http.get(audience)
        assert answer.json() == {"client": client.client_id, "scopes": ["read"]}
        wrong = ClientCredentials(client.client_id, "wrong", issuer=system.issuer, resource=audience)
        async with httpx.AsyncClient(auth=wrong) as http:
            with pytest.raises(RequestRefused, match="invalid_client"):
                await http.get(audience)


def test_guarded_application_is_tested_offline(load: Load, steelcut_issuer: Issuer) -> None:
    """What docs/testing.md shows: no server, no network, tokens good and bad."""
    audience = "https://api.example.com/reports"
    module = load("fastapi_app", STEELCUT_ISSUER=steelcut_issuer.url, REPORTS_AUDIENCE=audience)
    from fastapi.testclient import TestClient  # noqa: PLC0415 - only here

    http = TestClient(module.app)
    assert http.get("/reports", headers=steelcut_issuer.bearer(audience=audience)).status_code == 200
    assert http.get("/reports").status_code == 401
    for refused in (
        steelcut_issuer.bearer(audience=audience, expires_in=-120),
        steelcut_issuer.bearer(audience="https://api.example.com/other"),
        {"Authorization": f"Bearer {steelcut_issuer.forged_token(audience=audience)}"},
    ):
        assert http.get("/reports", headers=refused).status_code == 401
    writer = steelcut_issuer.bearer(audience=audience, scope="write")
    assert http.get("/reports", headers=writer).status_code == 403
    assert http.put("/reports/2031-q1", headers=writer).status_code == 204
