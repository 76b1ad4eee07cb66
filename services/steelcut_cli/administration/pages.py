"""Lists that are read page by page and shown whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from auth_service.administration.paging import Page

PAGE: Final = 1000

Row = TypeVar("Row")


async def every(page: Callable[[str | None], Awaitable[Page[Row]]]) -> list[Row]:
    """Return the rows of all pages; ``page`` gives the one at a cursor, the first at None."""
    found = await page(None)
    rows = found.rows
    while found.next_cursor is not None:
        found = await page(found.next_cursor)
        rows = rows + found.rows
    return rows
