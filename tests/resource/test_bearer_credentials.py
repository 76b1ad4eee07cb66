"""Who may read: credentials and challenges over HTTP (RFC 6750, RFC 9728 §5)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from auth_service.administration.resources import create_resource
from resource_service import documents
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, DOCUMENT, RESOURCE, System, as_owner

PATH = f"/{RESOURCE}"
GRANT = {"grant_type": "client_credentials"}


def challenge(response: httpx.Response) -> dict[str, str]:
    """Take the one challenge of an answer apart."""
    (value,) = response.headers.get_list("www-authenticate")
    assert value.startswith("Bearer ")
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', value))


def metadata_url(system: System, resource: str = RESOURCE) -> str:
    """Return where every challenge points."""
    return f"{system.resource_base}/.well-known/oauth-protected-resource/{resource}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_without_credentials(resource: httpx.AsyncClient, system: System, method: str) -> None:
    """Who brings nothing is told what to bring and where to learn more, and of no error (RFC 6750 §3.1)."""
    response = await resource.request(method, PATH)
    assert response.status_code == 401
    assert challenge(response) == {"scope": "read", "resource_metadata": metadata_url(system)}
    assert response.headers["cache-control"] == "no-store"
    if method == "GET":
        assert response.json()["error"] == "unauthorized"


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Negotiate AAAA", "", "token", "Bearer\tx"], ids=str)
async def test_other_schemes_are_no_bearer_credentials(
    resource: httpx.AsyncClient, system: System, value: str
) -> None:
    """Another scheme is the same as no credentials: no error, but a challenge for Bearer (RFC 9110 §11.6.1)."""
    response = await resource.get(PATH, headers={"Authorization": value})
    assert response.status_code == 401
    assert challenge(response) == {"scope": "read", "resource_metadata": metadata_url(system)}


@pytest.mark.parametrize(
    "values",
    [
        ["Bearer"],
        ["Bearer a b"],
        ["Bearer a,b"],
        ["Bearer {}"],
        ['Bearer {"protected":"e30","payload":"e30","signature":"AA"}'],
        ['Bearer {"payload":"e30","signatures":[{"protected":"e30","signature":"AA"}]}'],
        ["Bearer \xff\xfe"],
        ["Bearer é.è.à"],
    ],
    ids=ascii,
)
async def test_malformed_credentials(resource: httpx.AsyncClient, system: System, values: list[str]) -> None:
    """What cannot be one token, a JWS in its JSON forms included, is a bad request (RFC 6750 §3.1)."""
    headers = [("authorization", value.encode("latin-1")) for value in values]
    response = await resource.get(PATH, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    told = challenge(response)
    assert (told["error"], told["resource_metadata"]) == ("invalid_request", metadata_url(system))


async def test_two_authorization_headers(resource: httpx.AsyncClient, bearer: dict[str, str]) -> None:
    """Two identities in one request are none, even when both are good (RFC 6750 §2)."""
    (value,) = bearer.values()
    for second in (value, "Basic dXNlcjpwYXNz", "Bearer forged"):
        pairs = [("Authorization", value), ("Authorization", second)]
        assert (await resource.get(PATH, headers=pairs)).status_code == 400
        assert (await resource.get(PATH, headers=pairs[::-1])).status_code == 400


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
async def test_scheme_has_no_case(resource: httpx.AsyncClient, bearer: dict[str, str], scheme: str) -> None:
    """The scheme is read without case, and so is the header's name (RFC 9110 §11.1)."""
    token = bearer["Authorization"].removeprefix("Bearer ")
    response = await resource.get(PATH, headers={"aUTHORIZATION": f"{scheme} {token}"})
    assert response.content == DOCUMENT


