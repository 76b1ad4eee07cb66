"""``POST /token`` of an issuer that lives in a test (RFC 6749 §4.4)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote_plus

from steelcut.testing.answers import Reply

if TYPE_CHECKING:
    import httpx

    from steelcut.testing.clients import Client

# client, scope, audience -> token and its life in seconds
Issue = Callable[["Client", str, list[str]], tuple[str, int]]


def answer(clients: Mapping[str, Client], headers: httpx.Headers, body: bytes, issue: Issue) -> Reply:
    """Answer one token request as a strict server would."""
    form = parse_qs(body.decode("ascii", "replace"))
    client = _client(clients, headers, form)
    if client is None:
        challenge = {"WWW-Authenticate": "Basic"}
        return _refuse("invalid_client", "Client authentication failed.", 401, challenge)
    if form.get("grant_type") != ["client_credentials"]:
        return _refuse("unsupported_grant_type", "Only client_credentials is granted here.")
    granted = " ".join(form.get("scope", [client.scope]))
    if not granted or not set(granted.split()) <= set(client.scope.split()):
        return _refuse("invalid_scope", "The client may not have this scope.")
    audience = form.get("resource", list(client.audience))
    if not audience or (client.audience and not set(audience) <= set(client.audience)):
        return _refuse("invalid_target", "The client may not ask for this resource.")
    token, expires_in = issue(client, granted, audience)
    members = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": granted}
    return Reply.of(200, members, {"Cache-Control": "no-store"})


def _refuse(
    error: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None
) -> Reply:
    return Reply.of(status, {"error": error, "error_description": description}, headers)


def _client(
    clients: Mapping[str, Client], headers: httpx.Headers, form: Mapping[str, list[str]]
) -> Client | None:
    client_id, secret = _basic(headers) or (
        form.get("client_id", [""])[0],
        form.get("client_secret", [""])[0],
    )
    client = clients.get(client_id)
    if client is None or not hmac.compare_digest(client.client_secret.encode(), secret.encode()):
        return None
    return client


def _basic(headers: httpx.Headers) -> tuple[str, str] | None:
    """RFC 6749 §2.3.1: both halves are form-encoded before base64."""
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)
