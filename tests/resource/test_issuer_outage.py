"""The authorization server is down, broken or hostile: what still opens, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from resource_service import documents
from steelcut import jwks
from steelcut.jwks import KeySource
from tests.support.databases import Databases
from tests.support.issuer import JWKS_PATH, Guarded, TinyIssuer, resource_service
from tests.support.plain_http import http_client
from tests.support.system import as_owner, listen, serving
from tests.support.tokens import IssuerKey

pytestmark = pytest.mark.slow

BODY = b'{"kept": "through the night"}'


@asynccontextmanager
async def resource_service_behind(
    issuer: TinyIssuer, databases: Databases
) -> AsyncIterator[tuple[Guarded, httpx.AsyncClient, Callable[[], Awaitable[None]]]]:
    """Run the issuer and a resource server that trusts it; the issuer can be stopped alone."""
    async with AsyncExitStack() as issuer_alone, AsyncExitStack() as rest:
        await issuer_alone.enter_async_context(serving(issuer, issuer.listener))
        service = await rest.enter_async_context(resource_service(databases, issuer.url))
        client = await rest.enter_async_context(http_client(base_url=service.base))
        yield service, client, issuer_alone.aclose


@pytest.fixture
async def issuer() -> AsyncIterator[TinyIssuer]:
    """An issuer that does not listen yet."""
    listener = listen()
    yield TinyIssuer(listener)
    listener.close()


@pytest.fixture
async def published(databases: Databases) -> Databases:
    """Databases with one document."""
    await as_owner(databases.resource.owner, lambda c: documents.publish(c, "kept", None, BODY))
    return databases


async def get(client: httpx.AsyncClient, token: str) -> httpx.Response:
    """Ask for the document."""
    return await client.get("/kept", headers={"Authorization": f"Bearer {token}"})


def make_old(service: Guarded) -> None:
    """Let the max age of the keys be over."""
    keys: KeySource = service.app.state.process.keys
    keys._refresh_at = keys._fresh_until = float("-inf")


async def test_start_without_the_issuer(published: Databases, issuer: TinyIssuer) -> None:
    """The service starts, is not ready, and refuses with 503 what it cannot judge."""
    issuer.listener.close()
    async with (
        resource_service(published, issuer.url) as service,
        http_client(base_url=service.base) as client,
    ):
        token = issuer.token(f"{service.base}/kept")
        refused, ready, alive = (
            await get(client, token),
            await client.get("/readyz"),
            await client.get("/healthz"),
        )
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert "www-authenticate" not in refused.headers
        assert ready.status_code == 503
        assert ready.json()["checks"] == {
            "database": "ok",
            "issuer_keys": "no key of the issuer is known yet",
        }
        assert alive.status_code == 200
        assert (await client.get("/kept")).status_code == 401
        assert (await get(client, "malformed")).status_code == 401
        assert "cannot be reached" in service.log.of(refused)["reason"]


async def test_issuer_comes_late(
    published: Databases, issuer: TinyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the issuer answers, the same token that was refused with 503 opens the document."""
    monkeypatch.setattr(jwks, "FAILURE_COOLDOWN_SECONDS", 0.1)
    issuer.instead = Response(status_code=502)
    async with (
        serving(issuer, issuer.listener),
        resource_service(published, issuer.url) as service,
        http_client(base_url=service.base) as client,
    ):
        token = issuer.token(f"{service.base}/kept")
        assert (await get(client, token)).status_code == 503
        issuer.instead = None
        await asyncio.sleep(0.15)
        assert (await get(client, token)).content == BODY
        assert (await client.get("/readyz")).status_code == 200


