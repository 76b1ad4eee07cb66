"""Who got which token and who was refused why: written in batches, never awaited by a request.

Administrative changes are another matter: their events are written with the change, in ``administration.audit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import orjson
from cachetools import TTLCache

from auth_service.queries import audit as queries
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.telemetry.counting import Durations

if TYPE_CHECKING:
    from auth_service.grants import Grant
    from auth_service.queries.audit import Transaction
    from steelcut.service.database.postgres import Connection, Database
    from steelcut.service.telemetry.logs import Logger

# What a kill -9 may lose of issuance: at most this much, and the moment that the writing takes.
FLUSH_SECONDS = 0.1
# How often a database that did not take them is tried again: each time there is a line in the log.
RETRY_SECONDS = 0.5
# While the database is away events wait here; beyond that they are counted and dropped, for the memory's sake.
MAX_WAITING = 100_000
MAX_BATCH = 10_000
# Rows are sent by so many at a time: between two of them, requests are answered.
MAX_COPIED = 500
# How long the end of the process waits for a database that is too slow or away, before a last try.
LAST_SECONDS = 1.5
LAST_PAUSE_SECONDS = 0.25
# After so long PostgreSQL gives a batch up whose connection was lost: it would hold its locks for hours.
IDLE_SECONDS = 5
# A secret or scope in steady use is noted again after so long; its first use is noted with the next batch.
USAGE_SECONDS = 60.0
# Two of each client, and no more clients than the registry keeps by default.
USAGE_KEYS = 20_000


class TokenEvent(NamedTuple):
    """One decision of the token endpoint; ``at`` is Unix time in seconds.

    Under ``trace_id`` the answer and the log line can be found; ``address`` is where the request came from. A tuple:
    one is made for every token.
    """

    at: float
    action: str
    client_id: str
    outcome: str
    reason: str
    trace_id: str
    address: str
    secret_id: str = ""
    grant: Grant | None = None
    token_id: str = ""


def _row(event: TokenEvent, at: datetime) -> tuple[Any, ...]:
    """Return the event as the columns of ``queries.TOKEN_EVENT_COLUMNS``."""
    after = None
    if event.grant is not None:
        content = {
            "scopes": event.grant.scopes,
            "audience": event.grant.audience,
            "lifetime_seconds": event.grant.lifetime_seconds,
            "secret_id": event.secret_id,
            "token_id": event.token_id,
        }
        after = orjson.dumps(content).decode()
    return (
        at,
        f"client:{event.client_id}" if event.client_id else "unknown",
        event.action,
        "client",
        event.client_id,
        event.outcome,
        event.reason,
        after,
        event.trace_id,
        event.address,
    )


# What a token was issued for, and by which secret: the ids of client and secret, resources and scopes. A bare tuple,
# which is made for each token.
_Use = tuple[str, str, tuple[str, ...], tuple[str, ...]]
_Uses = dict[_Use, tuple[datetime, str]]


class _Batch(NamedTuple):
    """The first ``size`` of what waits, with the uses until then, in one transaction.

    ``noted`` is what is noted of the uses.
    """

    size: int
    used: _Uses
    noted: frozenset[tuple[str, ...]]
    transaction: Transaction


class AuditTrail:
    """Collects events and writes them behind the requests' backs."""

    def __init__(self, database: Database, log: Logger) -> None:
        """Write to ``database``; ``log`` is told when that does not work."""
        self._database = database
        self._log = log
        # As rows at once: they hold nothing that the garbage collector would have to follow, again and again.
        self._waiting: list[tuple[Any, ...]] = []
        # The latest use of each kind, from which address. Bounded as the events are.
        self._used: _Uses = {}
        # Sent, and nobody knows whether it is written: the database did not say so in time.
        self._in_doubt: _Batch | None = None
        self._dropped = 0
        # Two flushes at once would write a batch twice, and then drop as many that nobody wrote.
        self._flushing = asyncio.Lock()
        self._noted: TTLCache[tuple[str, ...], None] = TTLCache(USAGE_KEYS, USAGE_SECONDS)
        self.written = self.dropped = 0
        # Of each batch.
        self.write_seconds = Durations()

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return len(self._waiting)

    def lag(self, now: float) -> float:
        """Return for how long the oldest of them has waited, in seconds, at the Unix time ``now``."""
        oldest = next(iter(self._waiting), None)
        return 0.0 if oldest is None else max(0.0, now - oldest[0].timestamp())

    def add(self, event: TokenEvent) -> None:
        """Take an event: no await, no query."""
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            self.dropped += 1
            return
        at = datetime.fromtimestamp(event.at, UTC)
        self._waiting.append(_row(event, at))
        grant = event.grant
        if grant is not None:
            use = (event.client_id, event.secret_id, grant.resources, grant.scopes)
            self._used[use] = (at, event.address)

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write every ``FLUSH_SECONDS`` for as long as the block lasts, and what is left at its end."""
        ended = asyncio.Event()
        task = asyncio.create_task(self._write_on(ended))
        try:
            yield
        finally:
            # Not cancelled: a batch that is broken off may have been written all the same, and would be written twice.
            ended.set()
            await task
            await self._write_the_rest()

    async def flush(self) -> bool:
        """Write what waits, and say whether it was written. When the database is away it goes on waiting."""
        async with self._flushing:
            return await self._flush()

    async def _flush(self) -> bool:
        # What comes meanwhile waits for the next time: a busy service would write without a pause, a few at once.
        left = len(self._waiting)
        while left > 0:
            began = time.perf_counter()
            try:
                batch = await self._doubtful() or await self._write(self._waiting[: min(left, MAX_BATCH)])
            except (TemporarilyUnavailable, asyncpg.PostgresError) as error:
                self._log.warning(
                    "audit events wait", waiting=len(self._waiting), reason=type(error).__name__
                )
                return False
            # Only now: a flush that fails has lost nothing.
            del self._waiting[: batch.size]
            self.written += batch.size
            self.write_seconds.add(time.perf_counter() - began)
            self._used = {use: seen for use, seen in self._used.items() if batch.used.get(use) != seen}
            self._noted.update(dict.fromkeys(batch.noted))
            left -= batch.size
        if self._dropped:
            self._log.error(
                "audit events were dropped: too many waited for the database", dropped=self._dropped
            )
            self._dropped = 0
        return True

    async def _doubtful(self) -> _Batch | None:
        """Return the batch whose end nobody knew, if it is written after all; None when it is to be written again.

        Raises ``TemporarilyUnavailable`` while the database itself does not know.
        """
        batch = self._in_doubt
        if batch is None:
            return None
        async with self._database.connection() as connection:
            fate = await queries.fate_of(connection, batch.transaction)
        if fate == "in progress":
            raise TemporarilyUnavailable("database: a batch of audit events is being written")
        self._in_doubt = None
        return batch if fate == "committed" else None

    async def _write(self, rows: Sequence[tuple[Any, ...]]) -> _Batch:
        async with self._database.connection() as connection, connection.transaction():
            transaction = await queries.begun(connection, IDLE_SECONDS)
            used = dict(self._used)
            for start in range(0, len(rows), MAX_COPIED):
                await queries.copy_token_events(connection, rows[start : start + MAX_COPIED])
            noted = await self._note_usage(connection, used)
            batch = _Batch(len(rows), used, noted, transaction)
            # The commit may take longer than is waited for, and be one all the same.
            self._in_doubt = batch
        self._in_doubt = None
        return batch

    async def _write_on(self, ended: asyncio.Event) -> None:
        pause = FLUSH_SECONDS
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), pause)
            pause = FLUSH_SECONDS if await self.flush() else RETRY_SECONDS

    async def _write_the_rest(self) -> None:
        end = time.monotonic() + LAST_SECONDS
        await self.flush()
        while self._waiting and time.monotonic() < end:
            await asyncio.sleep(LAST_PAUSE_SECONDS)
            await self.flush()
        if not self._waiting:
            return
        self._log.error("audit events are lost: the database did not take them", lost=len(self._waiting))

    async def _note_usage(self, connection: Connection, used: _Uses) -> frozenset[tuple[str, ...]]:
        """Note what is news, and return it."""
        secrets: dict[tuple[str, str], tuple[datetime, str]] = {}
        grants: dict[tuple[str, str, str], datetime] = {}
        for (client_id, secret_id, resources, scopes), (at, address) in used.items():
            if self._is_news("secret", client_id, secret_id):
                secrets[client_id, secret_id] = (at, address)
            for resource in resources:
                for scope in scopes:
                    if self._is_news("grant", client_id, resource, scope):
                        grants[client_id, resource, scope] = at
        await queries.upsert_usage(connection, secrets, grants)
        return frozenset([*(("secret", *key) for key in secrets), *(("grant", *key) for key in grants)])

    def _is_news(self, *key: str) -> bool:
        return key not in self._noted
