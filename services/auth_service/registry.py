"""Clients as the token endpoint sees them: a bounded cache, with a short age, over one query."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cachetools import TTLCache

from auth_service.queries import token as queries

if TYPE_CHECKING:
    from auth_service.clients import Client
    from steelcut.service.postgres import Database


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
        changes = self._changes
        async with self._database.connection() as connection:
            client = await queries.client_by_id(connection, client_id)
        if client is None:
            self._clients.pop(client_id, None)
        elif changes == self._changes:
            # Not after a change was heard of meanwhile: what was read may be from before it.
            self._clients[client_id] = client
        return client

    def forget(self, client_id: str) -> None:
        """Read this client again at its next request: it was changed."""
        self._changes += 1
        self._clients.pop(client_id, None)

    def forget_all(self) -> None:
        """Read every client again: something was changed that many share, or a notification may be missing."""
        self._changes += 1
        self._clients.clear()
