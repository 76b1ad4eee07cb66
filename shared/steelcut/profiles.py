"""How the access tokens of an authorization server look, as data.

There is a standard for access tokens that are JWTs, RFC 9068, and there are products that are older than it. What a
profile does not say is the same for all: signature, times, issuer and audience are always checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProfile:
    """What makes an access token of an issuer, besides what every one must have."""

    types: frozenset[str]
    """The values of the header's ``typ`` that pass, in lower case; ``""`` is for a header without one."""

    complete: bool = True
    """Whether ``jti`` and ``scope`` must be there, the latter as one string (RFC 9068 §2.2)."""

    client_id: tuple[str, ...] = ("client_id",)
    """The claims that may name the client; the first that is there does, and one must be."""

    scopes: tuple[str, ...] = ("scope",)
    """The claims that grant scopes, all of them together: each a string with spaces or an array of strings."""

    token_id: tuple[str, ...] = ("jti",)
    """The claims that may name the token; the first that is there does."""

    marks: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, hash=False)
    """The claims that must be there with one of these values, because they tell an access token from others."""

    never: frozenset[str] = frozenset()
    """The claims that an access token never has: with one of them it is another kind of token."""


# RFC 9068 §2.1; media types are compared without case (RFC 7515 §4.1.9).
_ACCESS_TOKEN: Final = frozenset({"at+jwt", "application/at+jwt"})
_ANY_JWT: Final = _ACCESS_TOKEN | {"jwt", "application/jwt"}
# OpenID Connect Core §2 and §3.1.3.6: what an ID token has for its client alone.
_OF_ID_TOKENS: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash"})

RFC9068: Final = TokenProfile(types=_ACCESS_TOKEN)
"""The standard, as Steelcut issues its tokens."""

KEYCLOAK: Final = TokenProfile(
    types=_ANY_JWT,
    complete=False,
    client_id=("azp", "client_id"),
    # Keycloak says in the payload what a token is for: ID, Refresh, Offline, Logout and others are no access tokens.
    marks=MappingProxyType({"typ": ("Bearer",)}),
)
"""Keycloak 17 and later, also with the option "use RFC 9068 access token header type"."""

ENTRA: Final = TokenProfile(
    types=_ANY_JWT,
    complete=False,
    client_id=("azp", "appid"),  # of v2.0 and of v1.0; an ID token has neither
    scopes=("scp", "roles"),  # delegated by a user, and granted to the application itself
    token_id=("uti",),
    never=_OF_ID_TOKENS,
)
"""Microsoft Entra ID (Azure AD), tokens of version 1.0 and 2.0."""

AUTH0: Final = TokenProfile(
    types=_ANY_JWT,
    complete=False,
    client_id=("azp", "client_id"),  # of Auth0's own profile and of its RFC 9068 one
    never=_OF_ID_TOKENS,
)
"""Auth0, with either access token profile."""
