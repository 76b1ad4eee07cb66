"""``/clients/{client_id}/secrets``: several at once, so that one is exchanged while the other still works."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import Body, Response

from auth_service.admin.calls import CurrentCall
from auth_service.admin.fields import Force
from auth_service.admin.idempotency import once
from auth_service.admin.openapi import CREATED_INSIDE, DELETED, IDEMPOTENT, MERGED, documented
from auth_service.admin.policy import hold_target
from auth_service.admin.replies import Reply, no_content
from auth_service.admin.request_body import MERGE_PATCH
from auth_service.admin.routing import admin_router, needs
from auth_service.admin.secret_content import (
    AddedSecretShown,
    NewSecretContent,
    OwnRotationContent,
    RotationContent,
    RotationShown,
    Secret,
    SecretPatch,
    Secrets,
)
from auth_service.administration import secrets as administration
from auth_service.administration.admin_api import CLIENTS_READ, ROTATE_OWN, SECRETS_WRITE

if TYPE_CHECKING:
    from auth_service.admin.calls import Call
    from auth_service.administration.secrets import AddedSecret, RotatedSecret
    from steelcut.service.database.postgres import Connection

router = admin_router()

SECRETS = "/clients/{client_id}/secrets"


@router.get(
    SECRETS,
    summary="List a client's secrets",
    response_model=Secrets,
    responses=documented(404),
    openapi_extra=needs(CLIENTS_READ),
)
async def list_secrets(call: CurrentCall, client_id: str) -> Response:
    """Oldest first, without values, with when and from where each last got a token."""
    async with call.connection() as connection:
        rows = await administration.list_secrets(connection, client_id)
    return Reply.of(Secrets(items=[Secret.model_validate(row) for row in rows])).response()


@router.post(
    SECRETS,
    summary="Add a secret",
    status_code=201,
    response_model=AddedSecretShown,
    responses=documented(404, 409, good=CREATED_INSIDE),
    openapi_extra=needs(SECRETS_WRITE) | IDEMPOTENT,
)
async def add_secret(call: CurrentCall, client_id: str, content: NewSecretContent | None = None) -> Response:
    """Make it work at once, on every replica, beside the others; its value is shown here and never again."""
    wanted = content or NewSecretContent()

    async def add(connection: Connection) -> Reply:
        added = await administration.add_secret(
            connection, call.actor, client_id, label=wanted.label, expires_at=wanted.expires_at
        )
        return _created(call, added)

    return await once(call, wanted, add, lambda connection: hold_target(connection, client_id, call.scopes))


@router.post(
    SECRETS + "/rotate",
    summary="Rotate a client's secret",
    status_code=201,
    response_model=RotationShown,
    responses=documented(404, 409, good=CREATED_INSIDE),
    openapi_extra=needs(SECRETS_WRITE) | IDEMPOTENT,
)
async def rotate_secret(
    call: CurrentCall, client_id: str, content: RotationContent | None = None
) -> Response:
    """Give it a new secret; the live ones, or the one that it replaces, end after the overlap."""
    wanted = content or RotationContent()

    async def rotate(connection: Connection) -> Reply:
        rotated = await administration.rotate_secret(
            connection,
            call.actor,
            client_id,
            overlap=timedelta(seconds=wanted.overlap_seconds),
            replaces=wanted.replaces,
            label=wanted.label,
            expires_at=wanted.expires_at,
        )
        return _rotated(call, rotated)

    return await once(
        call, wanted, rotate, lambda connection: hold_target(connection, client_id, call.scopes)
    )


@router.patch(
    SECRETS + "/{secret_id}",
    summary="Let a secret end",
    response_model=Secret,
    responses=documented(404, 409, good=MERGED),
    openapi_extra=needs(SECRETS_WRITE),
)
async def expire_secret(
    call: CurrentCall,
    client_id: str,
    secret_id: str,
    patch: Annotated[SecretPatch, Body(media_type=MERGE_PATCH)],
) -> Response:
    """At a moment, or never. One that has ended is not brought back. The end is all there is to change: no If-Match."""
    async with call.transaction() as connection:
        await hold_target(connection, client_id, call.scopes)
        row = await administration.expire_secret(
            connection, call.actor, client_id, secret_id, patch.expires_at
        )
    return Reply.of(Secret.model_validate(row)).response()


@router.delete(
    SECRETS + "/{secret_id}",
    summary="Delete a secret",
    status_code=204,
    response_model=None,
    responses=documented(404, 409, good=DELETED),
    openapi_extra=needs(SECRETS_WRITE),
)
async def revoke_secret(
    call: CurrentCall, client_id: str, secret_id: str, *, force: Force = False
) -> Response:
    """Whoever has it gets no more tokens by it. One that is in use only with `force`."""
    async with call.transaction() as connection:
        await hold_target(connection, client_id, call.scopes)
        await administration.revoke_secret(connection, call.actor, client_id, secret_id, force=force)
    return no_content()


@router.post(
    "/own-secret/rotate",
    summary="Rotate the secret of the client that calls",
    status_code=201,
    response_model=RotationShown,
    responses=documented(409, good=CREATED_INSIDE),
    openapi_extra=needs(ROTATE_OWN) | IDEMPOTENT,
)
async def rotate_own_secret(call: CurrentCall, content: OwnRotationContent | None = None) -> Response:
    """By a token of its own; the new secret lives as long as the one that it replaces was meant to."""
    wanted = content or OwnRotationContent()

    async def rotate(connection: Connection) -> Reply:
        rotated = await administration.rotate_own_secret(
            connection,
            call.actor,
            call.client_id,
            overlap=timedelta(seconds=wanted.overlap_seconds),
            replaces=wanted.replaces,
            label=wanted.label,
        )
        return _rotated(call, rotated)

    # Else a narrow token of a mighty client would become a secret that opens all.
    return await once(
        call, wanted, rotate, lambda connection: hold_target(connection, call.client_id, call.scopes)
    )


def _created(call: Call, added: AddedSecret) -> Reply:
    shown = AddedSecretShown(**Secret.model_validate(added.secret).model_dump(), client_secret=added.value)
    return Reply.of(shown, 201, location=_location(call, added))


def _rotated(call: Call, rotated: RotatedSecret) -> Reply:
    shown = RotationShown(
        **Secret.model_validate(rotated.added.secret).model_dump(),
        client_secret=rotated.added.value,
        replaced=[Secret.model_validate(row) for row in rotated.replaced],
    )
    return Reply.of(shown, 201, location=_location(call, rotated.added))


def _location(call: Call, added: AddedSecret) -> str:
    return call.path("clients", added.secret.client_id, "secrets", added.secret.secret_id)
