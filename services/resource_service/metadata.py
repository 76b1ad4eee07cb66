"""What the resource server publishes about each resource (RFC 9728)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from resource_service import queries
from resource_service.document_endpoint import READ_SCOPE
from resource_service.errors import NotFound
from resource_service.names import NAME, RESERVED
from resource_service.publishing_endpoint import WRITE_SCOPE
from steelcut.discovery import PROTECTED_RESOURCE, well_known
from steelcut.service.http.asgi import JSONBytes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from resource_service.settings import ResourceSettings
    from resource_service.state import Process

MAX_AGE_SECONDS: Final = 300


def metadata_path(settings: ResourceSettings) -> str:
    """Return the path of the metadata of all resources, with ``{resource}`` in it (RFC 9728 §3.1)."""
    return urlsplit(well_known(settings.base_url, PROTECTED_RESOURCE)).path + "/{resource}"


async def protected_resource_metadata(request: Request) -> Response:
    """RFC 9728 §3.2; told to anybody, as discovery must be."""
    process: Process = request.app.state.process
    resource = request.path_params["resource"]
    if resource in RESERVED or not NAME.fullmatch(resource):
        raise NotFound("no resource can have this name")
    async with process.database.connection() as connection:
        if not await queries.resource_exists(connection, resource):
            raise NotFound("no document lies under this name")
    headers = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}"}
    return JSONBytes(document(process.settings, resource), headers=headers)


def document(settings: ResourceSettings, resource: str) -> dict[str, Any]:
    """Return the metadata of RFC 9728 §2; ``resource`` is what a token for it has in its ``aud``."""
    return {
        "resource": settings.identifier(resource),
        "authorization_servers": [settings.issuer],
        "scopes_supported": [READ_SCOPE]
        if settings.publisher_database_url is None
        else [READ_SCOPE, WRITE_SCOPE],
        # §2: the header alone; RFC 6750's form and query methods are not looked at.
        "bearer_methods_supported": ["header"],
        "resource_name": resource,
        "resource_documentation": f"{settings.base_url}/docs",
    }
