"""Points in time and spans of time as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from steelcut_cli.errors import Misuse

NEVER: Final = "never"
MOMENT_HELP: Final = "as 90d or 12h from now, 2031-12-31, or 2031-12-31T12:00Z (UTC unless said otherwise)"
PAST_HELP: Final = "as 90d or 12h ago, 2031-12-31, or 2031-12-31T12:00Z (UTC unless said otherwise)"
_SPAN = re.compile(r"(\d{1,9})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta:
    """Return the time that ``90s``, ``45m``, ``24h``, ``7d`` or ``2w`` stand for. Raises :class:`Misuse`."""
    found = _SPAN.fullmatch(text)
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(seconds=int(text))
    except (ValueError, OverflowError):
        raise Misuse("A span of time is a number and a unit: 90s, 45m, 24h, 7d or 2w.") from None


def past(text: str | None) -> datetime | None:
    """Return a point in time as ``moment`` does, but a span counts back from now. Raises :class:`Misuse`."""
    if text is not None and _SPAN.fullmatch(text):
        try:
            return datetime.now(UTC) - span(text)
        except OverflowError:
            raise Misuse("Nothing was written so long ago.") from None
    return moment(text, PAST_HELP)


def moment(text: str | None, help_text: str = MOMENT_HELP) -> datetime | None:
    """Return a point in time: a span from now, a date, or a date with a time; None for ``never`` and for None.

    Raises :class:`Misuse`.
    """
    if text is None or text == NEVER:
        return None
    try:
        if _SPAN.fullmatch(text):
            return datetime.now(UTC) + span(text)
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Misuse(f"Not a point in time; give it {help_text}.") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
