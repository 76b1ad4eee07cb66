"""Other people's clients, unmodified, told nothing but the URL of a document and their own credentials."""

from __future__ import annotations

import asyncio
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from authlib.deprecate import AuthlibDeprecationWarning
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tests.support.system import DOCUMENT, Registered, System

with warnings.catch_warnings():
    # Authlib would rather stand on the successor of httpx; that is between those two.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client

METHODS = ("client_secret_basic", "client_secret_post")
RESOURCE_METADATA = re.compile(r'resource_metadata="([^"]+)"')


@dataclass(frozen=True)
class Discovered:
    """What anybody learns from a document that refuses to open: RFC 6750, then RFC 9728, then RFC 8414."""

    resource: str
    scope: str
    token_endpoint: str
    jwks_uri: str
    metadata: dict[str, Any]


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine stands between; oauthlib takes plain http only when told to."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture
async def discovered(system: System) -> Discovered:
    """What the URL of the document leads to."""
    async with httpx.AsyncClient() as client:
        refusal = await client.get(system.document_url)
        assert refusal.status_code == 401
        (where,) = RESOURCE_METADATA.findall(refusal.headers["www-authenticate"])
        resource = (await client.get(where)).json()
        assert resource["resource"] == system.document_url
        (issuer,) = resource["authorization_servers"]
        metadata = (await client.get(get_well_known_url(issuer, external=True))).json()
        assert metadata["issuer"] == issuer
    return Discovered(
        resource["resource"],
        # Of those that there are, what this client was granted.
        " ".join(scope for scope in resource["scopes_supported"] if scope == "read"),
        metadata["token_endpoint"],
        metadata["jwks_uri"],
        metadata,
    )


async def test_authlib_finds_the_metadata_valid(discovered: Discovered) -> None:
    """Authlib's own validation of RFC 8414 passes for every member that this server has."""
    metadata = AuthorizationServerMetadata(discovered.metadata)
    for member in AuthorizationServerMetadata.REGISTRY_KEYS:
        # RFC 8414 §2 requires the member, not that it has elements; authlib takes an empty list for none.
        if member != "response_types_supported":
            getattr(metadata, f"validate_{member}")()
    assert set(METHODS) <= set(discovered.metadata["token_endpoint_auth_methods_supported"])


@pytest.mark.parametrize("method", METHODS)
async def test_authlib_with_httpx(system: System, discovered: Discovered, method: str) -> None:
    """``authlib.integrations.httpx_client.OAuth2Client`` opens the document."""

    def flow() -> None:
        with OAuth2Client(
            system.client.client_id, system.client.secret, token_endpoint_auth_method=method
        ) as client:
            token = client.fetch_token(
                discovered.token_endpoint,
                grant_type="client_credentials",
                resource=discovered.resource,
                scope=discovered.scope,
            )
            assert token["scope"] == "read"
            assert client.get(discovered.resource).content == DOCUMENT

    await asyncio.to_thread(flow)


@pytest.mark.parametrize("method", METHODS)
async def test_authlib_with_asyncio(system: System, discovered: Discovered, method: str) -> None:
    """``authlib.integrations.httpx_client.AsyncOAuth2Client`` opens the document."""
    async with AsyncOAuth2Client(
        system.client.client_id, system.client.secret, token_endpoint_auth_method=method
    ) as client:
        await client.fetch_token(
            discovered.token_endpoint, grant_type="client_credentials", resource=discovered.resource
        )
        assert (await client.get(discovered.resource)).content == DOCUMENT


@pytest.mark.parametrize("method", METHODS)
async def test_authlib_with_requests(system: System, discovered: Discovered, method: str) -> None:
    """``authlib.integrations.requests_client.OAuth2Session`` opens the document."""

    def flow() -> None:
        with AuthlibSession(
            system.client.client_id, system.client.secret, token_endpoint_auth_method=method
        ) as session:
            session.fetch_token(discovered.token_endpoint, grant_type="client_credentials")
            assert session.get(discovered.resource).content == DOCUMENT

    await asyncio.to_thread(flow)


async def test_authlib_gets_a_new_token_when_the_old_one_is_over(start_system: Any) -> None:
    """A client whose token is at its end fetches another by itself, and the document opens again."""
    system: System = await start_system(token_lifetime_seconds=1)

    def flow() -> tuple[str, str]:
        with OAuth2Client(
            system.client.client_id,
            system.client.secret,
            token_endpoint=system.token_url,
            grant_type="client_credentials",
        ) as client:
            first = client.fetch_token()["access_token"]
            assert client.get(system.document_url).content == DOCUMENT
            return first, client.token["access_token"]

    first, second = await asyncio.to_thread(flow)
    assert first != second


