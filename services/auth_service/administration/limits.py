"""What names, scopes and lifetimes may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from auth_service.administration.errors import Invalid, PreconditionFailed
from auth_service.grants import SCOPE_TOKEN

MAX_LIFETIME_SECONDS = 86_400
MAX_SCOPE_CHARACTERS = 255
MAX_NAME_CHARACTERS = 200
# asyncpg takes the first moment and the last for infinity, and gives them back without an offset.
_INFINITE = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
MAX_METADATA_BYTES = 8192
# Each level is one more of what wraps it: a list of clients, an event with before and after, an answer that is kept.
MAX_METADATA_LEVELS = 32


def checked_scopes(scopes: Sequence[str]) -> list[str]:
    """Return ``scopes`` without repetitions (RFC 6749 §3.3). Raises ``Invalid``."""
    unique_scopes = list(dict.fromkeys(scopes))
    if not unique_scopes:
        raise Invalid("Name at least one scope.")
    for scope in unique_scopes:
        if SCOPE_TOKEN.fullmatch(scope) is None or len(scope) > MAX_SCOPE_CHARACTERS:
            raise Invalid(
                f"A scope is 1 to {MAX_SCOPE_CHARACTERS} printable ASCII characters without space, quote and backslash."
            )
    return unique_scopes


def check_name(name: str, what: str) -> None:
    """Refuse what a terminal or a log could stumble over. Raises ``Invalid``; ``what`` begins its sentence."""
    if not name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise Invalid(f"{what} is 1 to {MAX_NAME_CHARACTERS} printable characters.")


def check_lifetime(seconds: int | None) -> None:
    """Refuse a token lifetime out of bounds, in seconds. Raises ``Invalid``."""
    if seconds is not None and not 1 <= seconds <= MAX_LIFETIME_SECONDS:
        raise Invalid(f"A token lifetime is 1 to {MAX_LIFETIME_SECONDS} seconds.")


def check_label(label: str) -> None:
    """Refuse a secret's label that a terminal or a log could stumble over; it may be empty. Raises ``Invalid``."""
    if len(label) > MAX_NAME_CHARACTERS or not label.isprintable():
        raise Invalid(f"A label is up to {MAX_NAME_CHARACTERS} printable characters.")


def check_expiry(expires_at: datetime | None, what: str) -> None:
    """Refuse an end that is past already; ``what`` begins the sentence. Raises ``Invalid``."""
    if expires_at is None:
        return
    check_moment(expires_at, what)
    if expires_at <= datetime.now(UTC):
        raise Invalid(f"{what} must lie in the future.")


def check_moment(moment: datetime, what: str) -> None:
    """Refuse a moment without its offset, or that is none in UTC; ``what`` begins the sentence. Raises ``Invalid``."""
    if moment.tzinfo is None:
        raise Invalid(f"{what} needs a time zone, as in 2031-12-31T12:00:00Z.")
    try:
        is_one = moment.astimezone(UTC) not in _INFINITE
    except OverflowError:
        is_one = False
    if not is_one:
        raise Invalid(f"{what} must lie within the years 1 to 9999 of UTC.")


def check_metadata(metadata: object) -> None:
    """Refuse metadata that is not small JSON, or that PostgreSQL cannot hold. Raises ``Invalid``."""
    try:
        size = len(orjson.dumps(metadata))
    except TypeError:  # the base of orjson's own error
        size = 0
    if not size or not isinstance(metadata, Mapping):
        raise Invalid("Metadata is a JSON object.")
    if size > MAX_METADATA_BYTES:
        raise Invalid(f"Metadata is at most {MAX_METADATA_BYTES} bytes of JSON.")
    if _levels(metadata) > MAX_METADATA_LEVELS:
        raise Invalid(f"Metadata has at most {MAX_METADATA_LEVELS} levels of objects and lists.")
    if _holds_nul(metadata):
        raise Invalid("Metadata holds no NUL character.")


def check_version(current: int, expected: int | None) -> None:
    """Refuse a change that was decided on an older state. Raises ``PreconditionFailed``."""
    if expected is not None and expected != current:
        raise PreconditionFailed(
            f"It was changed meanwhile: this is version {current}, not {expected}. Read it again, then decide."
        )


def _levels(value: Any) -> int:
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return 0
    return 1 + max(map(_levels, value), default=0)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Mapping):
        return any(_holds_nul(name) or _holds_nul(member) for name, member in value.items())
    return isinstance(value, list | tuple) and any(_holds_nul(member) for member in value)
