"""What the authorization server publishes about itself: RFC 8414 metadata and the JWK set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from auth_service.errors import UnsupportedResponseType
from auth_service.grants import SUPPORTED_GRANT_TYPES
from steelcut.service.http.asgi import NO_STORE, JSONBytes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from auth_service.state import Process

AUTHENTICATION_METHODS = ("client_secret_basic", "client_secret_post")


async def authorization_server_metadata(request: Request) -> Response:
    """RFC 8414 §3.2."""
    process: Process = request.app.state.process
    return JSONBytes(document(process.settings.issuer, process.scopes), headers=_cacheable(process))


async def jwks(request: Request) -> Response:
    """RFC 7517 §5; ``max-age`` is how long a key is published before it may sign."""
    process: Process = request.app.state.process
    # A set that was read too long ago is better than none, for a verifier that asks now: no rotation waits for it.
    headers = NO_STORE if process.key_ring.is_old else _cacheable(process)
    return JSONBytes(process.key_ring.jwks, headers=headers)


async def authorize(_: Request) -> Response:
    """RFC 6749 §3.1, for a server that no user comes to. Whoever asks is told; nobody is redirected anywhere."""
    raise UnsupportedResponseType


def document(issuer: str, scopes: tuple[str, ...]) -> dict[str, Any]:
    """Return the metadata of RFC 8414 §2 that apply to a server of this one grant."""
    return {
        "issuer": issuer,
        # §2 asks for none without a grant that uses it; clients written for users as well do not read metadata
        # without one (ADR 0022).
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        # §2: required, and empty where the authorization endpoint grants nothing.
        "response_types_supported": [],
        # §2: left out, it would mean authorization_code and implicit.
        "grant_types_supported": list(SUPPORTED_GRANT_TYPES),
        "token_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
        "scopes_supported": list(scopes),
        # The page belongs to the service, not to the issuer's path.
        "service_documentation": urljoin(issuer, "/docs"),
    }


def _cacheable(process: Process) -> dict[str, str]:
    return {"Cache-Control": f"public, max-age={process.settings.jwks_max_age_seconds}"}
