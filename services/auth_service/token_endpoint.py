"""``POST /token``, as the RFC's procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from auth_service.access_tokens import AccessToken, sign
from auth_service.audit import Caller, TokenEvent
from auth_service.client_authentication import authenticate
from auth_service.errors import ParametersInUri
from auth_service.form import Form, read_form
from auth_service.grants import Grant, grant_for
from steelcut.errors import OAuthError
from steelcut.service.asgi import NO_STORE, JSONBytes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from auth_service.state import Process


async def token(request: Request) -> Response:
    """Issue an access token to an authenticated client (RFC 6749 §4.4)."""
    process: Process = request.app.state.process
    now = process.clock()
    try:
        return await _issue(request, process, now)
    except OAuthError as refusal:
        process.audit.add(_refused(request, refusal, now))
        raise


async def _issue(request: Request, process: Process, now: float) -> Response:
    _refuse_secret_in_uri(request)
    form = await read_form(request)
    authorization = request.headers.getlist("authorization")
    authenticated = await authenticate(process.registry, process.imported_secrets, authorization, form, now)
    request.scope["log"]["client_id"] = authenticated.client.client_id
    grant = grant_for(authenticated.client, form, process.settings.token_lifetime_seconds)
    access_token = sign(grant, process.key_ring.active, issuer=process.settings.issuer, now=now)
    process.audit.add(
        TokenEvent(
            now,
            "token.issue",
            grant.client_id,
            "issued",
            "",
            _caller(request),
            authenticated.secret_id,
            grant,
            access_token.token_id,
        )
    )
    _note_issued(request, grant, access_token)
    return token_response(access_token, grant, form)


def token_response(access_token: AccessToken, grant: Grant, form: Form) -> Response:
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
    return JSONBytes(content, headers=NO_STORE)


def _asks_as_steelcut_oauth(form: Form, grant: Grant) -> bool:
    """Tell its clients by their requests: the secret in the body, and the resource by its short name."""
    return form.get("client_secret") is not None and any(name in grant.resources for name in form.resources)


def _refuse_secret_in_uri(request: Request) -> None:
    # RFC 6749 §2.3.1. Ignoring it would leave the caller with a leaked secret and no word about it.
    query = request.scope["query_string"]
    if query and b"client_secret" in unquote_to_bytes(query):
        raise ParametersInUri


def _note_issued(request: Request, grant: Grant, access_token: AccessToken) -> None:
    request.scope["log"].update(
        audience=grant.audience,
        scopes=grant.scopes,
        lifetime_seconds=grant.lifetime_seconds,
        token_id=access_token.token_id,
    )


def _refused(request: Request, refusal: OAuthError, now: float) -> TokenEvent:
    known = getattr(refusal, "client_id", "") or request.scope["log"].get("client_id", "")
    return TokenEvent(now, "token.refuse", known, refusal.error, refusal.reason, _caller(request))


def _caller(request: Request) -> Caller:
    client = request.scope.get("client")
    return Caller(request.scope["log"]["trace_id"], client[0] if client else "")
