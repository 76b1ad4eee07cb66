"""What the resource server publishes about itself: metadata, description, probes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from resource_service import documents
from tests.support.databases import Databases
from tests.support.issuer import resource_service
from tests.support.plain_http import http_client
from tests.support.system import RESOURCE, System, as_owner

WELL_KNOWN = "/.well-known/oauth-protected-resource"


async def test_metadata_of_a_resource(resource: httpx.AsyncClient, system: System) -> None:
    """Anybody may learn how to get a token for a resource; `resource` is the token's audience (RFC 9728 §2, §3)."""
    response = await resource.get(f"{WELL_KNOWN}/{RESOURCE}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.json() == {
        "resource": system.document_url,
        "authorization_servers": [system.issuer],
        "scopes_supported": ["read", "write"],
        "bearer_methods_supported": ["header"],
        "resource_name": RESOURCE,
        "resource_documentation": f"{system.resource_base}/docs",
    }


@pytest.mark.parametrize("name", ["unknown", "docs", "admin", "%00", "-", "a" * 129, "a/b", "", "%ff", "'--"])
async def test_metadata_of_no_resource(resource: httpx.AsyncClient, name: str) -> None:
    """Under a name without documents there is no metadata; whatever the name, no error of ours."""
    response = await resource.get(f"{WELL_KNOWN}/{name}")
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


async def test_metadata_is_read_only(resource: httpx.AsyncClient) -> None:
    """The metadata can be fetched and nothing else."""
    response = await resource.post(f"{WELL_KNOWN}/{RESOURCE}")
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_base_url_with_a_path(databases: Databases) -> None:
    """Behind a proxy under a path, the well-known segment still goes between host and path (RFC 9728 §3.1)."""
    await as_owner(databases.resource.owner, lambda c: documents.publish(c, "a", None, b"{}"))
    options = {"base_url": "https://api.example/store", "jwks_uri": "http://127.0.0.1:1/"}
    async with (
        resource_service(databases, "https://issuer.example", **options) as service,
        http_client(base_url=service.base) as client,
    ):
        response = await client.get(f"{WELL_KNOWN}/store/a")
        assert response.json()["resource"] == "https://api.example/store/a"
        refused = await client.get("/a")
        where = f'resource_metadata="https://api.example{WELL_KNOWN}/store/a"'
        assert where in refused.headers["www-authenticate"]


async def test_description_names_every_route_and_the_token(resource: httpx.AsyncClient) -> None:
    """`/openapi.json` tells of the documents, how they are guarded, and of everything else that is served."""
    document: dict[str, Any] = (await resource.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/{resource}",
        "/{resource}/{key}",
        f"{WELL_KNOWN}/{{resource}}",
        "/verify",
        "/healthz",
        "/readyz",
    }
    (scheme,) = document["components"]["securitySchemes"]
    for path in ("/{resource}", "/{resource}/{key}"):
        for method in ("get", "head"):
            assert document["paths"][path][method]["security"] == [{scheme: []}]


async def test_documentation_page_needs_nobody_else(resource: httpx.AsyncClient) -> None:
    """`/docs` brings its own script and style: it works without the Internet."""
    page = (await resource.get("/docs")).text
    assert "https://" not in page
    assert (await resource.get("/docs/assets/swagger-ui-bundle.js")).status_code == 200


async def test_probes(resource: httpx.AsyncClient) -> None:
    """The process lives, and can do its work."""
    alive, ready = await resource.get("/healthz"), await resource.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert ready.json() == {"status": "ready", "checks": {"database": "ok", "issuer_keys": "ok"}}
    assert ready.headers["cache-control"] == "no-store"
    other = await resource.post("/readyz")
    assert (other.status_code, sorted(other.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])
