"""Clients as the token endpoint sees them: a bounded cache, with a short age, over one query.

A client that is not at hand is read together with the others that are missed in the same turn of the event loop: a busy
service asks the database once for many of them, and whoever comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from auth_service.queries import token as queries
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.aged_cache import AgedCache
from steelcut.service.database.postgres import PATIENCE_SECONDS, REQUEST_SECONDS
from steelcut.service.telemetry.counting import Durations

if TYPE_CHECKING:
    from auth_service.clients import Client
    from steelcut.service.database.postgres import Database


# So many clients are asked for by one statement, which has its time: more of them are several statements.
MOST_AT_ONCE: Final = 100
# Beyond so many who wait for the database, each is told at once to come again.
MOST_WAITING: Final = 1000


class _Wanted(NamedTuple):
    """A client that is to be read, and who waits for it."""

    client_id: str
    found: asyncio.Future[Client | None]


class Registry:
    """Known clients, fresh for ``max_age_seconds`` and at most ``size`` of them (the least used leave).

    While the database is away they are known for ``stale_seconds`` more. Only clients that exist are kept, so a flood
    of invented ids cannot push real ones out.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_age_seconds: float,
        stale_seconds: float,
        size: int,
        monotonic: Callable[[], float],
    ) -> None:
        """Read from ``database``; ``monotonic`` is the clock of the ages, in seconds."""
        self._database = database
        self._clients: AgedCache[str, Client] = AgedCache(
            size, fresh_seconds=max_age_seconds, stale_seconds=stale_seconds, monotonic=monotonic
        )
        self._changes = 0
        self._wanted: list[_Wanted] = []
        self._waiting = 0
        self._reading: set[asyncio.Task[None]] = set()
        # Of each statement that read clients.
        self.read_seconds = Durations()

    @property
    def clients(self) -> AgedCache[str, Client]:
        """The cache, for whoever counts."""
        return self._clients

    @property
    def waiting(self) -> int:
        """How many wait for a client to be read."""
        return self._waiting

    def cached(self, client_id: str) -> Client | None:
        """Return the client if it was read recently: no await, no query."""
        return self._clients.fresh(client_id)

    def known(self, client_id: str) -> Client | None:
        """Return the client as it was last read, which may be longer ago."""
        return self._clients.known(client_id)

    async def load_or_keep(self, known: Client) -> tuple[Client | None, bool]:
        """Read a known client afresh, or go on with it, which is said, while the database is away or too slow.

        Raises ``TemporarilyUnavailable`` when it was heard meanwhile that the client was changed.
        """
        if not self._database.is_away():
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await self.load(known.client_id), False
            except TimeoutError:
                self._database.note_away()
            except TemporarilyUnavailable:
                pass
        latest = self._clients.known(known.client_id)
        if latest is None:
            raise TemporarilyUnavailable("database: a client that was changed cannot be read")
        return latest, True

    async def load(self, client_id: str) -> Client | None:
        """Read the client afresh by one query, None when there is none of that id.

        Raises ``TemporarilyUnavailable`` when the database does not answer, or too many wait for it.
        """
        if self._waiting >= MOST_WAITING:
            raise TemporarilyUnavailable("too many wait for the database")
        loop = asyncio.get_running_loop()
        if not self._wanted:
            loop.call_soon(self._read_wanted)
        found: asyncio.Future[Client | None] = loop.create_future()
        self._wanted.append(_Wanted(client_id, found))
        self._waiting += 1
        try:
            return await found
        finally:
            self._waiting -= 1

    def _read_wanted(self) -> None:
        wanted, self._wanted = self._wanted, []
        for start in range(0, len(wanted), MOST_AT_ONCE):
            reading = asyncio.create_task(self._read(wanted[start : start + MOST_AT_ONCE]))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _read(self, wanted: Sequence[_Wanted]) -> None:
        changes = self._changes
        try:
            with self.read_seconds.timing():
                async with self._database.connection(within=REQUEST_SECONDS) as connection:
                    clients = await queries.clients_by_id(connection, list({one.client_id for one in wanted}))
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is theirs who wait
            for _, found in wanted:
                if not found.done():
                    found.set_exception(fault)
            return
        for client_id, found in wanted:
            client = clients.get(client_id)
            if client is None:
                self._clients.forget(client_id)
            elif changes == self._changes:
                # Not after a change was heard of meanwhile: what was read may be from before it.
                self._clients.put(client_id, client)
            # Whoever went away meanwhile has cancelled it.
            if not found.done():
                found.set_result(client)

    def forget(self, client_id: str) -> None:
        """Read this client again at its next request: it was changed."""
        self._changes += 1
        self._clients.forget(client_id)

    def forget_all(self) -> None:
        """Read every client again: something was changed that many share."""
        self._changes += 1
        self._clients.forget_all()

    def missed(self) -> None:
        """Read every client again as soon as that can be: a notification may be missing."""
        self._changes += 1
        self._clients.doubt_all()
