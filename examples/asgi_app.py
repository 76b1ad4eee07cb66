"""An ASGI application without any framework, guarded as a whole by a middleware.

Start it with ``uvicorn --app-dir examples asgi_app:app --port 8002``.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from steelcut import Claims, Guard, GuardMiddleware

Message = MutableMapping[str, Any]


async def status(
    scope: Message, _: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Say who is calling."""
    if scope["type"] != "http":
        raise RuntimeError("this application speaks HTTP only")
    claims: Claims = scope["state"]["claims"]
    body = json.dumps({"client": claims.client_id, "scopes": sorted(claims.scopes)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


guard = Guard(
    os.environ.get("STEELCUT_ISSUER", "http://127.0.0.1:8000"),
    audience=os.environ.get("STATUS_AUDIENCE", "http://127.0.0.1:8002/status"),
)
app = GuardMiddleware(status, guard, scopes=["read"])
