"""A connection to one of the hosts that a database URL names (PostgreSQL manual, "Specifying Multiple Hosts").

asyncpg reads such a URL and tries the hosts in order, but under one timeout for all: a host that was switched off
answers nothing, uses all of it up, and the one behind it is never asked. Here each has a head start on the next one, as
the addresses of a host have in RFC 8305 §5: then a host that is gone costs a quarter of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, parse_qsl, urlencode

import asyncpg

from steelcut.service.database_urls import one_by_one

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]

# What says "not there, or not now": another host may be, or the same one in a moment.
NOT_THERE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,
)
# So long a host is waited for before the next one is asked, too.
HEAD_START_SECONDS: Final = 0.25
# As libpq has it: a standby if there is one, else whatever there is.
_PREFER_STANDBY: Final = "prefer-standby"
# How many statements a connection keeps prepared: 0 behind a pooler that gives each transaction another connection.
_CACHE_SIZE: Final = "statement_cache_size"


async def connect_to_one(
    url: str,
    *,
    timeout: float,  # noqa: ASYNC109 - of all attempts; the pool names it so
    target_session_attrs: str | None = None,
    **options: Any,
) -> _Connection:
    """Connect to the first host of ``url`` that answers and is of the kind that is asked for.

    ``timeout``, in seconds, is divided evenly among the hosts; while one is silent the next is asked beside it.
    ``target_session_attrs`` comes before the one in the URL, whose ``statement_cache_size`` is the one of
    ``asyncpg.connect``, as ``options`` are. Raises what that raises; of ``NOT_THERE`` that of the last host.
    """
    url, own = _own_options(url)
    options |= own
    kinds: tuple[str | None, ...] = (target_session_attrs or _kind_of(url),)
    if kinds == (_PREFER_STANDBY,):
        kinds = ("standby", "any")
    hosts = one_by_one(url)
    options["timeout"] = timeout / (len(kinds) * len(hosts))
    for kind in kinds[:-1]:
        with contextlib.suppress(*NOT_THERE):
            return await _first_that_serves(hosts, target_session_attrs=kind, **options)
    return await _first_that_serves(hosts, target_session_attrs=kinds[-1], **options)


async def _first_that_serves(urls: Sequence[str], **options: Any) -> _Connection:
    if len(urls) == 1:
        return await asyncpg.connect(urls[0], **options)
    left = list(urls)
    attempts: list[asyncio.Task[_Connection]] = []
    serving: asyncio.Task[_Connection] | None = None
    try:
        while serving is None and (left or not all(attempt.done() for attempt in attempts)):
            if left:
                attempts.append(asyncio.create_task(asyncpg.connect(left.pop(0), **options)))
            done, _ = await asyncio.wait(
                [attempt for attempt in attempts if not attempt.done()],
                timeout=HEAD_START_SECONDS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            # One that failed otherwise than by not being there settles it too.
            settled = (attempt for attempt in attempts if attempt in done and not _is_not_there(attempt))
            serving = next(settled, None)
        return (serving or attempts[-1]).result()
    finally:
        for attempt in attempts:
            if attempt is not serving:
                attempt.cancel()
                attempt.add_done_callback(_drop)


def _is_not_there(attempt: asyncio.Task[_Connection]) -> bool:
    return isinstance(attempt.exception(), NOT_THERE)


def _drop(attempt: asyncio.Task[_Connection]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


def _own_options(url: str) -> tuple[str, dict[str, Any]]:
    """Take from the query what is an argument of asyncpg's, which it would send to PostgreSQL as a setting.

    Raises ``ValueError`` where the size is no number.
    """
    place, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    sizes = [value for name, value in pairs if name == _CACHE_SIZE]
    if not sizes:
        return url, {}
    rest = urlencode([(name, value) for name, value in pairs if name != _CACHE_SIZE])
    return f"{place}?{rest}" if rest else place, {_CACHE_SIZE: int(sizes[-1])}


def _kind_of(url: str) -> str | None:
    return parse_qs(url.partition("?")[2]).get("target_session_attrs", [None])[-1]
