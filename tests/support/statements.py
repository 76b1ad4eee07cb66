"""Which statements a database was sent, by the log of PostgreSQL itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal
from unittest import mock

import asyncpg

from auth_service import registry
from resource_service import document_cache
from steelcut.service.database.connecting import database_of
from tests.support.system import System, running_system

if TYPE_CHECKING:
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from tests.support.databases import Templates


class Statements:
    """The statements that PostgreSQL logged for one database."""

    def __init__(self, postgres: EmbeddedPostgres, database: str) -> None:
        self._log = postgres.log
        self._mark = f"@{database} "
        self._seen = 0

    def new(self, part: str = "") -> list[str]:
        """Return the statements since the last call, those with ``part`` in them."""
        # PostgreSQL begins the further lines of one entry with a tab.
        entries = self._log.read_text().replace("\n\t", " ").splitlines()
        entries, self._seen = entries[self._seen :], len(entries)
        return [
            entry
            for entry in entries
            if self._mark in entry and (" execute " in entry or "statement: " in entry) and part in entry
        ]


@asynccontextmanager
async def observed_system(
    templates: Templates, postgres: EmbeddedPostgres, service: Literal["auth", "resource"]
) -> AsyncIterator[tuple[System, Statements]]:
    """Run a system one of whose databases, ``auth`` or ``resource``, logs every statement."""
    databases = await templates.clone()
    name = database_of(getattr(databases, service).owner)
    administrator = await asyncpg.connect(postgres.dsn())
    try:
        await administrator.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
    finally:
        await administrator.close()
    # What is counted is read again: a machine too busy for that within a quarter of a second would have what is old.
    with (
        mock.patch.object(registry, "PATIENCE_SECONDS", 10),
        mock.patch.object(document_cache, "PATIENCE_SECONDS", 10),
    ):
        async with running_system(databases) as system:
            # Whoever listens to changes does so by now.
            await system.heard()
            yield system, Statements(postgres, name)
