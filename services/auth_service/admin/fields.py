"""The members that requests and answers are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from auth_service.administration.limits import MAX_LIFETIME_SECONDS
from auth_service.administration.paging import DEFAULT_PAGE, MAX_PAGE

_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _moment(value: Any) -> Any:
    """Return a moment in UTC. Anything but RFC 3339 §5.6 could be understood in two ways."""
    if not isinstance(value, str):
        # Left to pydantic, which takes a datetime and None.
        return value
    if _RFC_3339.fullmatch(value) is None:
        raise ValueError("a moment with its time zone, as in 2031-12-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such moment") from None


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    Field(description="RFC 3339, with a time zone", examples=["2031-12-31T12:00:00Z"]),
]
Grants = Annotated[
    dict[str, list[str]],
    Field(description="Scopes by short names of resources", examples=[{"api_v0.0.1": ["read"]}]),
]
LifetimeSeconds = Annotated[
    int,
    Field(ge=1, le=MAX_LIFETIME_SECONDS, description="Longest life of a token, in seconds", examples=[600]),
]

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="So many at most")]
Cursor = Annotated[
    str | None, Query(description="`next_cursor` of the page before; without it, the first page")
]
Force = Annotated[bool, Query(description="Do it although somebody may notice")]
FIRST_PAGE: Final = DEFAULT_PAGE


class Content(BaseModel):
    """What a request brings: no member that is not known, and no text for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shown(BaseModel):
    """What an answer shows, read from a row."""

    model_config = ConfigDict(from_attributes=True)


def patch_schema(example: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return what makes the schema of a merge patch true: what is left out stays as it is, and is no default."""

    def amend(schema: dict[str, Any]) -> None:
        for member in schema["properties"].values():
            member.pop("default", None)
        schema["examples"] = [example]

    return amend
