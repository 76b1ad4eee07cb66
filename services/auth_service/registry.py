"""Clients as the token endpoint sees them: a bounded cache, with a short age, over one query.

A client that is not at hand is read together with the others that are missed in the same turn of the event loop: a busy
service asks the database once for many of them, and whoever comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from cachetools import TTLCache

from auth_service.queries import token as queries

if TYPE_CHECKING:
    from auth_service.clients import Client
    from steelcut.service.postgres import Database


# So many clients are asked for by one statement, which has its time: more of them are several statements.
MOST_AT_ONCE: Final = 100


class _Wanted(NamedTuple):
    """A client that is to be read, and who waits for it."""

    client_id: str
    found: asyncio.Future[Client | None]


class Registry:
    """Known clients, kept for ``max_age_seconds`` and at most ``size`` of them (the least used leave).

    Only clients that exist are kept, so a flood of invented ids cannot push real ones out.
    """

    def __init__(
        self, database: Database, *, max_age_seconds: float, size: int, monotonic: Callable[[], float]
    ) -> None:
        """Read from ``database``; ``monotonic`` is the clock of the ages, in seconds."""
        self._database = database
        self._clients: TTLCache[str, Client] = TTLCache(size, max_age_seconds, timer=monotonic)
        self._changes = 0
        self._wanted: list[_Wanted] = []
        self._reading: set[asyncio.Task[None]] = set()

    def cached(self, client_id: str) -> Client | None:
        """Return the client if it was read recently: no await, no query."""
        try:
            # Half of what TTLCache.get takes, which looks twice.
            return self._clients[client_id]
        except KeyError:
            return None

    async def load(self, client_id: str) -> Client | None:
        """Read the client afresh by one query, None when there is none of that id.

        Raises ``TemporarilyUnavailable`` when the database does not answer.
        """
        loop = asyncio.get_running_loop()
        if not self._wanted:
            loop.call_soon(self._read_wanted)
        found: asyncio.Future[Client | None] = loop.create_future()
        self._wanted.append(_Wanted(client_id, found))
        return await found

    def _read_wanted(self) -> None:
        wanted, self._wanted = self._wanted, []
        for start in range(0, len(wanted), MOST_AT_ONCE):
            reading = asyncio.create_task(self._read(wanted[start : start + MOST_AT_ONCE]))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _read(self, wanted: Sequence[_Wanted]) -> None:
        changes = self._changes
        try:
            async with self._database.connection() as connection:
                clients = await queries.clients_by_id(connection, list({one.client_id for one in wanted}))
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is theirs who wait
            for _, found in wanted:
                if not found.done():
                    found.set_exception(fault)
            return
        for client_id, found in wanted:
            client = clients.get(client_id)
            if client is None:
                self._clients.pop(client_id, None)
            elif changes == self._changes:
                # Not after a change was heard of meanwhile: what was read may be from before it.
                self._clients[client_id] = client
            # Whoever went away meanwhile has cancelled it.
            if not found.done():
                found.set_result(client)

    def forget(self, client_id: str) -> None:
        """Read this client again at its next request: it was changed."""
        self._changes += 1
        self._clients.pop(client_id, None)

    def forget_all(self) -> None:
        """Read every client again: something was changed that many share, or a notification may be missing."""
        self._changes += 1
        self._clients.clear()
