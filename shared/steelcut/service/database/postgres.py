"""PostgreSQL for a service: a pool whose faults are answers, not tracebacks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import asyncpg
import stamina

from steelcut.errors import TemporarilyUnavailable
from steelcut.service.database.connecting import explain, places
from steelcut.service.database.hosts import NOT_THERE, connect_to_one
from steelcut.service.refusal import Hindered, Refusal

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection

# A request waits this long for a connection, and this long for a statement, before it becomes a 503.
ACQUIRE_SECONDS = 2.0
STATEMENT_SECONDS = 2.0
# A request that reads waits so long for all of it.
REQUEST_SECONDS = 1.8
# So long, where there is an older answer to fall back upon.
PATIENCE_SECONDS = 0.25
# After a fault the database is taken for away so long, by who has such an answer.
AWAY_SECONDS = 0.5

# What says "the database is not there", as against "the statement is wrong".
_FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InternalClientError,
)

_OWNS_TABLES = """
    SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        OR EXISTS (
            SELECT FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
              AND pg_has_role(current_user, relowner, 'MEMBER')
        )
"""


class _PoolConnection(_Connection):
    """A connection whose end is asked for in vain for a bounded time, and is no fault of anybody's."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as asyncpg has it
        """Say farewell, or cut it when that is not heard."""
        with contextlib.suppress(*_FAULTS):
            await super().close(timeout=STATEMENT_SECONDS if timeout is None else timeout)


