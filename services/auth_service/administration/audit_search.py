"""The audit log as those see it who ask what happened, or who follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from auth_service.administration.errors import Invalid
from auth_service.administration.limits import check_moment
from auth_service.administration.paging import DEFAULT_PAGE, Page, check_page_size, key_of, page_of
from auth_service.queries import audit_reading as queries
from auth_service.queries.audit_reading import EventFilter

if TYPE_CHECKING:
    from auth_service.queries.audit_reading import AuditEvent
    from steelcut.service.database.postgres import Connection

_PREFETCH = 500


async def search_events(
    connection: Connection,
    wanted: EventFilter | None = None,
    *,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE,
) -> Page[AuditEvent]:
    """Return a page of the events that are ``wanted``, newest first. Raises ``Invalid``."""
    wanted = wanted or EventFilter()
    check_page_size(limit)
    _check(wanted)
    before = None if cursor is None else _place_of(cursor)
    rows = await queries.events(connection, wanted, before, limit + 1)
    return page_of(rows, limit, lambda event: (event.at.isoformat(), str(event.event_id)))


class Follower:
    """Reads the log as it is written: each event once, also one that is committed long after its time.

    ``position`` says what was read; it outlives the process that has it. A position is of one database server: after
    a restore elsewhere, follow anew.
    """

    def __init__(self, position: str) -> None:
        """Go on from ``position``; ``begin`` gives one."""
        self.position = position

    @classmethod
    async def begin(cls, connection: Connection, lines: int) -> tuple[Follower, list[AuditEvent]]:
        """Begin here and now, after the last ``lines`` events, which are returned, oldest first."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            follower = cls(await queries.snapshot(connection))
            last = await queries.events(connection, EventFilter(), None, lines) if lines else []
        return follower, last[::-1]

    @classmethod
    async def resume(cls, connection: Connection, position: str) -> Follower:
        """Go on where another follower ended. Raises ``Invalid`` for what is no position."""
        printable = position.isascii() and position.isprintable()
        if not printable or not await queries.is_snapshot(connection, position):
            raise Invalid("This is no position in the audit log.")
        return cls(position)

    async def news(self, connection: Connection) -> AsyncIterator[AuditEvent]:
        """Give what was committed since, by its time; ``position`` moves on when all of it was taken."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            following = await queries.snapshot(connection)
            if following != self.position:
                async for event in queries.written_since(connection, self.position, _PREFETCH):
                    yield event
        self.position = following


def _check(wanted: EventFilter) -> None:
    for name in ("actor", "action", "object_type", "object_id", "client_id", "outcome", "trace_id"):
        if "\x00" in (getattr(wanted, name) or ""):
            raise Invalid("No event holds a NUL character.")
    for moment in (wanted.since, wanted.until):
        if moment is not None:
            check_moment(moment, "The moment")


def _place_of(cursor: str) -> tuple[datetime, UUID]:
    at, event_id = key_of(cursor, 2)
    try:
        place = datetime.fromisoformat(at), UUID(event_id)
        check_moment(place[0], "The moment")
    except (ValueError, Invalid):
        raise Invalid("This cursor is of no list: take it from the page before.") from None
    return place
