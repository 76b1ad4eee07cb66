"""A service that knows nothing of tokens: it answers with the request that it got, as it got it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


@dataclass(frozen=True)
class Seen:
    """One request that reached the service; names of headers as an HTTP/1.1 server reads them, in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return what a server sees under ``name`` that knows letters and digits only, as CGI, WSGI and PHP do."""
        return [value for key, value in self.headers if re.sub(r"[^a-z0-9]", "-", key) == name]


@dataclass
class Upstream:
    """The service, and every request that reached it."""

    seen: list[Seen] = field(default_factory=list)

    def take(self) -> Seen:
        """Return the one request that came since the last call."""
        (seen,) = self.seen
        self.seen.clear()
        return seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a header X-Status-Wanted says with which status."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        if scope["path"] != "/healthz":  # asked by who starts this server, not by a proxy
            self.seen.append(Seen(scope["method"], target, headers, body))
        status = int(dict(headers).get("x-status-wanted", "200"))
        await JSONResponse({"served": target}, status)(scope, receive, send)
