"""The baselines do what they are said to do: one that skipped it would make the services look slow."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.exceptions import InvalidSignature

from benchmarks.bare import BASELINES
from benchmarks.population import document_of
from steelcut.testing import Issuer

BODY = '{"about": "nothing"}'
ISSUER = "https://issuer.example.com"
AUDIENCE = "https://api.example.com/orders"


def client_of(kind: str, needs: dict[str, Any]) -> httpx.AsyncClient:
    """A client of a baseline within this process."""
    app: Any = BASELINES[kind](needs)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bare")


async def test_constant_answers_its_body() -> None:
    """With its length, as the services do."""
    async with client_of("constant", {"body": BODY}) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.text, answer.headers["content-length"]) == (200, BODY, str(len(BODY)))


@pytest.mark.parametrize("kind", ["sign", "sign_directly"])
async def test_signing_makes_a_new_token_each_time(kind: str) -> None:
    """An answer as in RFC 6749 §5.1, with a signed ES256 token whose scope is that of the form."""
    async with client_of(kind, {}) as client:
        form = {"grant_type": "client_credentials", "scope": "write"}
        first, second = [(await client.post("/token", data=form)).json() for _ in range(2)]
    assert first["access_token"] != second["access_token"]
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    assert jwt.get_unverified_header(first["access_token"])["alg"] == "ES256"
    claims = jwt.decode(first["access_token"], options={"verify_signature": False})
    assert claims["scope"] == "write"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 60
    assert len(jwt.utils.base64url_decode(first["access_token"].rpartition(".")[2])) == 64


@pytest.mark.parametrize(
    ("kind", "of_signature", "of_claims"),
    [
        ("verify", jwt.InvalidSignatureError, jwt.InvalidTokenError),
        ("verify_directly", InvalidSignature, ValueError),
    ],
)
async def test_verifying_looks_at_all_that_counts(
    kind: str, of_signature: type[Exception], of_claims: type[Exception]
) -> None:
    """Signature, issuer, audience and times: a good token gets the body, each other one an error."""
    issuer = Issuer(ISSUER)
    async with httpx.AsyncClient(transport=issuer.transport) as client:
        uri = (await client.get(f"{ISSUER}/.well-known/oauth-authorization-server")).json()["jwks_uri"]
        (jwk,) = (await client.get(uri)).json()["keys"]
    token = issuer.token(audience=AUDIENCE)
    needs = {"jwk": jwk, "issuer": ISSUER, "audience": AUDIENCE, "body": BODY}
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[:-4]}AAAA"
    async with client_of(kind, needs) as client:
        assert (await client.get("/", headers={"Authorization": f"Bearer {token}"})).text == BODY
        with pytest.raises(of_signature):
            await client.get("/", headers={"Authorization": f"Bearer {forged}"})
        for wrong in ({"expires_in": -60}, {"iat": 9e9}, {"nbf": 9e9}):
            other = issuer.token(audience=AUDIENCE, **wrong)
            with pytest.raises(of_claims):
                await client.get("/", headers={"Authorization": f"Bearer {other}"})
    for changed in ({"issuer": "https://other.example"}, {"audience": "https://other.example"}):
        async with client_of(kind, needs | changed) as client:
            with pytest.raises(of_claims):
                await client.get("/", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("size", [42, 1024, 102_400])
def test_a_document_has_its_size(size: int) -> None:
    """To the byte, since megabytes per second are computed of it."""
    assert len(document_of(size).encode()) == size
