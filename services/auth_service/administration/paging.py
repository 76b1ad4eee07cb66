"""Long lists in pages: a cursor names the last row that was seen, so that what is added meanwhile shifts nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from auth_service.administration.errors import Invalid

DEFAULT_PAGE = 100
MAX_PAGE = 1000

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the cursor by which the next ones are asked for: None when there are no more."""

    rows: list[Row]
    next_cursor: str | None


def check_page_size(limit: int) -> None:
    """Refuse a page that nobody needs. Raises ``Invalid``."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"A page has 1 to {MAX_PAGE} entries.")


def page_of(rows: Sequence[Row], limit: int, key: Callable[[Row], Sequence[str]]) -> Page[Row]:
    """Make a page of ``rows``, of which one more than ``limit`` was asked for; ``key`` is what they are sorted by."""
    shown = list(rows[:limit])
    return Page(shown, cursor_of(key(shown[-1])) if len(rows) > limit else None)


def cursor_of(key: Sequence[str]) -> str:
    """Return ``key`` as opaque text that may stand in a URL."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).rstrip(b"=").decode()


def key_of(cursor: str, parts: int) -> tuple[str, ...]:
    """Return the key behind a cursor. Raises ``Invalid`` for what no list of ours gave out."""
    try:
        key = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        key = None
    if not isinstance(key, list) or len(key) != parts:
        raise Invalid("This cursor is of no list: take it from the page before.")
    for part in key:
        # No row has such a key, and PostgreSQL takes no NUL.
        if not isinstance(part, str) or "\x00" in part:
            raise Invalid("This cursor is of no list: take it from the page before.")
    return tuple(key)
