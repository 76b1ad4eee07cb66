"""Who asks for tokens that it still has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class WastefulClient:
    """A client that got ``early`` of ``tokens`` while one alike had more than half its life left.

    ``tokens_per_lifetime`` is how many it got in the life of one, at the pace of the time between first and last.
    """

    client_id: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    tokens: int
    early: int
    lifetime_seconds: int
    tokens_per_lifetime: float


_WASTEFUL = """
    WITH issued AS (
        SELECT object_id AS client_id, at, after->'audience' AS audience, after->'scopes' AS scopes,
               (after->>'lifetime_seconds')::integer AS lifetime,
               lag(at + make_interval(secs => (after->>'lifetime_seconds')::integer / 2.0)) OVER (
                   PARTITION BY object_id, after->'audience', after->'scopes' ORDER BY at
               ) AS half_over
          FROM audit_events
         WHERE at > $1 AND action = 'token.issue' AND after IS NOT NULL
    )
    SELECT client_id, audience::text AS audience, scopes::text AS scopes, count(*) AS tokens,
           count(*) FILTER (WHERE at < half_over) AS early, max(lifetime) AS lifetime_seconds,
           round(count(*) / greatest(1, extract(epoch FROM max(at) - min(at)) / max(lifetime)), 1)::float8
               AS tokens_per_lifetime
      FROM issued
     GROUP BY client_id, issued.audience, issued.scopes
    HAVING count(*) FILTER (WHERE at < half_over) > 0
     ORDER BY early DESC, client_id
     LIMIT $2
"""


async def wasteful_clients(connection: Connection, since: datetime, limit: int) -> list[WastefulClient]:
    """Read who wasted most since then, by the audit log; one row for each client, audience and scopes."""
    rows = await connection.fetch(_WASTEFUL, since, limit)
    return [
        WastefulClient(**{**row, "audience": _texts(row["audience"]), "scopes": _texts(row["scopes"])})
        for row in rows
    ]


def _texts(json: str) -> tuple[str, ...]:
    value = orjson.loads(json)
    return (value,) if isinstance(value, str) else tuple(value)