async def test_token_elsewhere_is_not_looked_at(resource: httpx.AsyncClient, bearer: dict[str, str]) -> None:
    """A token in the query, the body or a cookie opens nothing, and one beside the header changes nothing."""
    token = bearer["Authorization"].removeprefix("Bearer ")
    assert (await resource.get(PATH, params={"access_token": token})).status_code == 401
    form = await resource.request("GET", PATH, data={"access_token": token})
    assert form.status_code == 401
    assert (await resource.get(PATH, headers={"Cookie": f"access_token={token}"})).status_code == 401
    assert (await resource.get(PATH, headers={"X-Access-Token": token})).status_code == 401
    good = await resource.get(PATH, params={"access_token": "forged"}, headers=bearer)
    assert good.content == DOCUMENT


async def test_query_stays_out_of_the_log(
    resource: httpx.AsyncClient, system: System, bearer: dict[str, str]
) -> None:
    """A token that somebody put into the query does not end in the log."""
    token = bearer["Authorization"].removeprefix("Bearer ")
    await resource.get(PATH, params={"access_token": token})
    assert token.rpartition(".")[2] not in system.log.text


@pytest.fixture
async def wide(start_system: Any) -> System:
    """A system with a second resource, and a client that may write but not read the first."""
    system: System = await start_system()
    identifier = f"{system.resource_base}/other"
    await system.as_admin(lambda c: create_resource(c, ACTOR, "other", identifier, ["read"]))
    await as_owner(
        system.databases.resource.owner, lambda c: documents.publish(c, "other", None, b'{"other": true}')
    )
    return system


async def _token(system: System, client: Any, **form: str) -> dict[str, str]:
    async with http_client() as http:
        response = await http.post(system.token_url, data={**GRANT, **form}, auth=client.basic)
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def test_token_without_the_scope(wide: System) -> None:
    """A good token that grants too little is 403, with the scope that is missing (RFC 6750 §3.1)."""
    writer = await wide.register("Writer", ("write",))
    bearer = await _token(wide, writer)
    async with http_client(base_url=wide.resource_base) as client:
        response = await client.get(PATH, headers=bearer)
    assert response.status_code == 403
    assert response.json()["error"] == "insufficient_scope"
    told = challenge(response)
    assert (told["error"], told["scope"]) == ("insufficient_scope", "read")
    assert told["resource_metadata"] == metadata_url(wide)


async def test_token_for_one_resource_opens_no_other(wide: System) -> None:
    """What a token opens is its audience, and neither a neighbour nor a path below another name."""
    both = await wide.register("Both", grants={RESOURCE: ["read"], "other": ["read"]})
    first = await _token(wide, both, resource=RESOURCE)
    second = await _token(wide, both, resource=f"{wide.resource_base}/other")
    async with http_client(base_url=wide.resource_base) as client:
        assert (await client.get(PATH, headers=first)).content == DOCUMENT
        assert (await client.get("/other", headers=second)).json() == {"other": True}
        for path, bearer, resource in (("/other", first, "other"), (PATH, second, RESOURCE)):
            response = await client.get(path, headers=bearer)
            assert response.status_code == 401
            assert challenge(response)["error"] == "invalid_token"
            assert challenge(response)["resource_metadata"] == metadata_url(wide, resource)
            assert wide.log.of(response)["reason"].startswith("for another audience")
        assert (await client.get(f"/other/{RESOURCE}", headers=first)).status_code == 401


async def test_challenge_leads_to_the_issuer(resource: httpx.AsyncClient, system: System) -> None:
    """From a 401 alone a client finds the metadata, in it the issuer, and there the token endpoint (RFC 9728 §5)."""
    refused = await resource.get(PATH)
    async with http_client() as client:
        found = (await client.get(challenge(refused)["resource_metadata"])).json()
        (issuer,) = found["authorization_servers"]
        server = (await client.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
        form = {**GRANT, "resource": found["resource"], "scope": found["scopes_supported"][0]}
        token = (await client.post(server["token_endpoint"], data=form, auth=system.client.basic)).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert (await client.get(found["resource"], headers=headers)).content == DOCUMENT
