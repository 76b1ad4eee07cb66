"""``/keys``: signing keys through their life. Each transition is guarded by time, see docs/keys.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Response

from auth_service.admin.calls import CurrentCall
from auth_service.admin.fields import Force
from auth_service.admin.idempotency import once
from auth_service.admin.key_content import Key, KeyRotation, Keys, NewKeyContent, RevocationShown
from auth_service.admin.openapi import CREATED_INSIDE, IDEMPOTENT, REPEATED, documented
from auth_service.admin.replies import Reply
from auth_service.admin.routing import admin_router, needs
from auth_service.administration import keys as administration
from auth_service.administration.admin_api import CLIENTS_READ, KEYS_WRITE

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection

router = admin_router()


@router.get(
    "/keys",
    summary="List signing keys",
    response_model=Keys,
    responses=documented(),
    openapi_extra=needs(CLIENTS_READ, KEYS_WRITE),
)
async def list_keys(call: CurrentCall) -> Response:
    """Oldest first, each with its next step and when that is due."""
    async with call.connection() as connection:
        keys = await administration.list_keys(connection, call.process.settings.key_timing)
    return Reply.of(Keys(items=[Key.model_validate(key) for key in keys])).response()


@router.get(
    "/keys/{kid}",
    summary="Show a signing key",
    response_model=Key,
    responses=documented(404),
    openapi_extra=needs(CLIENTS_READ, KEYS_WRITE),
)
async def show_key(call: CurrentCall, kid: str) -> Response:
    """With its next step and when that is due."""
    async with call.connection() as connection:
        key = await administration.show_key(connection, kid, call.process.settings.key_timing)
    return Reply.of(Key.model_validate(key)).response()


@router.post(
    "/keys",
    summary="Create a signing key",
    status_code=201,
    response_model=Key,
    responses=documented(409, good=CREATED_INSIDE),
    openapi_extra=needs(KEYS_WRITE) | IDEMPOTENT,
)
async def create_key(call: CurrentCall, content: NewKeyContent | None = None) -> Response:
    """Publish it at once, pending: it signs after its promotion. The first key of all is active at once."""
    wanted, settings = content or NewKeyContent(), call.process.settings

    async def create(connection: Connection) -> Reply:
        key = await administration.create_key(
            connection,
            call.actor,
            call.process.master_key,
            wanted.algorithm or settings.signing_algorithm,
            settings.key_timing,
        )
        return Reply.of(Key.model_validate(key), 201, location=call.path("keys", key.kid))

    return await once(call, wanted, create)


@router.post(
    "/keys/rotate",
    summary="Rotate the signing key",
    response_model=KeyRotation,
    responses=documented(409, good=REPEATED),
    openapi_extra=needs(KEYS_WRITE) | IDEMPOTENT,
)
async def rotate_keys(call: CurrentCall, content: NewKeyContent | None = None) -> Response:
    """Do the steps that are due, and begin a rotation where none is under way. Ask again when the next is due."""
    wanted, settings = content or NewKeyContent(), call.process.settings

    async def rotate(connection: Connection) -> Reply:
        rotation = await administration.rotate_keys(
            connection,
            call.actor,
            call.process.master_key,
            wanted.algorithm or settings.signing_algorithm,
            settings.key_timing,
        )
        return Reply.of(KeyRotation.model_validate(rotation))

    return await once(call, wanted, rotate)


@router.post(
    "/keys/{kid}/promote",
    summary="Let a pending key sign",
    response_model=Key,
    responses=documented(404, 409),
    openapi_extra=needs(KEYS_WRITE),
)
async def promote_key(call: CurrentCall, kid: str, *, force: Force = False) -> Response:
    """In the place of the active one. Too early while a verifier may hold a key set without it, but for `force`."""
    async with call.transaction() as connection:
        timing = call.process.settings.key_timing
        key = await administration.promote_key(connection, call.actor, kid, timing, force=force)
    return Reply.of(Key.model_validate(key)).response()


@router.post(
    "/keys/{kid}/retire",
    summary="Retire a key that signs no more",
    response_model=Key,
    responses=documented(404, 409),
    openapi_extra=needs(KEYS_WRITE),
)
async def retire_key(call: CurrentCall, kid: str) -> Response:
    """Take it out of the key set and destroy its private part. Too early while a token of it may live."""
    async with call.transaction() as connection:
        key = await administration.retire_key(connection, call.actor, kid, call.process.settings.key_timing)
    return Reply.of(Key.model_validate(key)).response()


@router.post(
    "/keys/{kid}/revoke",
    summary="Revoke a key",
    response_model=RevocationShown,
    responses=documented(404, 409),
    openapi_extra=needs(KEYS_WRITE),
)
async def revoke_key(call: CurrentCall, kid: str, *, force: Force = False) -> Response:
    """Drop it from the key set at once. `force` is for a compromise: its tokens are refused, and another key signs.

    After that the token of this request may be refused too.
    """
    settings = call.process.settings
    async with call.transaction() as connection:
        revocation = await administration.revoke_key(
            connection,
            call.actor,
            kid,
            call.process.master_key,
            settings.signing_algorithm,
            settings.key_timing,
            force=force,
        )
    return Reply.of(RevocationShown.model_validate(revocation)).response()
