"""``/resources``: what there is to call, the scopes that belong to it, and who may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Body, Response

from auth_service.admin import policy
from auth_service.admin.calls import CurrentCall
from auth_service.admin.fields import FIRST_PAGE, Cursor, Force, Limit
from auth_service.admin.idempotency import once
from auth_service.admin.openapi import CREATED, DELETED, IDEMPOTENT, IF_MATCH, PATCHED, TAGGED, documented
from auth_service.admin.replies import Reply, next_page, no_content
from auth_service.admin.request_body import MERGE_PATCH
from auth_service.admin.resource_content import (
    CallerPage,
    NewResourceContent,
    Resource,
    ResourceCaller,
    ResourcePatch,
    Resources,
)
from auth_service.admin.routing import admin_router, needs
from auth_service.administration import resources as administration
from auth_service.administration.admin_api import CLIENTS_READ, RESOURCES_WRITE

if TYPE_CHECKING:
    from auth_service.queries.resources import ResourceRow
    from steelcut.service.database.postgres import Connection

router = admin_router()


@router.get(
    "/resources",
    summary="List resources",
    response_model=Resources,
    responses=documented(),
    openapi_extra=needs(CLIENTS_READ, RESOURCES_WRITE),
)
async def list_resources(call: CurrentCall) -> Response:
    """All of them, by name, with their scopes."""
    async with call.connection() as connection:
        rows = await administration.list_resources(connection)
    return Reply.of(Resources(items=[Resource.model_validate(row) for row in rows])).response()


@router.post(
    "/resources",
    summary="Create a resource",
    status_code=201,
    response_model=Resource,
    responses=documented(409, good=CREATED),
    openapi_extra=needs(RESOURCES_WRITE) | IDEMPOTENT,
)
async def create_resource(call: CurrentCall, content: NewResourceContent) -> Response:
    """Its resource server must know itself by the same identifier."""

    async def create(connection: Connection) -> Reply:
        row = await administration.create_resource(connection, call.actor, **content.model_dump())
        shown = Resource.model_validate(row)
        return Reply.of(shown, 201, version=row.version, location=call.path("resources", row.name))

    return await once(call, content, create)


@router.get(
    "/resources/{name}",
    summary="Show a resource",
    response_model=Resource,
    responses=documented(404, good=TAGGED),
    openapi_extra=needs(CLIENTS_READ, RESOURCES_WRITE),
)
async def show_resource(call: CurrentCall, name: str) -> Response:
    """With its ETag, which a change must bring back in If-Match."""
    async with call.connection() as connection:
        return _shown(await administration.show_resource(connection, name))


@router.get(
    "/resources/{name}/clients",
    summary="List who can call a resource",
    response_model=CallerPage,
    responses=documented(404),
    openapi_extra=needs(CLIENTS_READ, RESOURCES_WRITE),
)
async def list_callers(
    call: CurrentCall, name: str, limit: Limit = FIRST_PAGE, cursor: Cursor = None
) -> Response:
    """With which scopes, and when each was last in a token; by client id, in pages."""
    async with call.connection() as connection:
        page = await administration.list_callers(connection, name, cursor=cursor, limit=limit)
    items = [ResourceCaller.model_validate(row) for row in page.rows]
    reply = Reply.of(CallerPage(items=items, next_cursor=page.next_cursor))
    return reply.response(**next_page(call.request, page.next_cursor))


@router.patch(
    "/resources/{name}",
    summary="Change a resource",
    response_model=Resource,
    responses=documented(404, 409, good=PATCHED),
    openapi_extra=needs(RESOURCES_WRITE) | IF_MATCH,
)
async def update_resource(
    call: CurrentCall,
    name: str,
    patch: Annotated[ResourcePatch, Body(media_type=MERGE_PATCH)],
    *,
    force: Force = False,
) -> Response:
    """By a JSON Merge Patch. A scope that was granted goes only with `force`, and then from all who have it."""
    policy.check_resource(name)
    expected = call.if_match(required=True)
    changes: Any = patch.model_dump(exclude_unset=True)
    if changes.get("default_scopes", ()) is None:
        changes["default_scopes"] = []
    async with call.transaction() as connection:
        row = await administration.update_resource(
            connection, call.actor, name, changes, expected_version=expected, force=force
        )
    return _shown(row)


@router.delete(
    "/resources/{name}",
    summary="Delete a resource",
    status_code=204,
    response_model=None,
    responses=documented(404, 409, 412, good=DELETED),
    openapi_extra=needs(RESOURCES_WRITE) | IF_MATCH,
)
async def delete_resource(call: CurrentCall, name: str, *, force: Force = False) -> Response:
    """While it is granted to clients only with `force`, and then it is taken from them."""
    policy.check_resource(name)
    expected = call.if_match()
    async with call.transaction() as connection:
        await administration.delete_resource(
            connection, call.actor, name, expected_version=expected, force=force
        )
    return no_content()


def _shown(row: ResourceRow) -> Response:
    return Reply.of(Resource.model_validate(row), version=row.version).response()
