"""``/audit-events``: who did what and when, and who got a token or was refused."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from auth_service.admin.audit_content import AuditEventPage, AuditEventShown
from auth_service.admin.calls import CurrentCall
from auth_service.admin.fields import FIRST_PAGE, Cursor, Limit, Moment
from auth_service.admin.openapi import documented
from auth_service.admin.replies import Reply, next_page
from auth_service.admin.routing import admin_router, needs
from auth_service.administration.admin_api import AUDIT_READ
from auth_service.administration.audit_search import search_events
from auth_service.queries.audit_reading import EventFilter

router = admin_router()


@router.get(
    "/audit-events",
    summary="Search the audit log",
    response_model=AuditEventPage,
    responses=documented(),
    openapi_extra=needs(AUDIT_READ),
)
async def search_audit_events(  # noqa: PLR0913, PLR0917 - what can be asked for, by name
    call: CurrentCall,
    client: Annotated[str | None, Query(description="Client id: what it did and what was done to it")] = None,
    actor: Annotated[str | None, Query(description="Who did it", examples=["client:billing"])] = None,
    action: Annotated[
        str | None, Query(description="What was done; a `*` at the end stands for any", examples=["secret.*"])
    ] = None,
    object_type: Annotated[
        str | None, Query(description="What it was done to", examples=["client", "resource", "key"])
    ] = None,
    object_id: Annotated[str | None, Query(description="Its client id, name or kid")] = None,
    outcome: Annotated[
        str | None, Query(description="`done`, `issued`, or the error that was answered")
    ] = None,
    trace_id: Annotated[str | None, Query(description="X-Trace-Id of an answer")] = None,
    since: Annotated[Moment | None, Query(description="First moment")] = None,
    until: Annotated[Moment | None, Query(description="End, which is not included")] = None,
    limit: Limit = FIRST_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Newest first, in pages; what is written meanwhile shifts nothing."""
    wanted = EventFilter(
        actor=actor,
        action=action,
        object_type=object_type,
        object_id=object_id,
        client_id=client,
        outcome=outcome,
        trace_id=trace_id,
        since=since,
        until=until,
    )
    async with call.connection() as connection:
        page = await search_events(connection, wanted, limit=limit, cursor=cursor)
    events = [AuditEventShown.model_validate(row) for row in page.rows]
    shown = AuditEventPage(items=events, next_cursor=page.next_cursor)
    return Reply.of(shown).response(**next_page(call.request, page.next_cursor))
