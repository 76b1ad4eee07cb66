"""``/clients``: who may ask for tokens, and for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import Body, Query, Response

from auth_service.admin import policy
from auth_service.admin.calls import Call, CurrentCall
from auth_service.admin.client_content import (
    Client,
    ClientPage,
    ClientPatch,
    CreatedClient,
    NewClientContent,
)
from auth_service.admin.fields import FIRST_PAGE, Cursor, Limit
from auth_service.admin.idempotency import once
from auth_service.admin.merge_patch import merged
from auth_service.admin.openapi import CREATED, DELETED, IDEMPOTENT, IF_MATCH, PATCHED, TAGGED, documented
from auth_service.admin.replies import Reply, next_page, no_content
from auth_service.admin.request_body import MERGE_PATCH
from auth_service.admin.routing import admin_router, needs
from auth_service.administration import clients as administration
from auth_service.administration.admin_api import CLIENTS_READ, CLIENTS_WRITE
from auth_service.administration.clients import ClientChanges, ClientState

if TYPE_CHECKING:
    from auth_service.queries.clients import ClientRow
    from steelcut.service.database.postgres import Connection

router = admin_router()


@router.get(
    "/clients",
    summary="List clients",
    response_model=ClientPage,
    responses=documented(),
    openapi_extra=needs(CLIENTS_READ),
)
async def list_clients(
    call: CurrentCall,
    search: Annotated[str | None, Query(description="Text in id, name or metadata")] = None,
    resource: Annotated[str | None, Query(description="Short name of a resource that was granted")] = None,
    state: Annotated[ClientState | None, Query(description="State of the client")] = None,
    limit: Limit = FIRST_PAGE,
    cursor: Cursor = None,
) -> Response:
    """By id, in pages; what is added or taken away meanwhile shifts nothing."""
    async with call.connection() as connection:
        page = await administration.list_clients(
            connection, text=search, resource=resource, state=state, limit=limit, cursor=cursor
        )
    shown = ClientPage(items=[Client.model_validate(row) for row in page.rows], next_cursor=page.next_cursor)
    return Reply.of(shown).response(**next_page(call.request, page.next_cursor))


@router.post(
    "/clients",
    summary="Create a client",
    status_code=201,
    response_model=CreatedClient,
    responses=documented(409, good=CREATED),
    openapi_extra=needs(CLIENTS_WRITE) | IDEMPOTENT,
)
async def create_client(call: CurrentCall, content: NewClientContent) -> Response:
    """With its first secret, which is shown here and never again. Scopes of this API are given by who has them."""
    policy.check_grants(content.grants, call.scopes)

    async def create(connection: Connection) -> Reply:
        new = await administration.create_client(
            connection,
            call.actor,
            content.name,
            content.grants,
            **content.model_dump(exclude={"name", "grants"}),
        )
        shown = CreatedClient(**Client.model_validate(new.client).model_dump(), client_secret=new.secret)
        location = call.path("clients", new.client.client_id)
        return Reply.of(shown, 201, version=new.client.version, location=location)

    return await once(call, content, create)


@router.get(
    "/clients/{client_id}",
    summary="Show a client",
    response_model=Client,
    responses=documented(404, good=TAGGED),
    openapi_extra=needs(CLIENTS_READ),
)
async def show_client(call: CurrentCall, client_id: str) -> Response:
    """With its ETag, which a change must bring back in If-Match."""
    async with call.connection() as connection:
        return _shown(await administration.show_client(connection, client_id))


@router.patch(
    "/clients/{client_id}",
    summary="Change a client",
    response_model=Client,
    responses=documented(404, good=PATCHED),
    openapi_extra=needs(CLIENTS_WRITE) | IF_MATCH,
)
async def update_client(
    call: CurrentCall, client_id: str, patch: Annotated[ClientPatch, Body(media_type=MERGE_PATCH)]
) -> Response:
    """By a JSON Merge Patch (RFC 7396): what is not named stays as it is. Replicas follow within a second."""
    expected = call.if_match(required=True)
    wanted = patch.model_dump(exclude_unset=True)
    async with call.transaction() as connection:
        known = await administration.show_client(connection, client_id)
        resources = {*known.grants, *wanted.get("grants", ())}
        held = await policy.hold_target(
            connection, client_id, call.scopes, expected_version=expected, resources=resources
        )
        changes = _changes(held, wanted)
        if "grants" in changes:
            policy.check_grants(changes["grants"], call.scopes)
        # The version was looked at, and nobody else can make another one until the end.
        return _shown(await administration.update_client(connection, call.actor, client_id, changes))


@router.post(
    "/clients/{client_id}/disable",
    summary="Disable a client",
    response_model=Client,
    responses=documented(404, 412, good=TAGGED),
    openapi_extra=needs(CLIENTS_WRITE) | IF_MATCH,
)
async def disable_client(call: CurrentCall, client_id: str) -> Response:
    """Give it no more tokens, on any replica, within a second. Those that it has live to their end."""
    return await _switched(call, client_id, administration.disable_client)


@router.post(
    "/clients/{client_id}/enable",
    summary="Enable a client",
    response_model=Client,
    responses=documented(404, 412, good=TAGGED),
    openapi_extra=needs(CLIENTS_WRITE) | IF_MATCH,
)
async def enable_client(call: CurrentCall, client_id: str) -> Response:
    """Let it have tokens again, by the secrets that it had."""
    return await _switched(call, client_id, administration.enable_client)


@router.delete(
    "/clients/{client_id}",
    summary="Delete a client",
    status_code=204,
    response_model=None,
    responses=documented(404, 412, good=DELETED),
    openapi_extra=needs(CLIENTS_WRITE) | IF_MATCH,
)
async def delete_client(call: CurrentCall, client_id: str) -> Response:
    """With its grants and secrets, for good; the audit log keeps what it was."""
    expected = call.if_match()
    async with call.transaction() as connection:
        await policy.hold_target(connection, client_id, call.scopes, expected_version=expected)
        await administration.delete_client(connection, call.actor, client_id)
    return no_content()


async def _switched(call: Call, client_id: str, switch: Any) -> Response:
    expected = call.if_match()
    async with call.transaction() as connection:
        await policy.hold_target(connection, client_id, call.scopes, expected_version=expected)
        return _shown(await switch(connection, call.actor, client_id))


def _changes(client: ClientRow, patch: dict[str, Any]) -> ClientChanges:
    known = {"grants": client.grants, "metadata": client.metadata}
    changes = dict(patch)
    for name in known.keys() & patch.keys():
        changes[name] = merged(known[name], patch[name]) if patch[name] is not None else {}
    return cast("ClientChanges", changes)


def _shown(client: ClientRow) -> Response:
    return Reply.of(Client.model_validate(client), version=client.version).response()
