"""The Authorization header in, and the challenge out (RFC 6750 §2.1 and §3, RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_letters, digits
from typing import Final

from steelcut.errors import BearerError, MalformedAuthorization, NoCredentials
from steelcut.jose import MAX_TOKEN_CHARACTERS

SCHEME: Final = "bearer"
# RFC 6750 §2.1, b64token, before the equals signs at its end.
_OF_A_TOKEN: Final = (ascii_letters + digits + "-._~+/").encode()


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
    if len(token) <= MAX_TOKEN_CHARACTERS and not _is_token(token):
        raise MalformedAuthorization("no token after Bearer, or more than one")
    return token


def _is_token(text: str) -> bool:
    """Say whether ``text`` is a b64token; a pattern takes three times as long, at each request."""
    characters = text.rstrip("=")
    return characters.isascii() and not characters.encode().translate(None, _OF_A_TOKEN) and bool(characters)


def challenge(
    refusal: BearerError, needed: Iterable[str], *, resource_metadata: str | None, realm: str
) -> str:
    """Return the value of WWW-Authenticate (RFC 6750 §3, RFC 9728 §5.1); ``needed`` are scopes that would do."""
    parameters = {}
    # §3.1: a request without credentials learns nothing of an error, only what to bring.
    if not isinstance(refusal, NoCredentials):
        parameters["error"] = refusal.error
        parameters["error_description"] = refusal.description
    scope = " ".join(needed)
    if scope and not isinstance(refusal, MalformedAuthorization):
        parameters["scope"] = scope
    if resource_metadata is not None:
        parameters["resource_metadata"] = resource_metadata
    if not parameters:  # §3: there must be one
        parameters["realm"] = realm
    return "Bearer " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _quoted(value: str) -> str:
    """Return ``value`` as a quoted-string (RFC 9110 §5.6.4) that cannot end before its time."""
    visible = "".join(character if " " <= character <= "~" else "?" for character in value)
    return '"' + visible.replace("\\", "\\\\").replace('"', '\\"') + '"'
