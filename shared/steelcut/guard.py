"""Who may pass: the Authorization header of a request in, verified claims or a challenge out.

RFC 6750 §2.1 and §3, RFC 9728 §5.1. Knows no framework; a token in the query or the body is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from steelcut import discovery
from steelcut.errors import (
    BearerError,
    InsufficientScope,
    MalformedAuthorization,
    NoCredentials,
)
from steelcut.verifier import MAX_TOKEN_CHARACTERS, Claims, Verifier

SCHEME: Final = "bearer"
# RFC 6750 §2.1, b64token
TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Guard:
    """Guards one protected resource."""

    __slots__ = ("_audience", "_resource_metadata", "_verifier")

    def __init__(self, verifier: Verifier, *, audience: str, resource_metadata: str | None = None) -> None:
        """Let pass who brings a token that ``verifier`` finds good and that is meant for ``audience``.

        ``audience`` is the identifier of the resource. ``resource_metadata`` is where its metadata is served;
        without it, where RFC 9728 §3.1 puts it.
        """
        self._verifier = verifier
        self._audience = audience
        self._resource_metadata = resource_metadata

    async def admit(
        self,
        authorization: Sequence[str],
        *,
        scope: str | None = None,
        scopes: Sequence[str] = (),
        any_of: Sequence[str] = (),
    ) -> Claims:
        """Return the claims of a request whose Authorization headers are ``authorization``, one value each.

        Raises a ``BearerError`` that carries its challenge: ``NoCredentials``, ``MalformedAuthorization``,
        ``InvalidToken``, or ``InsufficientScope`` when the token does not grant ``scope``. Raises
        ``TemporarilyUnavailable`` when no key of the issuer is known.
        """
        scopes = scopes if scope is None else (*scopes, scope)
        try:
            claims = await self._verifier.verify(bearer_token(authorization), audience=self._audience)
            for needed in scopes:
                if needed not in claims.scopes:
                    raise InsufficientScope(f"the token does not grant {needed}")
            if any_of and claims.scopes.isdisjoint(any_of):
                raise InsufficientScope(f"the token grants none of {' '.join(any_of)}")
        except BearerError as refusal:
            challenge = self._challenge(refusal, " ".join([*scopes, *any_of]))
            raise type(refusal)(refusal.reason, headers={"WWW-Authenticate": challenge}) from refusal
        return claims

    def _challenge(self, refusal: BearerError, scope: str) -> str:
        """Return the value of WWW-Authenticate (RFC 6750 §3, RFC 9728 §5.1)."""
        parameters = {}
        # §3.1: a request without credentials learns nothing of an error, only what to bring.
        if not isinstance(refusal, NoCredentials):
            parameters["error"] = refusal.error
            parameters["error_description"] = refusal.description
        if scope and not isinstance(refusal, MalformedAuthorization):
            parameters["scope"] = scope
        parameters["resource_metadata"] = self._resource_metadata or discovery.well_known(
            self._audience, discovery.PROTECTED_RESOURCE
        )
        return "Bearer " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def bearer_token(authorization: Sequence[str]) -> str:
    """Return the one Bearer credential among the values of a request's Authorization headers (RFC 6750 §2.1).

    Raises ``NoCredentials`` when there is none or it is of another scheme, ``MalformedAuthorization`` when
    there are several headers or the credential cannot be one token.
    """
    if not authorization:
        raise NoCredentials("no Authorization header")
    if len(authorization) > 1:
        raise MalformedAuthorization("several Authorization headers")
    scheme, _, rest = authorization[0].partition(" ")
    if scheme.lower() != SCHEME:
        raise NoCredentials("another scheme than Bearer")
    token = rest.strip(" ")
    # What is too long for a token is the verifier's to refuse; there is no use in looking at all of it.
    if len(token) <= MAX_TOKEN_CHARACTERS and not TOKEN.fullmatch(token):
        raise MalformedAuthorization("no token after Bearer, or more than one")
    return token


def _quoted(value: str) -> str:
    """Return ``value`` as a quoted-string (RFC 9110 §5.6.4) that cannot end before its time."""
    visible = "".join(character if " " <= character <= "~" else "?" for character in value)
    return '"' + visible.replace("\\", "\\\\").replace('"', '\\"') + '"'
