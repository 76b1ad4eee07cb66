"""All connections that PostgreSQL allows are taken: by others, or by the replicas that are about to be replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from steelcut.service.database.connecting import connect, database_of
from steelcut.service.database.postgres import Database
from steelcut.service.refusal import Refusal
from tests.support.databases import Databases

ACTION = "max_connections or the CONNECTION LIMIT of the role or database"


@pytest.fixture
async def owner(databases: Databases) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The last connection to the auth database that is given."""
    connection = await asyncpg.connect(databases.auth.owner)
    try:
        await _allow(connection, databases, 0)
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def retried() -> Iterator[asyncio.Event]:
    """Is set when somebody is about to try again."""
    event, before = asyncio.Event(), get_on_retry_hooks()

    def note(details: RetryDetails) -> None:  # noqa: ARG001 - the name is stamina's
        event.set()

    set_on_retry_hooks([note])
    yield event
    set_on_retry_hooks(before)


async def _allow(owner: asyncpg.Connection[asyncpg.Record], databases: Databases, connections: int) -> None:
    await owner.execute(f"ALTER DATABASE {database_of(databases.auth.owner)} CONNECTION LIMIT {connections}")


async def test_start_waits_for_a_connection(
    owner: asyncpg.Connection[asyncpg.Record], databases: Databases, retried: asyncio.Event
) -> None:
    """A service that is started while another one has them all begins when it gives some back."""
    opening = asyncio.create_task(
        Database.open(databases.auth.runtime, application="test", pool_size=1, wait_seconds=10)
    )
    await asyncio.wait_for(retried.wait(), 5)
    await _allow(owner, databases, -1)
    database = await asyncio.wait_for(opening, 5)
    assert await database.check() is None
    await database.close()


@pytest.mark.usefixtures("owner")
async def test_start_and_command_say_what_is_missing(databases: Databases) -> None:
    """Neither takes it for a URL that cannot be used."""
    with pytest.raises(Refusal, match=rf"no connection left for the test within 0\.2 seconds: .* {ACTION}"):
        await Database.open(databases.auth.runtime, application="test", pool_size=1, wait_seconds=0.2)
    with pytest.raises(Refusal, match=f"no connection left for the role auth_admin: .* {ACTION}"):
        await connect(databases.auth_admin)
