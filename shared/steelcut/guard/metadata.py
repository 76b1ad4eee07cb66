"""The metadata of a guarded resource, as it is served (RFC 9728 §3)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from steelcut.guard.core import Guard

# Public by its purpose, so any page may read it and any cache may keep it.
HEADERS: Final = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=300",
    "Access-Control-Allow-Origin": "*",
}


def path(guard: Guard) -> str | None:
    """Return the path at which the metadata of ``guard`` is served, decoded as in ASGI's scope, None if it is not."""
    url = guard.metadata_url
    return None if url is None else unquote(urlsplit(url).path) or "/"


def body(guard: Guard) -> bytes:
    """Return the metadata of ``guard`` as it is sent."""
    return json.dumps(guard.metadata()).encode()


def route(guard: Guard) -> Route:
    """Return the route of the metadata of ``guard``. Raises ``ValueError`` when it has no URL."""
    from starlette.responses import Response  # noqa: PLC0415 - Starlette is not needed before
    from starlette.routing import Route  # noqa: PLC0415

    place = path(guard)
    if place is None:
        raise ValueError("the audience is no URL, so the guard needs to be told its resource_metadata")
    content = body(guard)

    async def protected_resource_metadata(_request: Request) -> Response:
        return Response(content, headers=HEADERS)

    found = Route("/", protected_resource_metadata, methods=["GET"])
    # Not given to Starlette, to which braces are parameters.
    found.path = found.path_format = place
    found.path_regex = re.compile(rf"{re.escape(place)}\Z")
    return found