async def test_issuer_goes_down(published: Databases, issuer: TinyIssuer) -> None:
    """Tokens that were issued keep working without the issuer, old keys and new tokens alike."""
    async with resource_service_behind(issuer, published) as (service, client, stop):
        token = issuer.token(f"{service.base}/kept")
        assert (await get(client, token)).content == BODY
        await stop()
        make_old(service)
        assert (await get(client, token)).content == BODY
        assert (await get(client, issuer.token(f"{service.base}/kept"))).content == BODY
        assert (await client.get("/readyz")).status_code == 200
        forged = IssuerKey.generate(kid=issuer.key.kid).token({"iss": issuer.url})
        assert (await get(client, forged)).status_code == 401
        unknown = IssuerKey.generate(kid="new").token({"iss": issuer.url})
        assert (await get(client, unknown)).status_code == 401


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=500),
        Response("<html>", media_type="text/html"),
        Response(b"\x00" * 1000),
        Response(b"x" * 50_000_000),
        Response(b"[" * 200_000),
        JSONResponse({"keys": []}),
        JSONResponse({"keys": [IssuerKey.generate(kid="key-1").jwk(use="enc")]}),
        RedirectResponse("http://127.0.0.1:1/"),
    ],
    ids=["500", "HTML", "NUL", "50 MB", "deep", "no keys", "unusable key", "redirect"],
)
async def test_broken_key_set_changes_nothing(
    published: Databases, issuer: TinyIssuer, answer: Response
) -> None:
    """Whatever the issuer answers instead of its keys, valid tokens open and forged ones do not."""
    async with resource_service_behind(issuer, published) as (service, client, _stop):
        assert (await get(client, issuer.token(f"{service.base}/kept"))).content == BODY
        issuer.instead = answer
        make_old(service)
        before = issuer.jwks_requests
        for _ in range(20):
            assert (await get(client, issuer.token(f"{service.base}/kept"))).content == BODY
        assert issuer.jwks_requests == before + 1
        assert (await client.get("/readyz")).status_code == 200


async def test_new_key_opens_at_its_first_token(published: Databases, issuer: TinyIssuer) -> None:
    """An issuer that signs with a key nobody has seen yet is understood at once."""
    async with resource_service_behind(issuer, published) as (service, client, _stop):
        assert (await get(client, issuer.token(f"{service.base}/kept"))).content == BODY
        issuer.key = IssuerKey.generate("EdDSA", kid="key-2")
        assert (await get(client, issuer.token(f"{service.base}/kept"))).content == BODY


async def test_flood_of_invented_kids(published: Databases, issuer: TinyIssuer) -> None:
    """Hundreds of tokens with invented key names cost the issuer one request."""
    async with resource_service_behind(issuer, published) as (service, client, _stop):
        await get(client, issuer.token(f"{service.base}/kept"))
        before = issuer.jwks_requests
        claims = {"iss": issuer.url}
        tokens = [issuer.key.token(claims, kid=f"invented-{number}") for number in range(100)]
        answers = await asyncio.gather(*(get(client, token) for token in tokens))
        assert {answer.status_code for answer in answers} == {401}
        assert issuer.jwks_requests == before + 1
        assert (await get(client, issuer.token(f"{service.base}/kept"))).content == BODY


async def test_pointers_in_a_token_are_not_followed(published: Databases, issuer: TinyIssuer) -> None:
    """A token that names a place for its key (`jku`, `x5u`) makes nobody look there (RFC 8725 §3.10)."""
    elsewhere = TinyIssuer(listen(), key=IssuerKey.generate(kid="elsewhere"))
    async with (
        serving(elsewhere, elsewhere.listener),
        resource_service_behind(issuer, published) as (service, client, _stop),
    ):
        claims = {"iss": issuer.url, "aud": f"{service.base}/kept"}
        for pointer in ("jku", "x5u"):
            for kid in ("elsewhere", issuer.key.kid):
                forged = elsewhere.key.token(claims, kid=kid, **{pointer: elsewhere.url + JWKS_PATH})
                assert (await get(client, forged)).status_code == 401
        assert elsewhere.jwks_requests == 0
    elsewhere.listener.close()


async def test_keys_come_from_where_the_operator_says(published: Databases, issuer: TinyIssuer) -> None:
    """With RESOURCE_JWKS_URI the issuer's public name need not be reachable from here."""
    name = "https://issuer.example"
    async with (
        serving(issuer, issuer.listener),
        resource_service(published, name, jwks_uri=issuer.url + JWKS_PATH) as service,
        http_client(base_url=service.base) as client,
    ):
        good = issuer.token(f"{service.base}/kept", iss=name)
        assert (await get(client, good)).content == BODY
        assert (await get(client, issuer.token(f"{service.base}/kept"))).status_code == 401
