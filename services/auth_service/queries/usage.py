"""Who has what they do not use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from auth_service.queries.clients import REPORT_SECONDS, STATE

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class UnusedClient:
    """A client that got no token lately; ``last_used_at`` is None when it never got one."""

    client_id: str
    name: str
    state: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnusedGrant:
    """A scope that a client was granted and got no token for lately; None when it never did."""

    client_id: str
    resource: str
    scope: str
    granted_at: datetime
    last_used_at: datetime | None


_CLIENTS = f"""
    SELECT c.client_id, c.name, {STATE} AS state, c.created_at, u.last_used_at
      FROM clients c
      LEFT JOIN LATERAL (
        SELECT max(last_used_at) AS last_used_at
          FROM (SELECT last_used_at FROM secret_usage WHERE client_id = c.client_id
                UNION ALL SELECT last_used_at FROM grant_usage WHERE client_id = c.client_id) used
      ) u ON true
     WHERE c.client_id > $2 AND greatest(c.created_at, u.last_used_at) < now() - make_interval(days => $1)
     ORDER BY c.client_id
     LIMIT $3
"""
_GRANTS = """
    SELECT g.client_id, r.name AS resource, g.scope, g.granted_at, u.last_used_at
      FROM client_grants g
      JOIN resources r USING (resource_id)
      LEFT JOIN grant_usage u ON u.client_id = g.client_id AND u.resource = r.name AND u.scope = g.scope
     WHERE (g.client_id, r.name, g.scope COLLATE "C") > ($2, $3, $4)
       AND greatest(g.granted_at, u.last_used_at) < now() - make_interval(days => $1)
     ORDER BY g.client_id, r.name, g.scope COLLATE "C"
     LIMIT $5
"""


async def unused_clients(connection: Connection, days: int, after: str, limit: int) -> list[UnusedClient]:
    """Read the clients without a token for ``days``, by id from the one after ``after`` on."""
    rows = await connection.fetch(_CLIENTS, days, after, limit, timeout=REPORT_SECONDS)
    return [UnusedClient(**row) for row in rows]


async def unused_grants(
    connection: Connection, days: int, after: tuple[str, ...], limit: int
) -> list[UnusedGrant]:
    """Read the granted scopes without a token for ``days``, by client, resource and scope after ``after``."""
    rows = await connection.fetch(_GRANTS, days, *after, limit, timeout=REPORT_SECONDS)
    return [UnusedGrant(**row) for row in rows]
