"""The in-process issuer that users test with: its tokens, its three ways in, its refusals."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any

import httpx
import jwt
import pytest

from steelcut import RequestRefused, Unreachable, Verifier, in_process, request_token
from steelcut.testing import Issuer

URL = "https://issuer.example.com"
AUDIENCE = "https://api.example.com/reports"


def keys(issuer: Issuer) -> jwt.PyJWKSet:
    """Return the published keys, as another library reads them."""
    with httpx.Client(transport=issuer.transport) as http:
        metadata = http.get(f"{issuer.url}/.well-known/oauth-authorization-server").json()
        return jwt.PyJWKSet.from_dict(http.get(metadata["jwks_uri"]).json())


def read(issuer: Issuer, token: str) -> dict[str, Any]:
    """Return the claims of a token that another library finds good."""
    key = keys(issuer)[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, audience=AUDIENCE, issuer=issuer.url)
    return claims


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_token_is_one_of_rfc_9068(algorithm: str) -> None:
    """Another library finds the signature good, and every claim is there."""
    issuer = Issuer(URL, algorithm=algorithm)
    token = issuer.token(audience=AUDIENCE, scope="read write", client_id="reports")
    claims = read(issuer, token)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims.keys() == {"iss", "sub", "client_id", "aud", "scope", "iat", "exp", "jti"}
    assert (claims["client_id"], claims["scope"], claims["aud"]) == ("reports", "read write", AUDIENCE)
    assert claims["exp"] - claims["iat"] == 300


def test_claims_can_be_changed_added_and_left_out() -> None:
    """What a guarded application must refuse can be made."""
    issuer = Issuer(URL)
    claims = read(issuer, issuer.token(audience=AUDIENCE, jti=None, tenant="blue", scope="admin"))
    assert "jti" not in claims
    assert (claims["tenant"], claims["scope"]) == ("blue", "admin")


def test_expired_token_is_expired_and_nothing_else() -> None:
    """Its times are in order, so that no other check refuses it first."""
    issuer = Issuer(URL)
    token = issuer.token(audience=AUDIENCE, expires_in=-60)
    with pytest.raises(jwt.ExpiredSignatureError):
        read(issuer, token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iat"] < claims["exp"] < time.time()


def test_forged_token_has_a_wrong_signature_alone() -> None:
    """It names our key, and is not of it."""
    issuer = Issuer(URL)
    with pytest.raises(jwt.InvalidSignatureError):
        read(issuer, issuer.forged_token(audience=AUDIENCE, client_id="reports", expires_in=60))


def test_keys_of_an_issuer_last_as_long_as_the_process() -> None:
    """A guard that a module makes once knows the tokens of every later test."""
    token = Issuer(URL).token(audience=AUDIENCE)
    assert read(Issuer(URL), token)
    with pytest.raises(jwt.InvalidSignatureError):
        read(Issuer("https://another.example.com"), token)


def test_keys_of_another_algorithm_have_other_names() -> None:
    """A guard that has met the issuer with one algorithm finds the keys of the other, and those of the first again."""
    url = "https://both.example.com"
    verifier = Verifier(url, audience=AUDIENCE)
    for algorithm in ("ES256", "RS256", "ES256"):
        with Issuer(url, algorithm=algorithm) as issuer:
            assert verifier.verify(issuer.token(audience=AUDIENCE)).issuer == url


def test_rotation_publishes_the_older_keys_still() -> None:
    """Tokens of before stay good, new ones are of the new key."""
    issuer = Issuer("https://rotating.example.com")
    before = issuer.token(audience=AUDIENCE)
    kid = issuer.rotate_key()
    after = issuer.token(audience=AUDIENCE)
    assert jwt.get_unverified_header(after)["kid"] == kid
    assert read(issuer, before)["aud"] == read(issuer, after)["aud"]


def test_clients_of_this_process_find_it_within_the_block() -> None:
    """No transport is handed over: the name is enough, and only until the block ends."""
    with Issuer(URL) as issuer:
        issuer.client("reports", "s3cret", scope="read write", audience=AUDIENCE)
        token = request_token(client_id="reports", client_secret="s3cret", issuer=URL, scope="read")
        assert token.scope == "read"
        assert read(issuer, token.value)["client_id"] == "reports"
        assert "GET /.well-known/oauth-authorization-server" in issuer.requests
        assert issuer.requests.count("POST /token") == 1
    with pytest.raises(Unreachable):
        request_token(
            client_id="reports", client_secret="s3cret", token_url="http://127.0.0.1:9/token", retries=None
        )


def test_issuers_on_one_origin_answer_each_for_itself() -> None:
    """As tenants of one server do, in whatever order they begin, and also when another one is away."""
    tenants = [Issuer(f"https://tenants.example.com{path}") for path in ("/b", "", "/b/c", "/bc/")]
    client: dict[str, Any] = {"client_id": "reports", "client_secret": "s3cret"}
    with contextlib.ExitStack() as served:
        for issuer in tenants:
            served.enter_context(issuer).client(**client, audience=AUDIENCE)
        verifier = Verifier([issuer.url for issuer in tenants], audience=AUDIENCE)
        for issuer in tenants:
            token = request_token(**client, issuer=issuer.url, retries=None).value
            assert verifier.verify(token).issuer == issuer.url
        tenants[0].available = False
        assert request_token(**client, issuer=tenants[2].url, retries=None).value
        with pytest.raises(Unreachable):
            request_token(**client, issuer=tenants[0].url, retries=None)


def test_later_issuer_of_a_name_takes_its_place_until_it_ends() -> None:
    """A test may replace the issuer of a fixture for a while."""
    with Issuer(URL) as outer:
        with Issuer(URL) as inner, httpx.Client(transport=in_process.transport_to(URL)) as http:
            http.get(f"{URL}/jwks")
        assert (outer.requests, inner.requests) == ([], ["GET /jwks"])
        with httpx.Client(transport=in_process.transport_to(URL)) as http:
            http.get(f"{URL}/jwks")
        assert outer.requests == ["GET /jwks"]


REFUSED = [
    ("wrong secret", {"client_secret": "another"}, 401, "invalid_client"),
    ("unknown client", {"client_id": "nobody"}, 401, "invalid_client"),
    ("scope it lacks", {"scope": "read admin"}, 400, "invalid_scope"),
    ("resource of another", {"resource": "https://api.example.com/other"}, 400, "invalid_target"),
]


@pytest.mark.parametrize(
    ("changes", "status", "error"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_token_endpoint_refuses_as_a_server_does(changes: dict[str, str], status: int, error: str) -> None:
    """A client under test meets the errors that it will meet (RFC 6749 §5.2)."""
    with Issuer(URL) as issuer:
        issuer.client("reports", "s3cret", audience=AUDIENCE)
        request: dict[str, Any] = {
            "client_id": "reports",
            "client_secret": "s3cret",
            "issuer": URL,
            **changes,
        }
        with pytest.raises(RequestRefused) as refused:
            request_token(**request)
    assert (refused.value.status, refused.value.error) == (status, error)


def test_other_grants_are_refused() -> None:
    """There is one grant, as in the product."""
    with httpx.Client(transport=Issuer(URL).transport) as http:
        answer = http.post(f"{URL}/token", data={"grant_type": "password"}, auth=("reports", "s3cret"))
    assert answer.status_code == 401  # who is asking comes first
    issuer = Issuer(URL)
    issuer.client("reports", "s3cret")
    with httpx.Client(transport=issuer.transport) as http:
        answer = http.post(f"{URL}/token", data={"grant_type": "password"}, auth=("reports", "s3cret"))
    assert answer.json()["error"] == "unsupported_grant_type"


async def test_it_is_an_asgi_application_too() -> None:
    """Whoever wants HTTP can serve it, under a path as well."""
    issuer = Issuer("https://issuer.example.com/tenant")
    issuer.client("a b:c", "s%3 cret+", audience=AUDIENCE)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(issuer.app), base_url="https://issuer.example.com"
    ) as http:
        metadata = (await http.get("/.well-known/oauth-authorization-server/tenant")).json()
        assert metadata["token_endpoint"] == "https://issuer.example.com/tenant/token"
        form = {"grant_type": "client_credentials", "client_id": "a b:c", "client_secret": "s%3 cret+"}
        answer = await http.post(metadata["token_endpoint"], data=form)
        assert answer.json()["token_type"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
        assert (await http.get("/elsewhere")).status_code == 404
        issuer.available = False
        assert (await http.get("/tenant/jwks")).status_code == 503


async def test_transport_serves_async_clients() -> None:
    """One transport for both kinds of client; an issuer that is away is away there too."""
    issuer = Issuer(URL)
    async with httpx.AsyncClient(transport=issuer.transport) as http:
        assert (await http.get(f"{URL}/jwks")).status_code == 200
        issuer.available = False
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{URL}/jwks")


def test_no_secret_is_shown() -> None:
    """Failing tests print their objects."""
    issuer = Issuer(URL)
    client = issuer.client("reports", "s3cret")
    assert "s3cret" not in f"{issuer!r} {client!r} {issuer.clients!r}"


def test_fixture_is_there_without_an_import(steelcut_issuer: Issuer) -> None:
    """Pytest finds the fixture wherever Steelcut is installed."""
    assert steelcut_issuer.url == "https://issuer.example.com"
    steelcut_issuer.client("reports", "s3cret", audience=AUDIENCE)
    assert request_token(client_id="reports", client_secret="s3cret", issuer=steelcut_issuer.url).value


def test_run_of_pytest_without_it_loads_nothing_for_it() -> None:
    """The plugin is imported at every run of pytest wherever Steelcut is installed."""
    program = """
import sys
import steelcut.testing.pytest_plugin
assert not {"httpx", "jwt", "cryptography"} & set(sys.modules)
from steelcut.testing import Issuer
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_bad_arguments_are_told() -> None:
    """A test that is set up wrongly says so."""
    with pytest.raises(ValueError, match="https"):
        Issuer("http://issuer.example.com")
    with pytest.raises(ValueError, match="ES256, RS256, EdDSA"):
        Issuer("https://odd.example.com", algorithm="HS256")