@pytest.mark.parametrize("method", METHODS)
async def test_requests_oauthlib(system: System, discovered: Discovered, method: str) -> None:
    """``BackendApplicationClient`` with ``OAuth2Session`` opens the document."""

    def flow() -> None:
        client_id, secret = system.client.client_id, system.client.secret
        how: dict[str, Any] = (
            {"auth": HTTPBasicAuth(client_id, secret)}
            if method == "client_secret_basic"
            else {"include_client_id": True, "client_secret": secret}
        )
        client = BackendApplicationClient(client_id=client_id)
        with OAuth2Session(client=client, scope=discovered.scope) as session:
            token = session.fetch_token(discovered.token_endpoint, resource=discovered.resource, **how)
            assert token["token_type"] == "Bearer"
            assert session.get(discovered.resource).content == DOCUMENT

    await asyncio.to_thread(flow)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed on this machine")
@pytest.mark.parametrize("method", METHODS)
async def test_curl(system: System, method: str, tmp_path: Path) -> None:
    """Curl alone walks the whole way, discovery included."""
    challenge = await _curl(tmp_path, "--include", system.document_url)
    (where,) = RESOURCE_METADATA.findall(challenge.decode())
    resource = orjson.loads(await _curl(tmp_path, where))
    issuer = resource["authorization_servers"][0]
    metadata = orjson.loads(await _curl(tmp_path, get_well_known_url(issuer, external=True)))
    answer = await _curl(
        tmp_path,
        *_curl_credentials(system.client, method),
        *("--data", "grant_type=client_credentials", "--data-urlencode", f"resource={resource['resource']}"),
        metadata["token_endpoint"],
    )
    token = orjson.loads(answer)["access_token"]
    document = await _curl(tmp_path, "--fail", "-H", f"Authorization: Bearer {token}", resource["resource"])
    assert document == DOCUMENT


@pytest.mark.parametrize("method", METHODS)
async def test_a_wrong_secret_is_told_as_invalid_client(
    system: System, discovered: Discovered, method: str
) -> None:
    """Users of these libraries see the exception that their manuals name, not a parsing error."""
    client_id, wrong = system.client.client_id, "wrong"

    def authlib_httpx() -> Any:
        with OAuth2Client(client_id, wrong, token_endpoint_auth_method=method) as client:
            return client.fetch_token(discovered.token_endpoint, grant_type="client_credentials")

    def authlib_requests() -> Any:
        with AuthlibSession(client_id, wrong, token_endpoint_auth_method=method) as session:
            return session.fetch_token(discovered.token_endpoint, grant_type="client_credentials")

    def requests_oauthlib() -> Any:
        with OAuth2Session(client=BackendApplicationClient(client_id=client_id)) as session:
            return session.fetch_token(discovered.token_endpoint, auth=HTTPBasicAuth(client_id, wrong))

    flows: list[tuple[Callable[[], Any], type[Exception]]] = [
        (authlib_httpx, OAuthError),
        (authlib_requests, OAuthError),
        (requests_oauthlib, InvalidClientError),
    ]
    for flow, expected in flows:
        with pytest.raises(expected) as raised:
            await asyncio.to_thread(flow)
        assert "invalid_client" in str(raised.value)


@pytest.mark.filterwarnings("ignore::authlib.deprecate.AuthlibDeprecationWarning")
async def test_authlib_accepts_our_tokens_as_rfc_9068(
    system: System, auth: httpx.AsyncClient, discovered: Discovered
) -> None:
    """A resource server built with authlib, which knows only the metadata, lets our tokens pass and no others."""
    async with AsyncOAuth2Client(system.client.client_id, system.client.secret) as client:
        token = await client.fetch_token(discovered.token_endpoint, grant_type="client_credentials")
        keys = (await auth.get(discovered.jwks_uri)).json()

    class Validator(JWTBearerTokenValidator):
        """Authlib's validator with the published keys."""

        def get_jwks(self) -> Any:
            """Return the JWK set."""
            return keys

    validator = Validator(discovered.metadata["issuer"], discovered.resource)
    claims = validator.authenticate_token(token["access_token"])
    validator.validate_token(claims, ["read"], None)
    assert claims["client_id"] == system.client.client_id
    stranger = Validator(discovered.metadata["issuer"], "https://other.example")
    with pytest.raises(Exception, match="invalid"):
        stranger.validate_token(stranger.authenticate_token(token["access_token"]), ["read"], None)


def _curl_credentials(client: Registered, method: str) -> list[str]:
    if method == "client_secret_basic":
        return ["--user", f"{client.client_id}:{client.secret}"]
    return [
        *("--data-urlencode", f"client_id={client.client_id}"),
        *("--data-urlencode", f"client_secret={client.secret}"),
    ]


async def _curl(folder: Path, *arguments: str) -> bytes:
    """Run curl without its configuration file and without a proxy, and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "-q", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output
