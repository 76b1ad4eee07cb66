"""Whether a client that calls the admin API may do so still."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


async def standing_scopes(
    connection: Connection, client_id: str, resource: str, identifier: str, created_before: datetime
) -> frozenset[str] | None:
    """Read the scopes of a resource that a client has at this moment.

    None when there is no active client of that id that was created before that moment, or no such resource.
    """
    row = await connection.fetchrow(
        "SELECT ARRAY(SELECT scope FROM client_grants g"
        "              WHERE g.client_id = c.client_id AND g.resource_id = r.resource_id) AS scopes"
        "  FROM clients c, resources r"
        " WHERE c.client_id = $1 AND c.enabled AND (c.expires_at IS NULL OR c.expires_at > now())"
        "   AND c.created_at < $4 AND r.name = $2 AND r.identifier = $3",
        client_id,
        resource,
        identifier,
        created_before,
    )
    return None if row is None else frozenset(row["scopes"])
