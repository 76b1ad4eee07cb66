"""Get access tokens and open what they open.

:class:`ClientCredentials` is the ``auth`` of an httpx client; ``request_token`` and ``fetch_json`` are for scripts.
"""

from steelcut.client.challenge import challenge_parameters
from steelcut.client.credentials import ClientCredentials
from steelcut.client.documents import MAX_DOCUMENT_BYTES, fetch
from steelcut.client.errors import RequestRefused, SecretUnavailable
from steelcut.client.functions import (
    CredentialOptions,
    fetch_json,
    fetch_json_async,
    find_token_url,
    request_token,
    request_token_async,
)
from steelcut.client.retries import Retries
from steelcut.client.token_cache import TokenCache
from steelcut.client.wire import Token, basic_credentials, read_token, token_form
from steelcut.exchange import ClientError, UnexpectedAnswer, Unreachable

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "ClientCredentials",
    "ClientError",
    "CredentialOptions",
    "RequestRefused",
    "Retries",
    "SecretUnavailable",
    "Token",
    "TokenCache",
    "UnexpectedAnswer",
    "Unreachable",
    "basic_credentials",
    "challenge_parameters",
    "fetch",
    "fetch_json",
    "fetch_json_async",
    "find_token_url",
    "read_token",
    "request_token",
    "request_token_async",
    "token_form",
]
