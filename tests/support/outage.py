"""PostgreSQL goes away under whoever uses it, and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from steelcut.service.database.connecting import database_of

if TYPE_CHECKING:
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from tests.support.databases import Databases


@asynccontextmanager
async def outage(postgres: EmbeddedPostgres, url: str) -> AsyncIterator[None]:
    """Cut every connection to one database and let no new one in, until the block ends."""
    name = database_of(url)
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        yield
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    finally:
        await connection.close()


@asynccontextmanager
async def whole_outage(postgres: EmbeddedPostgres, databases: Databases) -> AsyncIterator[None]:
    """Do that to the databases of both services."""
    async with outage(postgres, databases.auth.owner), outage(postgres, databases.resource.owner):
        yield
