"""What the admin API publishes about itself as a protected resource (RFC 9728 §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth_service.administration.admin_api import SCOPES, admin_audience
from steelcut.service.http.asgi import JSONBytes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from auth_service.state import Process

_CACHEABLE = {"Cache-Control": "public, max-age=3600"}


async def admin_resource_metadata(request: Request) -> Response:
    """RFC 9728 §3.2."""
    process: Process = request.app.state.process
    issuer = process.settings.issuer
    document = {
        "resource": admin_audience(issuer),
        "resource_name": "Steelcut admin API",
        "authorization_servers": [issuer],
        "scopes_supported": list(SCOPES),
        "bearer_methods_supported": ["header"],
    }
    return JSONBytes(document, headers=_CACHEABLE)
