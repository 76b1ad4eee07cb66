"""Which statements a database was sent, by the log of PostgreSQL itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from steelcut.service.connecting import database_of

if TYPE_CHECKING:
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres


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


async def logged_statements(postgres: EmbeddedPostgres, url: str) -> Statements:
    """Have every statement logged that is sent to the database at ``url`` by connections from now on."""
    name = database_of(url)
    administrator = await asyncpg.connect(postgres.dsn())
    try:
        await administrator.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
    finally:
        await administrator.close()
    return Statements(postgres, name)
