"""A connection to one of the hosts that a database URL names (PostgreSQL manual, "Specifying Multiple Hosts").

asyncpg reads such a URL and tries the hosts in order, but under one timeout for all: a host that was switched off
answers nothing, uses all of it up, and the one behind it is never asked.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

# What says "not there, or not now": another host may be, or the same one in a moment.
NOT_THERE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)
# As libpq has it: a standby if there is one, else whatever there is.
_PREFER_STANDBY: Final = "prefer-standby"


async def connect_to_one(
    url: str,
    *,
    timeout: float,  # noqa: ASYNC109 - of all attempts; the pool names it so
    target_session_attrs: str | None = None,
    **options: Any,
) -> asyncpg.Connection[asyncpg.Record]:
    """Connect to the first host of ``url`` that answers and is of the kind that is asked for.

    ``timeout``, in seconds, is divided evenly among the hosts. ``target_session_attrs`` comes before the one in the
    URL; ``options`` are those of ``asyncpg.connect``. Raises what that raises; of ``NOT_THERE`` that of the last host.
    """
    kinds: tuple[str | None, ...] = (target_session_attrs or _kind_of(url),)
    if kinds == (_PREFER_STANDBY,):
        kinds = ("standby", "any")
    attempts = [(one, kind) for kind in kinds for one in one_by_one(url)]
    options["timeout"] = timeout / len(attempts)
    for one, kind in attempts[:-1]:
        with contextlib.suppress(*NOT_THERE):
            return await asyncpg.connect(one, **options, **_asking_for(kind))
    one, kind = attempts[-1]
    return await asyncpg.connect(one, **options, **_asking_for(kind))


def one_by_one(url: str) -> list[str]:
    """Return the URL of each host of ``url``, in order."""
    place = urlsplit(url).netloc
    credentials, at, hosts = place.rpartition("@")
    return [url.replace(f"//{place}", f"//{credentials}{at}{host}", 1) for host in hosts.split(",")]


def _kind_of(url: str) -> str | None:
    return parse_qs(urlsplit(url).query).get("target_session_attrs", [None])[-1]


def _asking_for(kind: str | None) -> dict[str, Any]:
    return {"target_session_attrs": kind}
