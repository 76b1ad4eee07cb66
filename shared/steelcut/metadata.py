"""What an authorization server and a protected resource say about themselves, asked for and checked.

RFC 8414 §3, OpenID Connect Discovery 1.0 §4 for issuers that know only that, RFC 9728 §3.
"""

from __future__ import annotations

import time
from typing import Any, Final

from steelcut.discovery import (
    PROTECTED_RESOURCE,
    check_issuer,
    check_jwks_uri,
    check_url,
    metadata_urls,
    well_known,
)
from steelcut.exchange import TIMEOUT_SECONDS, Answer, Exchange, UnexpectedAnswer

# What is left for a request whose forerunners took all the time.
SHORTEST_SECONDS: Final = 0.1


def issuer_metadata(exchange: Exchange, issuer: str, *, timeout: float = TIMEOUT_SECONDS) -> dict[str, Any]:
    """Return the metadata of ``issuer`` (RFC 8414 §3.2), from its OpenID configuration if it has no other.

    ``timeout`` is in seconds, for both requests together.
    Raises ``Unreachable``, ``UnexpectedAnswer``, and ``ValueError`` when ``issuer`` cannot name an issuer.
    """
    deadline = time.monotonic() + timeout
    first, *others = metadata_urls(check_issuer(issuer))
    answer = exchange.send("GET", first, timeout=timeout)
    for url in others:
        # A server in trouble is not one that has no metadata there.
        if not _is_there(answer) and answer.status < 500 and answer.status != 429:
            another = exchange.send("GET", url, timeout=max(deadline - time.monotonic(), SHORTEST_SECONDS))
            # When neither is there, the message names the one that the standard names.
            answer = another if _is_there(another) else answer
    metadata = _document(answer)
    if metadata.get("issuer") != issuer:  # RFC 8414 §3.3: identical, or the metadata is somebody else's
        raise UnexpectedAnswer(f"The metadata at {answer.url} belongs to another issuer than {issuer}.")
    return metadata


def token_endpoint(metadata: dict[str, Any]) -> str:
    """Return the token endpoint that an issuer's ``metadata`` names. Raises ``UnexpectedAnswer``."""
    endpoint, issuer = metadata.get("token_endpoint"), metadata.get("issuer")
    if not isinstance(endpoint, str):
        raise UnexpectedAnswer(f"The metadata of {issuer} names no token endpoint.")
    try:
        check_url(endpoint, "token endpoint")
        if endpoint.lower().startswith("http:") and str(issuer).lower().startswith("https:"):
            # A server elsewhere must not send the secret to whoever listens on this machine.
            raise ValueError("the token endpoint of an https issuer must be https")  # noqa: TRY301
    except ValueError as error:
        raise UnexpectedAnswer(f"The metadata of {issuer} cannot be used: {error}.") from None
    return endpoint


def jwks_uri_of(metadata: dict[str, Any]) -> str:
    """Return where an issuer's ``metadata`` says its keys are (RFC 8414 §2). Raises ``UnexpectedAnswer``."""
    jwks_uri, issuer = metadata.get("jwks_uri"), metadata.get("issuer")
    if not isinstance(jwks_uri, str) or not isinstance(issuer, str):
        raise UnexpectedAnswer(f"The metadata of {issuer} names no jwks_uri.")
    try:
        return check_jwks_uri(jwks_uri, issuer)
    except ValueError as error:
        raise UnexpectedAnswer(f"The metadata of {issuer} cannot be used: {error}.") from None


def resource_metadata(
    exchange: Exchange, resource: str, *, url: str | None = None, timeout: float = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """Return the metadata of the protected ``resource`` (RFC 9728 §3.2), from ``url`` if a challenge named one.

    Raises ``Unreachable`` and ``UnexpectedAnswer``, and ``ValueError`` when ``url`` may not be asked.
    """
    source = check_url(url or well_known(resource, PROTECTED_RESOURCE), "metadata URL")
    answer = exchange.send("GET", source, timeout=timeout)
    metadata = _document(answer)
    if metadata.get("resource") != resource:  # §3.3
        raise UnexpectedAnswer(f"The metadata at {source} belongs to another resource than {resource}.")
    return metadata


def _is_there(answer: Answer) -> bool:
    return answer.status == 200 and answer.json_object() is not None


def _document(answer: Answer) -> dict[str, Any]:
    metadata = answer.json_object()
    if answer.status != 200 or metadata is None:
        raise UnexpectedAnswer(
            f"{answer.url} gave no metadata (status {answer.status}).",
            status=answer.status,
            retry_after=answer.retry_after,
        )
    return metadata
