"""What the server publishes about itself: RFC 8414, RFC 7517."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.plain_http import http_client
from tests.support.system import GRANT, System


async def test_metadata_document(auth: httpx.AsyncClient, system: System) -> None:
    """RFC 8414 §2: the issuer is ours to the letter, and the lists that have other defaults are there."""
    response = await auth.get("/.well-known/oauth-authorization-server")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.json() == {
        "issuer": system.issuer,
        "authorization_endpoint": f"{system.issuer}/authorize",
        "token_endpoint": f"{system.issuer}/token",
        "jwks_uri": f"{system.issuer}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": ["read", "write"],
        "service_documentation": f"{system.issuer}/docs",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_authorized_at_the_authorization_endpoint(
    auth: httpx.AsyncClient, method: str
) -> None:
    """It is there for clients that demand one (ADR 0022): it says no, and redirects nobody anywhere."""
    request = {"response_type": "code", "client_id": "x", "redirect_uri": "https://evil.example.com/"}
    response = await auth.request(method, "/authorize", params=request, follow_redirects=False)
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_response_type")
    assert "location" not in response.headers
    assert "evil" not in response.text


async def test_issuer_with_a_path(start_system: Any) -> None:
    """RFC 8414 §3.1: the well-known segment goes between host and path; tokens flow there as well."""
    system: System = await start_system(issuer_path="/tenant/a")
    root = system.issuer.removesuffix("/tenant/a")
    async with http_client() as http:
        found = await http.get(f"{root}/.well-known/oauth-authorization-server/tenant/a")
        appended = await http.get(f"{system.issuer}/.well-known/oauth-authorization-server")
        answer = await http.post(found.json()["token_endpoint"], data=GRANT, auth=system.client.basic)
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        opened = await http.get(system.document_url, headers=bearer)
    assert found.json()["issuer"] == system.issuer
    assert found.json()["service_documentation"] == f"{root}/docs"
    assert appended.status_code == 404
    assert opened.status_code == 200


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_jwks_has_public_members_only(start_system: Any, algorithm: str) -> None:
    """A verifier gets what it needs, with a max-age, and nothing private."""
    system: System = await start_system(algorithm=algorithm)
    async with http_client() as http:
        response = await http.get(f"{system.issuer}/.well-known/jwks.json")
    (key,) = response.json()["keys"]
    public = {"ES256": {"crv", "x", "y"}, "RS256": {"n", "e"}, "EdDSA": {"crv", "x"}}[algorithm]
    assert key.keys() == {"kty", "kid", "alg", "use"} | public
    assert (key["alg"], key["use"]) == (algorithm, "sig")
    assert response.headers["cache-control"] == "public, max-age=300"