class Database:
    """An asyncpg pool under the rules of a service."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Use ``open``, which makes the pool."""
        self._pool = pool
        self._away_until = -math.inf
        self._answered_at = time.monotonic()
        # How often it did not answer, or not in time.
        self.faults = 0

    @property
    def lent(self) -> int:
        """How many connections somebody has now."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @property
    def idle(self) -> int:
        """How many connections wait for somebody."""
        return self._pool.get_idle_size()

    @property
    def most(self) -> int:
        """How many connections there may be."""
        return self._pool.get_max_size()

    @property
    def answered_at(self) -> float:
        """When it last answered, as Unix time in seconds."""
        return time.time() - (time.monotonic() - self._answered_at)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        application: str,
        pool_size: int,
        wait_seconds: float,
        role: str = "run-time role",
    ) -> Self:
        """Connect, waiting up to ``wait_seconds`` for a server that is not there yet.

        Raises ``Refusal`` when it does not come, refuses the credentials, or would let this process run with
        the rights of the owner of the tables.
        """
        pool: asyncpg.Pool[asyncpg.Record] | None = None
        try:
            async for attempt in stamina.retry_context(
                on=NOT_THERE, attempts=None, timeout=wait_seconds, wait_initial=0.1, wait_max=1.0
            ):
                with attempt:
                    pool = await _make_pool(url, application, pool_size)
        except asyncpg.TargetServerAttributeNotMatched:
            raise Refusal(
                f"No host in the database URL of the {application} was what its target_session_attrs asks for within"
                f" {wait_seconds:g} seconds: name the primary too, or promote a standby."
            ) from None
        except asyncpg.TooManyConnectionsError:
            raise Refusal(
                f"PostgreSQL had no connection left for the {application} within {wait_seconds:g} seconds: lower the"
                " pool sizes, or raise max_connections or the CONNECTION LIMIT of the role or database."
            ) from None
        except NOT_THERE as error:
            raise Refusal(
                explain(error, url, f"the database URL of the {application}")
                or f"PostgreSQL did not answer within {wait_seconds:g} seconds at {places(url)}: check that it runs"
                f" and that the database URL of the {application} names its host and port."
            ) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise Refusal(_explain(error, url, application)) from None
        assert pool is not None  # noqa: S101 - the last attempt gave it or raised
        database = cls(pool)
        try:
            await database._refuse_owner(application, role)
        except TemporarilyUnavailable:
            await database.close()
            raise Refusal("PostgreSQL went away during the start: start again when it is back.") from None
        except BaseException:
            await database.close()
            raise
        return database

    def is_away(self) -> bool:
        """Say whether it did not answer a moment ago. To ask it all the same is how one learns that it is back."""
        return time.monotonic() < self._away_until

    def note_away(self) -> None:
        """Take it for away, for a moment: it did not answer, or was too slow."""
        self._away_until = time.monotonic() + AWAY_SECONDS

    @asynccontextmanager
    async def connection(self, *, within: float | None = None) -> AsyncIterator[Connection]:
        """Lend a connection for one or few statements, all of which must end ``within`` so many seconds.

        Raises ``TemporarilyUnavailable`` when PostgreSQL is gone, overloaded or too slow.
        """
        try:
            async with asyncio.timeout(within), self._lent() as connection:
                yield connection
            self._answered_at = time.monotonic()
        except (TemporarilyUnavailable, *_FAULTS) as fault:
            self.faults += 1
            if within is not None:
                # Not for what is done behind the requests: a full disk hinders who writes, and no reader.
                self.note_away()
                if isinstance(fault, TimeoutError):
                    # The way to it may be lost, and then the idle connections lead nowhere too, which nobody tells:
                    # new ones, before one request after the other has waited for one of them in vain.
                    await self._pool.expire_connections()
            if isinstance(fault, TemporarilyUnavailable):
                raise
            raise TemporarilyUnavailable(f"database: {type(fault).__name__}") from fault

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        except (*_FAULTS, asyncpg.PostgresError) as fault:
            # Whatever keeps us from connecting is an outage; after that only some errors are.
            raise TemporarilyUnavailable(f"database: {type(fault).__name__}") from fault
        try:
            yield connection
        except (asyncio.CancelledError, TimeoutError):
            # Given back, it would be waited for until the server has heard that the statement was broken off.
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)

    async def check(self, stale_seconds: float = 0) -> str | None:
        """Return None when the database answers, else what to tell a prober.

        ``stale_seconds`` is for how long the service goes on by what it knows.
        """
        try:
            async with self.connection(within=REQUEST_SECONDS) as connection:
                await connection.execute("SELECT")
        except TemporarilyUnavailable:
            if time.monotonic() - self._answered_at < stale_seconds:
                return Hindered("the database does not answer: what is known is served, and nothing else")
            return "the database does not answer"
        return None

    async def close(self) -> None:
        """Give the connections back, or cut them when they do not come back within two seconds."""
        try:
            await asyncio.wait_for(self._pool.close(), STATEMENT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def _refuse_owner(self, application: str, role: str) -> None:
        async with self.connection() as connection:
            if await connection.fetchval(_OWNS_TABLES):
                raise Refusal(
                    f"The {application} would run as the owner of its tables: give it the {role}'s database URL, "
                    "which `steelcut db upgrade` makes."
                )


async def _make_pool(url: str, application: str, size: int) -> asyncpg.Pool[asyncpg.Record]:
    # The stubs want all parameters of asyncpg.connect by name.
    connect: Any = connect_to_one
    # A fresh pool per attempt: one whose first connection failed takes itself for ready when awaited again.
    pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        connect=connect,
        connection_class=_PoolConnection,
        timeout=ACQUIRE_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        server_settings={"application_name": application},
        # The service changes no session state, so asyncpg's RESET round trip per release buys nothing.
        reset=_keep_session,
    )
    return pool


async def _keep_session(connection: object) -> None:
    """Stand in for asyncpg's reset between two uses of a connection."""


def _explain(error: Exception, url: str, application: str) -> str:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return f"PostgreSQL refuses the role or password in the database URL of the {application}."
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return (
            f"The database that the URL of the {application} names does not exist: run `steelcut db upgrade`."
        )
    what = f"the database URL of the {application}"
    return explain(error, url, what) or f"T{what[1:]} cannot be used ({type(error).__name__})."
