"""The least-privilege report: what was given and is not used.

A token without a ``scope`` of its own carries the client's default scopes, or all that it was granted (RFC 6749
§3.3), and counts as a use of each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth_service.administration.errors import Invalid
from auth_service.administration.paging import DEFAULT_PAGE, Page, check_page_size, key_of, page_of
from auth_service.queries import usage as queries

if TYPE_CHECKING:
    from auth_service.queries.usage import UnusedClient, UnusedGrant
    from steelcut.service.database.postgres import Connection

DEFAULT_DAYS = 90
MAX_DAYS = 3650


async def unused_clients(
    connection: Connection, *, days: int = DEFAULT_DAYS, cursor: str | None = None, limit: int = DEFAULT_PAGE
) -> Page[UnusedClient]:
    """Return the clients that have existed, and got no token, for ``days``. Raises ``Invalid``."""
    _check(days, limit)
    (after,) = key_of(cursor, 1) if cursor is not None else ("",)
    rows = await queries.unused_clients(connection, days, after, limit + 1)
    return page_of(rows, limit, lambda client: (client.client_id,))


async def unused_grants(
    connection: Connection, *, days: int = DEFAULT_DAYS, cursor: str | None = None, limit: int = DEFAULT_PAGE
) -> Page[UnusedGrant]:
    """Return the scopes that were granted, and that no token had, for ``days``. Raises ``Invalid``."""
    _check(days, limit)
    after = key_of(cursor, 3) if cursor is not None else ("", "", "")
    rows = await queries.unused_grants(connection, days, after, limit + 1)
    return page_of(rows, limit, lambda grant: (grant.client_id, grant.resource, grant.scope))


def _check(days: int, limit: int) -> None:
    check_page_size(limit)
    if not 1 <= days <= MAX_DAYS:
        raise Invalid(f"Give 1 to {MAX_DAYS} days.")
