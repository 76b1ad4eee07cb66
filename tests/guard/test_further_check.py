"""What an application demands of the claims besides: asked at each request, and only yes is yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from steelcut import Claims, Guard, InsufficientScope, InvalidToken, TrustedIssuer, Verifier
from tests.guard.test_verifier import AUDIENCE, ISSUER, KEY, NOW, Keys, token

TOKEN = token(tenant="acme")


def verifier_with(check: Callable[[Claims], Any], **options: Any) -> Verifier:
    """Return a verifier that asks ``check``."""
    trusted = TrustedIssuer(ISSUER, keys=Keys(KEY))
    return Verifier(trusted, audience=AUDIENCE, check=check, clock=lambda: NOW, **options)


def test_yes_passes() -> None:
    """The check sees the claims as the application will."""
    assert verifier_with(lambda claims: claims.raw["tenant"] == "acme").verify(TOKEN).client_id == "client-1"


async def awaited(_claims: Claims) -> bool:
    """Answer when awaited."""
    return True


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(lambda claims: claims.raw["tenant"] == "other", id="no"),
        pytest.param(lambda _claims: None, id="nothing"),
        pytest.param(lambda claims: claims.raw["tenant"], id="something true"),
        pytest.param(lambda _claims: 1, id="one"),
        pytest.param(lambda claims: claims.raw["no_such_claim"] == "x", id="claim that is not there"),
        pytest.param(lambda claims: claims.raw["tenant"]["name"] == "x", id="claim of another type"),
        pytest.param(lambda claims: claims.raw.get("no_such_claim").lower() == "x", id="None of a claim"),
        pytest.param(lambda claims: int(claims.raw["tenant"]) > 1, id="claim of another value"),
    ],
)
def test_all_else_refuses_the_token(check: Callable[[Claims], Any]) -> None:
    """No answer, a merely true one, or an error about the claims is no yes."""
    with pytest.raises(InvalidToken, match=r"further check"):
        verifier_with(check).verify(TOKEN)


def test_coroutine_is_no_yes() -> None:
    """A check that would have to be awaited is refused at the start, where a true object would let all pass."""
    with pytest.raises(ValueError, match="ordinary function"):
        verifier_with(awaited)


def test_reason_of_a_refusal_is_the_checks() -> None:
    """It goes to the log; a caller is told no more than of any other bad token."""

    def check(claims: Claims) -> bool:
        raise InvalidToken(f"{claims.client_id} is blocked")

    guard = Guard(verifier=verifier_with(check), audience=AUDIENCE)
    with pytest.raises(InvalidToken) as refusal:
        guard.admit_sync([f"Bearer {TOKEN}"], ["read"])
    assert refusal.value.reason == "client-1 is blocked"
    assert "blocked" not in str(refusal.value.headers())


def test_check_may_ask_for_more_scope() -> None:
    """Then the answer is 403, with the challenge of the route."""

    def check(claims: Claims) -> bool:
        if "admin" not in claims.scopes:
            raise InsufficientScope("only for administrators")
        return True

    guard = Guard(verifier=verifier_with(check), audience=AUDIENCE)
    with pytest.raises(InsufficientScope) as refusal:
        guard.admit_sync([f"Bearer {TOKEN}"], ["read"])
    assert 'scope="read"' in refusal.value.headers()["WWW-Authenticate"]


def test_fault_that_is_not_the_tokens_is_not_hidden() -> None:
    """When what the check asks is down, no token becomes a bad one by it."""

    def check(_claims: Claims) -> bool:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        verifier_with(check).verify(TOKEN)


@pytest.mark.parametrize("cache_size", [0, 10])
async def test_remembered_token_is_asked_about_too(cache_size: int) -> None:
    """Who is blocked is out with the next request, and not when the memory of the token ends."""
    blocked: set[str] = set()
    verifier = verifier_with(lambda claims: claims.client_id not in blocked, cache_size=cache_size)
    verifier.verify(TOKEN)
    await verifier.verify_async(TOKEN)
    blocked.add("client-1")
    with pytest.raises(InvalidToken):
        verifier.verify(TOKEN)
    with pytest.raises(InvalidToken):
        await verifier.verify_async(TOKEN)
    blocked.clear()
    verifier.verify(TOKEN)


def test_check_is_asked_of_good_tokens_alone() -> None:
    """What it sees is verified: it need not doubt a claim."""
    asked: list[Claims] = []

    def check(claims: Claims) -> bool:
        asked.append(claims)
        return True

    verifier = verifier_with(check)
    for bad in (token(exp=NOW - 100), token(aud="https://other.example"), TOKEN[:-8] + "AAAAAAAA"):
        with pytest.raises(InvalidToken):
            verifier.verify(bad)
    assert asked == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"audience": ()}, "audience"),
        ({"audience": ""}, "audience"),
        ({"audience": ("x", "")}, "audience"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("HS256",)}, "HS256 cannot be verified"),
        ({"algorithms": ("ES256", "none")}, "none cannot be verified"),
    ],
    ids=str,
)
def test_issuer_that_could_not_be_trusted_so_is_refused(options: dict[str, Any], error: str) -> None:
    """A shared secret or no signature is no key of an issuer; no name is no audience."""
    with pytest.raises(ValueError, match=error):
        TrustedIssuer(ISSUER, **options)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: TrustedIssuer("http://issuer.example"), id="http"),
        pytest.param(lambda: TrustedIssuer.entra("common", audience="x"), id="Entra's common"),
        pytest.param(lambda: TrustedIssuer.entra("contoso.com", audience="x"), id="Entra by a domain"),
        pytest.param(
            lambda: TrustedIssuer.auth0("https://shop.eu.auth0.com/", audience="x"), id="Auth0 by a URL"
        ),
        pytest.param(lambda: TrustedIssuer.auth0("", audience="x"), id="Auth0 without a domain"),
        pytest.param(
            lambda: TrustedIssuer.keycloak("keycloak.example.com", audience="x"), id="Keycloak by a host"
        ),
        pytest.param(
            lambda: TrustedIssuer.keycloak("https://keycloak.example.com", audience=""), id="no audience"
        ),
        pytest.param(lambda: TrustedIssuer.keycloak("https://keycloak.example.com", audience=[]), id="none"),
    ],
)
def test_product_that_is_named_wrongly_is_refused(make: Callable[[], TrustedIssuer]) -> None:
    """Also where it would have worked for everybody's tenants."""
    with pytest.raises(ValueError, match="must"):
        make()


def test_verifier_without_an_audience_needs_one_each_time() -> None:
    """A verifier of many resources judges no token for none, and an issuer with a name of its own needs none."""
    keys = Keys(KEY)
    verifier = Verifier(TrustedIssuer(ISSUER, keys=keys), audience=None, clock=lambda: NOW)
    with pytest.raises(ValueError, match="each call must name one"):
        verifier.verify(TOKEN)
    with pytest.raises(InvalidToken):
        verifier.verify(TOKEN, audience="")
    own = Verifier(
        TrustedIssuer(ISSUER, audience=("x", AUDIENCE), keys=keys), audience=None, clock=lambda: NOW
    )
    assert own.verify(TOKEN).audience == (AUDIENCE,)
    with pytest.raises(ValueError, match="audience"):
        Verifier(ISSUER, audience="")
