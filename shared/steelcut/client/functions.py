"""One token or one document, for scripts: each call makes its own :class:`ClientCredentials`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, Unpack

import httpx

from steelcut import metadata
from steelcut.client.credentials import ClientCredentials
from steelcut.client.documents import MAX_DOCUMENT_BYTES, parsed
from steelcut.client.retries import Retries
from steelcut.client.token_cache import TokenCache
from steelcut.client.wire import Authentication, Token
from steelcut.exchange import TIMEOUT_SECONDS, Exchange


class CredentialOptions(TypedDict, total=False):
    """The keywords of :class:`ClientCredentials`, which says what they mean."""

    client_id: str | None
    client_secret: str | Callable[[], str] | None
    client_secret_file: str | os.PathLike[str] | None
    issuer: str | None
    token_url: str | None
    resource: str | Iterable[str]
    scope: str | None
    authentication: Authentication | None
    parameters: Mapping[str, str] | None
    timeout: float
    retries: Retries | None
    cache: TokenCache | None
    transport: httpx.BaseTransport | None
    verify: ssl.SSLContext | None
    clock: Callable[[], float]


def request_token(**options: Unpack[CredentialOptions]) -> Token:
    """Get an access token; the keywords are those of :class:`ClientCredentials`.

    Each call asks the server, unless a ``cache`` is given. Raises :class:`RequestRefused` when the server says no,
    :class:`Unreachable` and :class:`UnexpectedAnswer` when there is no such answer, ``ValueError`` when something is
    missing or must not be used.
    """
    return ClientCredentials(**options).token()


async def request_token_async(**options: Unpack[CredentialOptions]) -> Token:
    """Do the same on asyncio or trio."""
    return await ClientCredentials(**options).token_async()


def fetch_json(url: str, *, max_bytes: int = MAX_DOCUMENT_BYTES, **options: Unpack[CredentialOptions]) -> Any:
    """Get the protected JSON at ``url``, of at most ``max_bytes`` bytes, and return it parsed.

    The other keywords are those of :class:`ClientCredentials`. Retries where no connection can be had, too. Raises
    :class:`RequestRefused` when a server says no, :class:`Unreachable` and :class:`UnexpectedAnswer` when there is no
    such answer or it is no JSON, ``ValueError`` when something is missing or must not be used.
    """
    return parsed(url, ClientCredentials(**options).fetch(url, max_bytes=max_bytes))


async def fetch_json_async(
    url: str, *, max_bytes: int = MAX_DOCUMENT_BYTES, **options: Unpack[CredentialOptions]
) -> Any:
    """Do the same on asyncio or trio.

    The request itself is made in a thread: for many at a time, share one ``httpx.AsyncClient`` whose ``auth`` is a
    :class:`ClientCredentials`.
    """
    return parsed(url, await ClientCredentials(**options).fetch_async(url, max_bytes=max_bytes))


def find_token_url(issuer: str, *, timeout: float = TIMEOUT_SECONDS) -> str:
    """Ask the issuer's metadata for its token endpoint (RFC 8414 §3). Raises as :func:`request_token` does."""
    return metadata.token_endpoint(metadata.issuer_metadata(Exchange(), issuer, timeout=timeout))
