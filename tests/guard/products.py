"""Tokens as other people's servers issue them, after their documentation; ids and names are made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from steelcut import TrustedIssuer
from tests.support.tokens import LEFT_OUT

NOW: Final = 1_900_000_000
TENANT: Final = "72f988bf-86f1-41af-91ab-2d7cd011db47"
CLIENT: Final = "6e74172b-be56-4843-9ff4-e66a39bb12e3"
API: Final = "api://orders"
_TIMES: Final[dict[str, Any]] = {"iat": NOW, "exp": NOW + 300}


@dataclass(frozen=True)
class Product:
    """A product: how it is trusted, its access token, what that says, and tokens of it that are no access tokens."""

    trusted: TrustedIssuer
    claims: dict[str, Any]
    client_id: str
    scopes: frozenset[str]
    token_id: str
    others: dict[str, dict[str, Any]]
    typ: Any = "JWT"


_KEYCLOAK_ISSUER: Final = "https://keycloak.example.com/realms/shop"
_KEYCLOAK: Final = {
    **_TIMES,
    "jti": "trrtcc:5f7a4e9c-6a9e-4a39-9d0f-0a7f3f9b6f10",
    "iss": _KEYCLOAK_ISSUER,
    "aud": ["orders-api", "account"],
    "sub": "c0b5b1c5-32d9-4d0e-8f5e-7c6c1b0f2a11",
    "typ": "Bearer",
    "azp": "reports",
    "acr": "1",
    "realm_access": {"roles": ["offline_access"]},
    "resource_access": {"orders-api": {"roles": ["reader"]}},
    "scope": "orders:read profile",
    "clientHost": "10.0.0.7",
    "clientAddress": "10.0.0.7",
    "client_id": "reports",
    "preferred_username": "service-account-reports",
}
_ENTRA_2: Final = {
    **_TIMES,
    "aud": CLIENT,
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "nbf": NOW,
    "aio": "E2ZgYBCelc2z",
    "azp": "11111111-2222-3333-4444-555555555555",
    "azpacr": "1",
    "oid": "00000000-1111-2222-3333-444444444444",
    "rh": "0.AAAA",
    "roles": ["Orders.Read", "Orders.Write"],
    "sub": "00000000-1111-2222-3333-444444444444",
    "tid": TENANT,
    "uti": "hWjsF-Cf6kOmkTPv0yTFAA",
    "ver": "2.0",
}
_ENTRA_1: Final = {
    **_TIMES,
    "aud": API,
    "iss": f"https://sts.windows.net/{TENANT}/",
    "nbf": NOW,
    "appid": "11111111-2222-3333-4444-555555555555",
    "appidacr": "1",
    "idp": f"https://sts.windows.net/{TENANT}/",
    "oid": "00000000-1111-2222-3333-444444444444",
    "sub": "00000000-1111-2222-3333-444444444444",
    "scp": "Orders.Read user_impersonation",
    "tid": TENANT,
    "uti": "hWjsF-Cf6kOmkTPv0yTFAA",
    "ver": "1.0",
}
_ENTRA_ID_TOKEN: Final = {
    "azp": LEFT_OUT,
    "azpacr": LEFT_OUT,
    "appid": LEFT_OUT,
    "appidacr": LEFT_OUT,
    "name": "Ann Other",
    "preferred_username": "ann@example.com",
}
_AUTH0: Final = {
    **_TIMES,
    "iss": "https://shop.eu.auth0.com/",
    "sub": "QPn1mD8Xk2@clients",
    "aud": "https://api.example.com/orders",
    "gty": "client-credentials",
    "azp": "QPn1mD8Xk2",
    "scope": "read:orders write:orders",
    "permissions": ["read:orders", "write:orders"],
}
_AUTH0_9068: Final = {
    **_AUTH0,
    "azp": LEFT_OUT,
    "gty": LEFT_OUT,
    "client_id": "QPn1mD8Xk2",
    "jti": "73WakrfVbNJBaAmhQtEeDv",
}

PRODUCTS: Final[dict[str, Product]] = {
    "Keycloak": Product(
        TrustedIssuer.keycloak(_KEYCLOAK_ISSUER, audience="orders-api"),
        _KEYCLOAK,
        "reports",
        frozenset({"orders:read", "profile"}),
        "trrtcc:5f7a4e9c-6a9e-4a39-9d0f-0a7f3f9b6f10",
        {
            "ID token": {"typ": "ID", "auth_time": NOW, "sid": "abc"},
            "refresh token": {"typ": "Refresh"},
            "offline token": {"typ": "Offline"},
            "logout token": {"typ": "Logout"},
            "bound to a key by DPoP": {"typ": "DPoP"},
            "no kind at all": {"typ": LEFT_OUT},
            "kind of another type": {"typ": ["Bearer"]},
        },
    ),
    "Keycloak, RFC 9068 type": Product(
        TrustedIssuer.keycloak(_KEYCLOAK_ISSUER + "/", audience=["orders-api", "old-api"]),
        {**_KEYCLOAK, "aud": "old-api", "client_id": LEFT_OUT, "scope": ""},
        "reports",
        frozenset(),
        "trrtcc:5f7a4e9c-6a9e-4a39-9d0f-0a7f3f9b6f10",
        {"ID token": {"typ": "ID"}},
        typ="at+jwt",
    ),
    "Entra, version 2": Product(
        TrustedIssuer.entra(TENANT.upper(), audience=CLIENT),
        _ENTRA_2,
        "11111111-2222-3333-4444-555555555555",
        frozenset({"Orders.Read", "Orders.Write"}),
        "hWjsF-Cf6kOmkTPv0yTFAA",
        {
            "ID token": _ENTRA_ID_TOKEN,
            "ID token with a nonce": {"nonce": "12345"},
            "ID token beside a code": {"c_hash": "12345"},
            "ID token beside a token": {"at_hash": "12345"},
        },
    ),
    "Entra, version 1": Product(
        TrustedIssuer.entra(TENANT, audience=API, version=1),
        _ENTRA_1,
        "11111111-2222-3333-4444-555555555555",
        frozenset({"Orders.Read", "user_impersonation"}),
        "hWjsF-Cf6kOmkTPv0yTFAA",
        {"ID token": _ENTRA_ID_TOKEN},
    ),
    "Auth0": Product(
        TrustedIssuer.auth0("shop.eu.auth0.com", audience="https://api.example.com/orders"),
        _AUTH0,
        "QPn1mD8Xk2",
        frozenset({"read:orders", "write:orders"}),
        "",
        {
            "ID token": {"azp": LEFT_OUT, "gty": LEFT_OUT, "nickname": "ann", "sid": "abc"},
            "ID token with a nonce": {"nonce": "12345"},
        },
    ),
    "Auth0, RFC 9068 profile": Product(
        TrustedIssuer.auth0("shop.eu.auth0.com", audience="https://api.example.com/orders"),
        {name: value for name, value in _AUTH0_9068.items() if value is not LEFT_OUT},
        "QPn1mD8Xk2",
        frozenset({"read:orders", "write:orders"}),
        "73WakrfVbNJBaAmhQtEeDv",
        {"ID token": {"client_id": LEFT_OUT}},
        typ="at+jwt",
    ),
}
