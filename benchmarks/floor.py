"""The floor: a bare ASGI application that answers the same bytes as a service, under the same server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson
import uvicorn

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

# Set by the server itself.
_OF_THE_SERVER = {"date", "server"}


def answering(headers: list[tuple[bytes, bytes]], body: bytes) -> object:
    """Return an application that reads each request to its end and answers 200 with these."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


def main() -> None:
    """Serve the answer in the variable FLOOR_ANSWER, JSON of headers and body, on FLOOR_PORT."""
    answer = orjson.loads(os.environ["FLOOR_ANSWER"])
    headers = [
        (name.encode(), value.encode()) for name, value in answer["headers"] if name not in _OF_THE_SERVER
    ]
    uvicorn.run(
        answering(headers, answer["body"].encode()),  # type: ignore[arg-type]
        port=int(os.environ["FLOOR_PORT"]),
        # As steelcut.service.serving has it.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
