"""The admin API as a resource of this server's own, and the clients that may call it.

The first such client is made by the command line: over HTTP nobody can grant what they do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from auth_service.administration.clients import create_client
from auth_service.administration.errors import Conflict, Invalid, NotFound
from auth_service.administration.resources import create_resource, show_resource, update_resource

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from auth_service.administration.clients import NewClient
    from steelcut.service.database.postgres import Connection

ADMIN_RESOURCE: Final = "admin"
ADMIN_PATH: Final = "/admin/v1"

CLIENTS_READ: Final = "clients:read"
CLIENTS_WRITE: Final = "clients:write"
SECRETS_WRITE: Final = "secrets:write"
KEYS_WRITE: Final = "keys:write"
RESOURCES_WRITE: Final = "resources:write"
AUDIT_READ: Final = "audit:read"
ROTATE_OWN: Final = "secrets:rotate-own"

# What each scope of the admin API lets its bearer do.
SCOPES: Final = {
    CLIENTS_READ: "See clients, their secrets without values, resources, keys and what is used",
    CLIENTS_WRITE: "Create, change, disable, enable and delete clients",
    SECRETS_WRITE: "Add, rotate, end and delete the secrets of clients",
    KEYS_WRITE: "See, create, promote, rotate, retire and revoke signing keys",
    RESOURCES_WRITE: "See, create, change and delete resources and their scopes",
    AUDIT_READ: "Search the audit log",
    ROTATE_OWN: "Rotate the secret of the client that calls",
}
# An operator's; a client that rotates its own secret needs no other scope than that.
OPERATOR_SCOPES: Final = tuple(scope for scope in SCOPES if scope != ROTATE_OWN)


def admin_audience(issuer: str) -> str:
    """Return the identifier of the admin API of ``issuer``: the ``aud`` of tokens for it."""
    return issuer + ADMIN_PATH


async def create_admin(
    connection: Connection, actor: Actor, name: str, issuer: str, scopes: Sequence[str] = OPERATOR_SCOPES
) -> NewClient:
    """Register a client that may call the admin API of ``issuer``, and the resource ``admin`` if it is not there.

    Raises ``Invalid``, and ``Conflict`` when there is a resource ``admin`` that is something else.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise Invalid(f"The admin API has no such scope: it has {', '.join(SCOPES)}.")
    async with connection.transaction():
        await _provide_resource(connection, actor, admin_audience(issuer))
        return await create_client(connection, actor, name, {ADMIN_RESOURCE: scopes})


async def _provide_resource(connection: Connection, actor: Actor, identifier: str) -> None:
    try:
        known = await show_resource(connection, ADMIN_RESOURCE)
    except NotFound:
        await create_resource(connection, actor, ADMIN_RESOURCE, identifier, tuple(SCOPES))
        return
    if known.identifier != identifier:
        raise Conflict(
            f"The resource {ADMIN_RESOURCE} has the identifier {known.identifier}, and by AUTH_ISSUER the admin API "
            f"has {identifier}: correct AUTH_ISSUER or, if it was changed, the resource by `steelcut resources update`."
        )
    # One that was made by an earlier version, which had fewer.
    scopes = {*known.scopes, *SCOPES}
    await update_resource(connection, actor, ADMIN_RESOURCE, {"scopes": sorted(scopes)})
