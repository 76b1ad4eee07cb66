"""``/usage``: what is used, and what was given and is not."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from auth_service.admin.calls import CurrentCall
from auth_service.admin.fields import FIRST_PAGE, Cursor, Limit
from auth_service.admin.openapi import documented
from auth_service.admin.replies import Reply, next_page
from auth_service.admin.routing import admin_router, needs
from auth_service.admin.usage_content import (
    Scopes,
    ScopeUse,
    UnusedClientPage,
    UnusedClientShown,
    UnusedGrantPage,
    UnusedGrantShown,
)
from auth_service.administration import usage as administration
from auth_service.administration.admin_api import CLIENTS_READ
from auth_service.administration.resources import list_scopes

router = admin_router()

Days = Annotated[
    int, Query(ge=1, le=administration.MAX_DAYS, description="For how many days; what is younger is left out")
]


@router.get(
    "/usage/scopes",
    summary="List scopes and their use",
    response_model=Scopes,
    responses=documented(404),
    openapi_extra=needs(CLIENTS_READ),
)
async def list_scope_use(
    call: CurrentCall,
    resource: Annotated[str | None, Query(description="Short name; without it, of all resources")] = None,
) -> Response:
    """How many clients have each, and when a token last had it."""
    async with call.connection() as connection:
        scopes = await list_scopes(connection, resource)
    return Reply.of(Scopes(items=[ScopeUse.model_validate(scope) for scope in scopes])).response()


@router.get(
    "/usage/unused-clients",
    summary="List unused clients",
    response_model=UnusedClientPage,
    responses=documented(),
    openapi_extra=needs(CLIENTS_READ),
)
async def list_unused_clients(
    call: CurrentCall,
    days: Days = administration.DEFAULT_DAYS,
    limit: Limit = FIRST_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Those that got no token for so long, by id."""
    async with call.connection() as connection:
        page = await administration.unused_clients(connection, days=days, limit=limit, cursor=cursor)
    clients = [UnusedClientShown.model_validate(row) for row in page.rows]
    shown = UnusedClientPage(items=clients, next_cursor=page.next_cursor)
    return Reply.of(shown).response(**next_page(call.request, page.next_cursor))


@router.get(
    "/usage/unused-grants",
    summary="List unused grants",
    response_model=UnusedGrantPage,
    responses=documented(),
    openapi_extra=needs(CLIENTS_READ),
)
async def list_unused_grants(
    call: CurrentCall,
    days: Days = administration.DEFAULT_DAYS,
    limit: Limit = FIRST_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Scopes that were granted and that no token had for so long: the least-privilege report.

    A client that asks for no scope uses its default scopes, or all that it was granted.
    """
    async with call.connection() as connection:
        page = await administration.unused_grants(connection, days=days, limit=limit, cursor=cursor)
    grants = [UnusedGrantShown.model_validate(row) for row in page.rows]
    shown = UnusedGrantPage(items=grants, next_cursor=page.next_cursor)
    return Reply.of(shown).response(**next_page(call.request, page.next_cursor))
