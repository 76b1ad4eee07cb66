"""``POST /token``, as the RFC's procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from auth_service.access_tokens import AccessToken, sign
from auth_service.client_authentication import authenticate
from auth_service.errors import ParametersInUri
from auth_service.form import read_form
from auth_service.grants import Grant, grant_for
from steelcut.service.asgi import NO_STORE, JSONBytes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from auth_service.state import Process


async def token(request: Request) -> Response:
    """Issue an access token to an authenticated client (RFC 6749 §4.4)."""
    process: Process = request.app.state.process
    now = process.clock()
    _refuse_secret_in_uri(request)
    form = await read_form(request)
    client = await authenticate(process.registry, request.headers.getlist("authorization"), form, now)
    grant = grant_for(client, form, process.settings.token_lifetime_seconds)
    access_token = sign(grant, process.key_ring.active, issuer=process.settings.issuer, now=now)
    _note_issued(request, grant, access_token)
    return token_response(access_token, grant)


def token_response(access_token: AccessToken, grant: Grant) -> Response:
    """RFC 6749 §5.1; ``scope`` is always told, since it may be a default (§3.3)."""
    content = {
        "access_token": access_token.value,
        "token_type": "Bearer",
        "expires_in": grant.lifetime_seconds,
        "scope": " ".join(grant.scopes),
    }
    return JSONBytes(content, headers=NO_STORE)


def _refuse_secret_in_uri(request: Request) -> None:
    # RFC 6749 §2.3.1. Ignoring it would leave the caller with a leaked secret and no word about it.
    query = request.scope["query_string"]
    if query and b"client_secret" in unquote_to_bytes(query):
        raise ParametersInUri


def _note_issued(request: Request, grant: Grant, access_token: AccessToken) -> None:
    request.scope["log"].update(
        client_id=grant.client_id,
        audience=grant.audience,
        scopes=grant.scopes,
        lifetime_seconds=grant.lifetime_seconds,
        token_id=access_token.token_id,
    )
