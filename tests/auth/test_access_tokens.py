"""The token itself: RFC 9068 §2, for each algorithm, verified by libraries that know nothing of us."""

from __future__ import annotations

import warnings
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from auth_service.signing_keys import concatenated
from tests.support.plain_http import http_client
from tests.support.system import GRANT, System

# As the halves of a signature: short ones, and those whose first bit is set or not.
NUMBERS = [1, 0x7F, 0x80, 2**247 - 1, 2**247, 2**248, 2**255 - 1, 2**255, 2**256 - 1]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_token_verifies_with_the_published_key(start_system: Any, algorithm: str) -> None:
    """PyJWT and joserfc both accept the token with nothing but the JWK set, and the resource server too."""
    system: System = await start_system(algorithm=algorithm)
    async with http_client() as http:
        token = (await http.post(system.token_url, data=GRANT, auth=system.client.basic)).json()[
            "access_token"
        ]
        keys = (await http.get(f"{system.issuer}/.well-known/jwks.json")).json()
        opened = await http.get(system.document_url, headers={"Authorization": f"Bearer {token}"})
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=[algorithm], audience=system.document_url, issuer=system.issuer
    )
    assert claims["client_id"] == system.client.client_id
    with warnings.catch_warnings():
        # joserfc warns of every EdDSA since RFC 9864 prefers the narrower name Ed25519.
        warnings.simplefilter("ignore", SecurityWarning)
        assert jws.deserialize_compact(token, KeySet.import_key_set(keys), algorithms=[algorithm]).payload
    assert opened.status_code == 200


async def test_claims_and_header(auth: httpx.AsyncClient, system: System) -> None:
    """RFC 9068 §2.1 and §2.2: the type, and every claim with its value."""
    now = int(system.auth_process.clock())
    answers = [(await auth.post("/token", data=GRANT, auth=system.client.basic)).json() for _ in range(2)]
    token = answers[0]["access_token"]
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert header.keys() == {"alg", "kid", "typ"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert claims.keys() == {"iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti"}
    assert claims["iss"] == system.issuer
    assert claims["sub"] == claims["client_id"] == system.client.client_id
    assert claims["aud"] == system.document_url
    assert claims["scope"] == "read"
    assert 0 <= claims["iat"] - now <= 5
    assert claims["exp"] == claims["iat"] + 3600
    other = jwt.decode(answers[1]["access_token"], options={"verify_signature": False})
    assert other["jti"] != claims["jti"]


@pytest.mark.parametrize("r", NUMBERS)
@pytest.mark.parametrize("s", NUMBERS)
def test_both_numbers_of_a_signature_are_in_full_length(r: int, s: int) -> None:
    """However short OpenSSL wrote them, or with an octet more for their sign (RFC 7518 §3.4)."""
    assert concatenated(encode_dss_signature(r, s)) == r.to_bytes(32) + s.to_bytes(32)
