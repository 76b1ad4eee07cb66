"""Grants: which scopes of which resources a client has.

Locks are taken in one order, resources before clients, so that nobody waits in a circle: whoever grants shares the
resources, whoever changes a resource has it alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from auth_service.administration.audit import record
from auth_service.administration.errors import Invalid
from auth_service.administration.limits import checked_scopes
from auth_service.queries import resources as queries

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from steelcut.service.database.postgres import Connection

RESOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")


async def hold_grants(connection: Connection, grants: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return ``grants`` without repetitions; their resources stay as they are until the transaction's end.

    Raises ``Invalid`` for a resource or scope that does not exist.
    """
    names = [name for name in grants if RESOURCE_NAME.fullmatch(name)]
    shared, known = set[str](), None
    while known is None or not shared.issuperset(known):
        shared = await queries.share_resources(connection, names)
        known = {row.name: row.scopes for row in await queries.resources(connection, names)}
    held = {}
    for resource, scopes in grants.items():
        if resource not in known:
            raise Invalid(f"There is no resource {resource!a}: `steelcut resources list` shows them.")
        held[resource] = sorted(checked_scopes(scopes))
        for scope in held[resource]:
            if scope not in known[resource]:
                raise Invalid(
                    f"The resource {resource} has no scope {scope}: it has {', '.join(known[resource])}."
                )
    return held


async def take_grants(
    connection: Connection, actor: Actor, resource: str, scopes: Sequence[str] | None
) -> None:
    """Take ``scopes`` (None: all) of ``resource`` from all who have them, with an audit event for each client.

    The caller holds the resource's lock.
    """
    await queries.lock_callers(connection, resource)
    taken = await queries.grants_of(connection, resource, scopes)
    held = await queries.grants_of(connection, resource)
    await queries.take_grants(connection, resource, scopes)
    for client_id, gone in taken.items():
        before = held[client_id]
        await record(
            connection,
            actor,
            "client.update",
            "client",
            client_id,
            before={"grants": {resource: before}},
            after={"grants": {resource: [scope for scope in before if scope not in gone]}},
        )


async def take_default(connection: Connection, actor: Actor, resource: str) -> None:
    """Leave nobody with ``resource`` as the default, with an audit event for each client.

    It may be one that is not granted any more. The caller holds the resource's lock.
    """
    before, after = {"default_resource": resource}, {"default_resource": None}
    for client_id in await queries.take_default(connection, resource):
        await record(connection, actor, "client.update", "client", client_id, before=before, after=after)
