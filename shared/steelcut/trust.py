"""Whose tokens are trusted, for what, and how they look."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from steelcut.discovery import check_issuer
from steelcut.jwk import ALGORITHMS
from steelcut.profiles import AUTH0, ENTRA, KEYCLOAK, RFC9068, TokenProfile

if TYPE_CHECKING:
    from steelcut.jwk import VerificationKey
    from steelcut.steps import Steps

# A tenant's name may be another's tomorrow, and `common` is everybody.
_TENANT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Keys(Protocol):
    """Where a verifier finds the keys that it trusts; ``KeySource`` is one."""

    @property
    def known(self) -> Mapping[str, VerificationKey]:
        """The keys by ``kid``: never changed, but replaced by another object when they become others."""

    def is_due(self) -> bool:
        """Say whether ``steps`` have anything to do for known keys; asked at every request."""

    def steps(self, kid: str | None) -> Steps[None]:
        """Bring ``known`` up to date, so that the key called ``kid`` is in it if there is one.

        Raises ``TemporarilyUnavailable`` when ``kid`` is asked for and no key is known at all.
        """


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An authorization server whose access tokens are believed.

    ``audience`` is what its tokens call the resource, if that is not what the verifier calls it; several names mean
    any of them. ``algorithms`` are those of its keys that count. ``jwks_uri`` says where the keys are, when its
    metadata cannot be asked; ``keys`` are keys that are had by other means than HTTP. ``profile`` says how its tokens
    look: by default strictly as RFC 9068 has it.
    """

    issuer: str
    audience: str | tuple[str, ...] | None = field(default=None, kw_only=True)
    algorithms: tuple[str, ...] = field(default=ALGORITHMS, kw_only=True)
    jwks_uri: str | None = field(default=None, kw_only=True)
    keys: Keys | None = field(default=None, kw_only=True, repr=False)
    profile: TokenProfile = field(default=RFC9068, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        """Raise ``ValueError`` at an issuer that cannot be one, and at algorithms that are unknown or none."""
        check_issuer(self.issuer)
        if not self.algorithms:
            raise ValueError("the algorithms must name one at least")
        if unknown := [name for name in self.algorithms if name not in ALGORITHMS]:
            raise ValueError(
                f"the algorithm {unknown[0]} cannot be verified, only {', '.join(ALGORITHMS)} can be"
            )
        if self.audience is not None and (not self.audiences or not all(self.audiences)):
            raise ValueError("the audience must not be empty")

    @property
    def audiences(self) -> tuple[str, ...]:
        """The names of ``audience``, none if the verifier's counts."""
        if self.audience is None:
            return ()
        return (self.audience,) if isinstance(self.audience, str) else tuple(self.audience)

    @classmethod
    def keycloak(cls, url: str, *, audience: str | Iterable[str]) -> Self:
        """Trust a realm of Keycloak: ``https://keycloak.example.com/realms/orders``.

        ``audience`` is what an audience mapper puts into ``aud``; without a mapper that is at most ``account``, which
        every token of the realm may have and which so says nothing.
        """
        return cls(url.rstrip("/"), audience=_names(audience), profile=KEYCLOAK)

    @classmethod
    def entra(cls, tenant: str, *, audience: str | Iterable[str], version: Literal[1, 2] = 2) -> Self:
        """Trust a tenant of Microsoft Entra ID, named by its id: ``72f988bf-86f1-41af-91ab-2d7cd011db47``.

        ``version`` is that of the access tokens, which the registration of the API chooses
        (``requestedAccessTokenVersion``; null means 1). ``audience`` is the API's application id with version 2, and
        its application id URI with version 1. Raises ``ValueError`` for a tenant that is not one id: ``common`` would
        be everybody's tenant.
        """
        if not _TENANT_ID.fullmatch(tenant.lower()):
            raise ValueError("the tenant must be its id, as 72f988bf-86f1-41af-91ab-2d7cd011db47")
        issuer = (
            f"https://login.microsoftonline.com/{tenant.lower()}/v2.0"
            if version == 2
            else f"https://sts.windows.net/{tenant.lower()}/"
        )
        return cls(issuer, audience=_names(audience), algorithms=("RS256",), profile=ENTRA)

    @classmethod
    def auth0(cls, domain: str, *, audience: str | Iterable[str]) -> Self:
        """Trust a tenant of Auth0, by its domain: ``example.eu.auth0.com``, or your own.

        ``audience`` is the identifier of the API, whose signing algorithm must be RS256: HS256 is a shared secret.
        """
        if "/" in domain or not domain:
            raise ValueError("the domain must be a host name, as example.eu.auth0.com")
        return cls(f"https://{domain}/", audience=_names(audience), algorithms=("RS256",), profile=AUTH0)


def _names(audience: str | Iterable[str]) -> str | tuple[str, ...]:
    names = audience if isinstance(audience, str) else tuple(audience)
    if not names:
        # None would mean the verifier's audience, which these products do not know.
        raise ValueError("the audience must not be empty")
    return names
