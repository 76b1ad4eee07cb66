"""The Authorization header and the challenge, without HTTP (RFC 6750, RFC 9728)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelcut.errors import (
    BearerError,
    InsufficientScope,
    InvalidToken,
    MalformedAuthorization,
    NoCredentials,
)
from steelcut.guard import Guard, bearer_token
from tests.guard.test_verifier import AUDIENCE, ISSUER, Clock, Keys, verifier_of
from tests.support.tokens import IssuerKey, good_claims

KEY = IssuerKey.generate()
METADATA = "https://api.example/.well-known/oauth-protected-resource/documents"
TOKEN = KEY.token(good_claims(ISSUER, AUDIENCE, Clock().now))


@pytest.fixture
def guard() -> Guard:
    """A guard of one resource."""
    return Guard(verifier=verifier_of(Keys(KEY), clock=Clock()), audience=AUDIENCE)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_scheme_is_read_without_case(guard: Guard, scheme: str) -> None:
    """RFC 9110 §11.1: the name of a scheme has no case."""
    assert (await guard.admit([f"{scheme} {TOKEN}"], ["read"])).client_id == "client-1"


async def test_spaces_between_scheme_and_token(guard: Guard) -> None:
    """RFC 9110 §11.4: one space or more."""
    assert (await guard.admit([f"Bearer   {TOKEN} "], ["read"])).client_id == "client-1"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Basic dXNlcjpwYXNz"],
        ["Digest x=y"],
        ["DPoP " + TOKEN],
        [TOKEN],
        ["Bearer\t" + TOKEN],
        ["Bearer=" + TOKEN],
    ],
    ids=lambda values: str(values)[:30],
)
async def test_no_bearer_credentials(guard: Guard, values: list[str]) -> None:
    """Who brings no Bearer token is told what to bring, and of no error (RFC 6750 §3.1)."""
    with pytest.raises(NoCredentials) as refusal:
        await guard.admit(values, ["read"])
    assert refusal.value.status == 401
    assert refusal.value.headers() == {
        "WWW-Authenticate": f'Bearer scope="read", resource_metadata="{METADATA}"'
    }


@pytest.mark.parametrize(
    "values",
    [
        ["Bearer"],
        ["Bearer "],
        ["Bearer a b"],
        ["Bearer a,b"],
        ["Bearer a, Bearer b"],
        ['Bearer token="a"'],
        ["Bearer a=b"],
        ["Bearer =a"],
        ["Bearer a\x00"],
        ["Bearer ключ"],
        ['Bearer {"payload":"e30"}'],
        [f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
        [f"Bearer {TOKEN}", "Basic dXNlcjpwYXNz"],
        ["", ""],
    ],
    ids=lambda values: str(values)[:30],
)
async def test_malformed_credentials(guard: Guard, values: list[str]) -> None:
    """What cannot be one token is a bad request (RFC 6750 §2.1, §3.1)."""
    with pytest.raises(MalformedAuthorization) as refusal:
        await guard.admit(values, ["read"])
    assert refusal.value.status == 400
    assert refusal.value.headers()["WWW-Authenticate"].startswith('Bearer error="invalid_request", ')
    assert refusal.value.headers()["WWW-Authenticate"].endswith(f', resource_metadata="{METADATA}"')


async def test_bad_token(guard: Guard) -> None:
    """A token that is not good is an invalid_token, whose reason is for the log (RFC 6750 §3.1)."""
    with pytest.raises(InvalidToken) as refusal:
        await guard.admit(["Bearer a.b.c"], ["read"])
    assert refusal.value.status == 401
    assert refusal.value.reason == "header: not base64url"
    assert refusal.value.headers()["WWW-Authenticate"] == (
        f'Bearer error="invalid_token", error_description="{InvalidToken.description}", '
        f'scope="read", resource_metadata="{METADATA}"'
    )


async def test_too_little_scope(guard: Guard) -> None:
    """A good token without the scope is told which one it needs (RFC 6750 §3.1)."""
    with pytest.raises(InsufficientScope) as refusal:
        await guard.admit([f"Bearer {TOKEN}"], ["write"])
    assert refusal.value.status == 403
    assert refusal.value.headers()["WWW-Authenticate"].startswith('Bearer error="insufficient_scope", ')
    assert 'scope="write"' in refusal.value.headers()["WWW-Authenticate"]


@pytest.mark.parametrize("scope", ["rea", "READ", "read ", "", "read write"])
async def test_scope_is_compared_whole(guard: Guard, scope: str) -> None:
    """Scopes are compared letter by letter, and one is not part of another (RFC 6749 §3.3)."""
    with pytest.raises(InsufficientScope):
        await guard.admit([f"Bearer {TOKEN}"], [scope])


async def test_given_metadata_url_is_told() -> None:
    """Who serves the metadata elsewhere says so."""
    guard = Guard(
        verifier=verifier_of(Keys(KEY)), audience="urn:x", resource_metadata="https://api.example/m"
    )
    with pytest.raises(NoCredentials) as refusal:
        await guard.admit([], ["read"])
    assert refusal.value.headers()["WWW-Authenticate"].endswith('resource_metadata="https://api.example/m"')


@given(st.text(), st.text())
async def test_challenge_is_one_line_of_quoted_strings(metadata: str, scope: str) -> None:
    """Whatever a program puts into the challenge, nothing of it ends a quoted string or a header line."""
    guard = Guard(verifier=verifier_of(Keys(KEY)), audience=AUDIENCE, resource_metadata=metadata or "-")
    with pytest.raises(BearerError) as refusal:
        await guard.admit(["Bearer a.b.c"], [scope])
    challenge = refusal.value.headers()["WWW-Authenticate"]
    quoted = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
    assert re.fullmatch(rf"Bearer (?:[a-z_]+={quoted}, )*[a-z_]+={quoted}", challenge)


@given(st.lists(st.text(), max_size=3))
def test_no_header_is_a_crash(values: list[str]) -> None:
    """Whatever stands in the header, the answer is a token or a refusal."""
    try:
        token = bearer_token(values)
    except BearerError:
        return
    assert token.isascii()


@given(st.binary(max_size=64))
def test_no_byte_is_a_crash(octets: bytes) -> None:
    """Bytes after Bearer are a token or a refusal."""
    try:
        token = bearer_token(["Bearer " + octets.decode("latin-1")])
    except BearerError:
        return
    assert token.isascii()
