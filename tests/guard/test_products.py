"""Tokens of Keycloak, Entra and Auth0 pass as they are issued; their other tokens, and other servers', do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelcut import Claims, InvalidToken, TokenProfile, TrustedIssuer, Verifier
from tests.guard.products import NOW, PRODUCTS, Product
from tests.guard.test_verifier import Keys
from tests.support.tokens import LEFT_OUT, IssuerKey, changed, good_claims

KEY = IssuerKey.generate("RS256")
EDDSA_KEY = IssuerKey.generate("EdDSA", kid="key-2")
PRODUCTS_BY_NAME = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)


def verify(product: Product, key: IssuerKey = KEY, header_typ: Any = None, **changes: Any) -> Claims:
    """Verify the product's token with changed claims, as who trusts it does."""
    verifier = Verifier(
        replace(product.trusted, keys=Keys(KEY, EDDSA_KEY)),
        audience="https://unused.example",
        clock=lambda: NOW,
    )
    return verifier.verify(key.token(changed(product.claims, changes), typ=header_typ or product.typ))


@PRODUCTS_BY_NAME
def test_access_token_gives_its_claims(product: Product) -> None:
    """Whatever the product calls them, the claims have one shape."""
    claims = verify(product)
    assert (claims.issuer, claims.client_id, claims.subject) == (
        product.trusted.issuer,
        product.client_id,
        product.claims["sub"],
    )
    assert (claims.scopes, claims.token_id) == (product.scopes, product.token_id)


@pytest.mark.parametrize(
    ("product", "changes"),
    [
        pytest.param(product, changes, id=f"{name}: {kind}")
        for name, product in PRODUCTS.items()
        for kind, changes in product.others.items()
    ],
)
def test_other_token_of_the_same_issuer_is_refused(product: Product, changes: dict[str, Any]) -> None:
    """An ID token or a refresh token opens nothing, also where its audience is the same (RFC 8725 §3.12)."""
    with pytest.raises(InvalidToken, match="claim"):
        verify(product, **changes)


@PRODUCTS_BY_NAME
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": "account"}, id="another audience"),
        pytest.param({"aud": LEFT_OUT}, id="no audience"),
        pytest.param({"aud": "https://unused.example"}, id="the audience of other issuers"),
        pytest.param({"iss": "https://elsewhere.example"}, id="another issuer"),
        pytest.param({"exp": NOW - 31}, id="expired"),
        pytest.param({"exp": LEFT_OUT}, id="endless"),
        pytest.param({"iat": LEFT_OUT}, id="without beginning"),
        pytest.param({"iat": NOW + 31}, id="of the future"),
        pytest.param({"nbf": NOW + 31}, id="not yet"),
        pytest.param({"sub": LEFT_OUT}, id="no subject"),
        pytest.param({"azp": LEFT_OUT, "appid": LEFT_OUT, "client_id": LEFT_OUT}, id="no client"),
        pytest.param({"azp": 5, "appid": "x", "client_id": "x"}, id="client that is no text"),
        pytest.param({"cnf": {"jkt": "x"}}, id="bound to a key"),
        pytest.param({"scope": 5, "scp": 5}, id="scope that is no text"),
        pytest.param({"scope": ["read", 5], "scp": ["read", 5]}, id="scope in a list that is no text"),
        pytest.param({"scope": {"read": True}, "roles": {"read": True}}, id="scopes in an object"),
    ],
)
def test_checks_that_are_the_same_for_all(product: Product, changes: dict[str, Any]) -> None:
    """No product is spared the audience, the times, the subject, the client, or a claim of the right type."""
    verify(product)
    with pytest.raises(InvalidToken):
        verify(product, **changes)


@PRODUCTS_BY_NAME
@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "secevent+jwt", 5])
def test_header_of_another_type_is_refused(product: Product, typ: Any) -> None:
    """RFC 8725 §3.11: what says that it is something else is not taken for an access token."""
    with pytest.raises(InvalidToken, match="typ"):
        verify(product, header_typ=typ)


def test_algorithm_that_is_not_the_issuers_is_refused() -> None:
    """A good signature by a key of an algorithm that is not trusted of this issuer counts for nothing."""
    verify(PRODUCTS["Keycloak"], key=EDDSA_KEY)
    with pytest.raises(InvalidToken, match="alg"):
        verify(PRODUCTS["Auth0"], key=EDDSA_KEY)


def test_role_that_looks_like_two_scopes_grants_neither() -> None:
    """A role may have a space in its name; it must not become two scopes on its way to others."""
    claims = verify(
        PRODUCTS["Entra, version 2"], roles=["Orders.Read Orders.Delete", "", 'a"b', "Orders.List"]
    )
    assert claims.scopes == {"Orders.List"}


def test_token_of_a_standard_issuer_is_held_to_the_standard() -> None:
    """Without a profile nothing passes that RFC 9068 does not allow: no plain JWT, no token without jti or scope."""
    issuer = "https://issuer.example"
    verifier = Verifier(
        TrustedIssuer(issuer, keys=Keys(KEY)), audience="https://api.example", clock=lambda: NOW
    )
    good = good_claims(issuer, "https://api.example", NOW)
    verifier.verify(KEY.token(good))
    for claims, header in (
        (good, {"typ": "JWT"}),
        (good, {"typ": LEFT_OUT}),
        (changed(good, {"jti": LEFT_OUT}), {}),
        (changed(good, {"scope": LEFT_OUT}), {}),
        (changed(good, {"scope": ["read"]}), {}),
        (changed(good, {"client_id": LEFT_OUT, "azp": "client-1"}), {}),
    ):
        with pytest.raises(InvalidToken):
            verifier.verify(KEY.token(claims, **header))


def test_profile_of_ones_own() -> None:
    """Another product is a profile away: here one without `typ`, with `cid` and a list in `scp`, as Okta's."""
    okta = TokenProfile(
        types=frozenset({""}),
        complete=False,
        client_id=("cid",),
        scopes=("scp",),
        marks={"ver": (1,)},
    )
    issuer = "https://shop.okta.example/oauth2/default"
    verifier = Verifier(
        TrustedIssuer(issuer, audience="api://default", profile=okta, keys=Keys(KEY)),
        audience="https://api.example",
        clock=lambda: NOW,
    )
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": "api://default",
        "sub": "0oa1",
        "cid": "0oa1",
        "scp": ["read", "write"],
    }
    claims |= {"iat": NOW, "exp": NOW + 60, "jti": "AT.1", "ver": 1}
    assert verifier.verify(KEY.token(claims, typ=LEFT_OUT)).scopes == {"read", "write"}
    with pytest.raises(InvalidToken, match="typ"):
        verifier.verify(KEY.token(claims))
    with pytest.raises(InvalidToken, match="claim ver"):
        verifier.verify(KEY.token({**claims, "ver": 2}, typ=LEFT_OUT))
