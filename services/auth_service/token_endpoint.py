"""``POST /token``, as the RFC's procedure.

Plain ASGI, without objects for the request and the answer: this path is walked for every token.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from auth_service.access_tokens import AccessToken, sign
from auth_service.audit import TokenEvent
from auth_service.client_authentication import Caller, authenticate
from auth_service.errors import ParametersInUri, QuotaExceeded, TokenTooLong
from auth_service.form import Form, read_form
from auth_service.grants import Grant, grant_for
from steelcut.errors import OAuthError
from steelcut.jose import MAX_TOKEN_CHARACTERS
from steelcut.service.http.headers import values

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from auth_service.limits.quotas import Quota
    from auth_service.state import Process

# RFC 6749 §5.1.
_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
)


async def token(scope: Scope, receive: Receive, send: Send) -> None:
    """Issue an access token to an authenticated client (RFC 6749 §4.4)."""
    process: Process = scope["app"].state.process
    try:
        answer, fields = await _issue(scope, receive, process)
    except OAuthError as refusal:
        process.audit.add(_refused(scope, refusal, process.clock()))
        raise
    headers = [*_HEADERS, *fields, (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _issue(
    scope: Scope, receive: Receive, process: Process
) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    _refuse_secret_in_uri(scope["query_string"])
    tokens, began = process.tokens, time.perf_counter()
    form = await read_form(values(scope, b"content-type"), receive)
    read = time.perf_counter()
    authorization = values(scope, b"authorization")
    address, guesses = _address(scope), process.guesses
    caller = Caller(guesses, address)
    authenticated = await authenticate(
        process.registry, process.imported_secrets, caller, authorization, form, process.clock()
    )
    known = time.perf_counter()
    client, log = authenticated.client, scope["log"]
    if guesses is not None:
        guesses.succeeded(client.client_id, address)
    log["client_id"] = client.client_id
    if authenticated.stale:
        log["stale"] = True
        tokens.stale += 1
    settings = process.settings
    grant = grant_for(client, form, settings.token_lifetime_seconds)
    fields = () if process.quota is None else await _count(process, process.quota, log)
    granted = time.perf_counter()
    # §5.1: from when the answer is made, not from when the request came.
    now = process.clock()
    access_token = sign(grant, process.key_ring.active, issuer=settings.issuer, now=now)
    if len(access_token.value) > MAX_TOKEN_CHARACTERS:
        raise TokenTooLong
    tokens.took(began, read, known, granted, time.perf_counter())
    tokens.issued(grant, now)
    process.audit.add(
        TokenEvent(
            now,
            "token.issue",
            client.client_id,
            "issued",
            "",
            log["trace_id"],
            address,
            authenticated.secret_id,
            grant,
            access_token.token_id,
        )
    )
    log["audience"] = grant.audience
    log["scopes"] = grant.scopes
    log["lifetime_seconds"] = grant.lifetime_seconds
    log["token_id"] = access_token.token_id
    return orjson.dumps(_content(access_token, grant, form)), fields


async def _count(process: Process, quota: Quota, log: dict[str, Any]) -> tuple[tuple[bytes, bytes], ...]:
    try:
        over, fields = await quota.take(log["client_id"])
    except QuotaExceeded:
        process.tokens.over_quota += 1
        raise
    if over:
        log["over_quota"] = True
        process.tokens.over_quota += 1
    return tuple((name.lower().encode(), value.encode()) for name, value in fields.items())


def _content(access_token: AccessToken, grant: Grant, form: Form) -> dict[str, str | int]:
    """RFC 6749 §5.1; ``scope`` is always told, since it may be a default (§3.3)."""
    content: dict[str, str | int] = {
        "access_token": access_token.value,
        "token_type": "Bearer",
        "expires_in": grant.lifetime_seconds,
        "scope": " ".join(grant.scopes),
    }
    if _asks_as_steelcut_oauth(form, grant):
        # Its clients keep a token until the moment in Unix seconds that this member names; without it they would
        # take every token for expired and ask anew each time. §5.1: any other client ignores it.
        content["expires_on"] = access_token.expires_at
    return content


def _asks_as_steelcut_oauth(form: Form, grant: Grant) -> bool:
    """Tell its clients by their requests: the secret in the body, and the resource by its short name."""
    return form.get("client_secret") is not None and any(name in grant.resources for name in form.resources)


def _refuse_secret_in_uri(query: bytes) -> None:
    # RFC 6749 §2.3.1. Ignoring it would leave the caller with a leaked secret and no word about it.
    if query and b"client_secret" in unquote_to_bytes(query):
        raise ParametersInUri


def _refused(scope: Scope, refusal: OAuthError, now: float) -> TokenEvent:
    log = scope["log"]
    known = getattr(refusal, "client_id", "") or log.get("client_id", "")
    return TokenEvent(
        now, "token.refuse", known, refusal.error, refusal.reason, log["trace_id"], _address(scope)
    )


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
