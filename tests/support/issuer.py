"""An issuer of a few lines on a real socket, for tests in which the authorization server must misbehave."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from resource_service.app import create_app
from resource_service.settings import ResourceSettings
from steelcut.service.telemetry.logs import make_logger
from tests.support.databases import Databases
from tests.support.system import Log, listen, serving
from tests.support.tokens import IssuerKey, good_claims

if TYPE_CHECKING:
    import socket

    from starlette.types import Receive, Scope, Send

METADATA_PATH = "/.well-known/oauth-authorization-server"
JWKS_PATH = "/keys"


@dataclass
class TinyIssuer:
    """Publishes metadata and keys, counts who asks for the keys, and answers otherwise when told to."""

    listener: socket.socket
    key: IssuerKey = field(default_factory=IssuerKey.generate)
    jwks_requests: int = 0
    instead: Response | None = None

    def __post_init__(self) -> None:
        """Take the address as the issuer's name, also for when nobody listens there any more."""
        self.url = url_of(self.listener)

    def token(self, audience: str, **changes: Any) -> str:
        """Return a good token, or one with changed claims."""
        return self.key.token(good_claims(self.url, audience, **changes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await self._answer(scope["path"])(scope, receive, send)

    def _answer(self, path: str) -> Response:
        if path == METADATA_PATH:
            return JSONResponse({"issuer": self.url, "jwks_uri": self.url + JWKS_PATH})
        if path != JWKS_PATH:
            return Response(status_code=404)
        self.jwks_requests += 1
        return self.instead or JSONResponse({"keys": [self.key.jwk()]})


@dataclass
class Guarded:
    """A resource server that stands alone."""

    base: str
    app: Any
    log: Log


@contextlib.asynccontextmanager
async def resource_service(databases: Databases, issuer: str, **options: Any) -> AsyncIterator[Guarded]:
    """Run a resource server that trusts ``issuer``, in this event loop on a free port."""
    listener, log = listen(), Log()
    base = url_of(listener)
    settings: dict[str, Any] = {
        "issuer": issuer,
        "base_url": base,
        "database_url": databases.resource.runtime,
        "database_wait_seconds": 5,
    }
    app = create_app(
        ResourceSettings(**{**settings, **options}), make_logger("resource_service", "json", log.stream)
    )
    async with serving(app, listener):
        yield Guarded(base, app, log)


def url_of(listener: socket.socket) -> str:
    """Return the address of a bound socket as a URL."""
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
