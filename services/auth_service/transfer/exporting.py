"""Everything that is registered, as lines of the neutral format."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from auth_service.administration.audit import record
from auth_service.queries import transfer as queries
from auth_service.transfer import json_lines

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from steelcut.service.database.postgres import Connection


async def export(connection: Connection, actor: Actor, write: Callable[[bytes], object]) -> tuple[int, int]:
    """Hand every line to ``write`` and return how many resources and clients they were, all of one moment.

    The lines hold the hashes of all secrets: whoever reads them may guess at the slow ones. So an audit event says
    who took them, and it is written before the last line could be.
    """
    async with connection.transaction(isolation="repeatable_read"):
        await record(connection, actor, "client.export", "client", "*")
        write(orjson.dumps(json_lines.HEADER) + b"\n")
        resources = await queries.resources(connection)
        for resource in resources:
            write(orjson.dumps(json_lines.resource_document(resource)) + b"\n")
        clients = 0
        async for client in queries.every_client(connection):
            write(orjson.dumps(json_lines.client_document(client)) + b"\n")
            clients += 1
    return len(resources), clients
