"""PostgreSQL is killed amid administrative changes: what was acknowledged is there, and the service recovers alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from steelcut.service.database.hosts import NOT_THERE
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.faults.history import check_tokens, settled
from tests.faults.nursery import Life, Nursery, service_environment
from tests.faults.operators import Operators
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases, Templates
from tests.support.system import seed
from tests.support.waiting import POLL_SECONDS, until

pytestmark = pytest.mark.slow

OPERATORS = 4
# True: the whole server dies, and is started again. False: one of its processes does, and it starts itself again.
KILLS = ((True, False), pytest.param((True, False, True, False, True), marks=pytest.mark.long))
LONGEST_WAIT_SECONDS = 0.2
RECOVERY_SECONDS = 15


@pytest.fixture
def durable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that keeps what it has acknowledged, as in production."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("durable")) as server:
        yield server


@pytest.mark.parametrize("kills", KILLS, ids=len)
async def test_killed_postgres_loses_nothing_acknowledged(
    durable_postgres: EmbeddedPostgres, nursery: Nursery, operators: Operators, kills: tuple[bool, ...]
) -> None:
    """Whatever dies of PostgreSQL, no change is half done or lost, and one auth process lives through all of it."""
    databases = await _databases(durable_postgres)
    master_key = new_master_key()
    await seed(databases, "http://127.0.0.1:8001", master_key)
    await operators.begin(databases)
    environment = service_environment(databases, master_key, OPERATORS)
    life = await nursery.start(**environment)
    async with _at_work(operators, life) as answered:
        for whole in kills:
            await asyncio.wait_for(answered.wait(), RECOVERY_SECONDS)
            await asyncio.sleep(operators.random.uniform(0, LONGEST_WAIT_SECONDS))
            await _kill(durable_postgres, whole=whole)
            if whole:
                await asyncio.sleep(operators.random.uniform(0, LONGEST_WAIT_SECONDS))
                # Stopped first, in name only: it lets go of the directory.
                durable_postgres.stop()
                durable_postgres.start()
            # What is answered while it is away was done before it died.
            await (await _connected(durable_postgres)).close()
            answered.clear()
        await asyncio.wait_for(answered.wait(), RECOVERY_SECONDS)
    lost = operators.of("unknown")
    assert len(lost) >= len(kills), "most kills came when nothing was under way"
    assert [outcome for outcome in lost if not outcome.trace_id] == [], "a request was not answered"
    life.kill()
    replay = await settled(databases.auth.owner, operators)
    await check_tokens(await nursery.start(**environment), replay, operators)


async def _databases(server: EmbeddedPostgres) -> Databases:
    templates = Templates(server)
    await asyncio.to_thread(templates.migrate)
    return await templates.clone()


@contextlib.asynccontextmanager
async def _at_work(operators: Operators, life: Life) -> AsyncIterator[asyncio.Event]:
    answered = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(OPERATORS):
            group.create_task(operators.work(life.url, answered))
        yield answered
        operators.stopping = True


async def _kill(server: EmbeddedPostgres, *, whole: bool) -> None:
    """Kill every process of the server, or one that works for the auth service."""
    connection = await _connected(server)
    rows = await connection.fetch(
        "SELECT pid, usename = 'auth_admin' AS works FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    if whole:
        assert server.pid is not None
        pids = [server.pid, *(row["pid"] for row in rows)]
    else:
        pids = [row["pid"] for row in rows if row["works"]][:1]
        assert pids
    for pid in pids:
        # Those that come later may be gone already: they notice that their server is.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # Until then other processes of the server may still acknowledge.
    await until(_is_closed(connection), RECOVERY_SECONDS)


async def _connected(server: EmbeddedPostgres) -> asyncpg.Connection[asyncpg.Record]:
    """Connect when the server has recovered."""
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            with contextlib.suppress(*NOT_THERE):
                return await asyncpg.connect(server.dsn())
            await asyncio.sleep(POLL_SECONDS)


def _is_closed(connection: asyncpg.Connection[asyncpg.Record]) -> Callable[[], Awaitable[bool]]:
    async def is_closed() -> bool:
        return connection.is_closed()

    return is_closed
