"""Both services reach PostgreSQL by a real pgbouncer that gives each transaction another connection."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from auth_service.administration.clients import disable_client
from resource_service import documents
from steelcut.service.database.connecting import connect
from steelcut.service.database.migrations import DatabaseAccess
from steelcut.service.database.postgres import REQUEST_SECONDS
from steelcut.service.refusal import Refusal
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.faults.callers import RECOVERY_SECONDS, status_within
from tests.support.databases import Databases, with_port
from tests.support.pgbouncer import SERVER_CONNECTIONS, Pgbouncer, not_started
from tests.support.plain_http import http_client
from tests.support.system import (
    ACTOR,
    DOCUMENT,
    GRANT,
    RESOURCE,
    Registered,
    System,
    as_owner,
    running_system,
)
from tests.support.waiting import until

CLIENTS = 12
ROUNDS = 5
HEARD_SECONDS = 3
# So each request reads: nothing is fresh, and nothing is kept.
READING: Final[dict[str, Any]] = {"cache_max_age_seconds": 0.0}
WITHOUT_CACHE = "?statement_cache_size=0"
# All connections of the pool, and not the one that listens.
BACKENDS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = 'auth_runtime' AND application_name <> 'steelcut listener'
"""


@pytest.fixture
def pgbouncer(postgres: EmbeddedPostgres, databases: Databases, tmp_path: Path) -> Pgbouncer:
    """One that is not started yet."""
    return not_started(postgres, databases, tmp_path)


def by_way_of(pgbouncer: Pgbouncer, query: str) -> Databases:
    """Lead all who read and change rows by pgbouncer; the owners go straight."""

    def urls(access: DatabaseAccess) -> DatabaseAccess:
        assert access.admin is not None
        runtime, admin = (with_port(url, pgbouncer.port) + query for url in (access.runtime, access.admin))
        return replace(access, runtime=runtime, admin=admin)

    return Databases(urls(pgbouncer.databases.auth), urls(pgbouncer.databases.resource))


def straight(databases: Databases) -> dict[str, Any]:
    """Return options of a system whose services listen at the server itself."""
    return {
        "listen_database_url": databases.auth.runtime,
        "resource_options": {**READING, "listen_database_url": databases.resource.runtime},
    }


async def exercise(pgbouncer: Pgbouncer, query: str) -> None:
    """Read, write, administer and publish, many at once."""
    direct = pgbouncer.databases
    async with (
        running_system(by_way_of(pgbouncer, query), **READING, **straight(direct)) as system,
        http_client(timeout=10) as http,
    ):
        clients = [await system.register(f"Client {number}") for number in range(CLIENTS)]
        await as_owner(system.databases.publisher, _publish)
        tokens: list[httpx.Response] = []
        for _ in range(ROUNDS):
            some = await asyncio.gather(*(_token(http, system, client) for client in clients))
            bearer = {"Authorization": f"Bearer {some[0].json()['access_token']}"}
            read = await asyncio.gather(
                *(http.get(f"{system.document_url}/{number}", headers=bearer) for number in range(CLIENTS))
            )
            assert Counter(answer.status_code for answer in (*some, *read)) == {200: 2 * CLIENTS}
            tokens += some
        await until(lambda: _all_written(system, tokens), 5)
        backends = await as_owner(direct.auth.owner, lambda c: c.fetchval(BACKENDS))
        assert backends <= SERVER_CONNECTIONS


async def _publish(connection: Any) -> None:
    for number in range(CLIENTS):
        await documents.publish(connection, RESOURCE, str(number), DOCUMENT)


async def _token(http: httpx.AsyncClient, system: System, client: Registered) -> httpx.Response:
    return await http.post(system.token_url, data=GRANT, auth=client.basic)


async def _all_written(system: System, tokens: list[httpx.Response]) -> bool:
    rows = await system.as_owner(lambda c: c.fetch("SELECT trace_id FROM audit_events"))
    return {token.headers["x-trace-id"] for token in tokens} <= {row["trace_id"] for row in rows}


async def test_services_without_prepared_statements(pgbouncer: Pgbouncer) -> None:
    """By any version, with ``statement_cache_size=0`` in the URLs, and a direct URL to listen by."""
    async with pgbouncer.running():
        await exercise(pgbouncer, WITHOUT_CACHE)


@pytest.mark.long
async def test_services_with_prepared_statements(pgbouncer: Pgbouncer) -> None:
    """From 1.21 on pgbouncer itself prepares statements where they are missing, and the URLs stay as they are."""
    version = re.search(r"(\d+)\.(\d+)", pgbouncer.program.version())
    assert version is not None
    if tuple(map(int, version.groups())) < (1, 21):
        pytest.skip(f"{version[0]} knows no max_prepared_statements: pgbouncer does from 1.21 on")
    preparing = replace(pgbouncer, more="max_prepared_statements = 200")
    async with preparing.running():
        await exercise(preparing, "")


@pytest.mark.long
async def test_changes_are_heard(pgbouncer: Pgbouncer) -> None:
    """What is changed by way of pgbouncer is heard on the direct way, long before it is read again."""
    async with (
        pgbouncer.running(),
        running_system(
            by_way_of(pgbouncer, WITHOUT_CACHE),
            cache_max_age_seconds=300,
            **straight(pgbouncer.databases),
        ) as system,
        http_client(timeout=10) as http,
    ):
        assert (await _token(http, system, system.client)).status_code == 200
        await system.as_admin(lambda c: disable_client(c, ACTOR, system.client.client_id))

        async def refused() -> bool:
            return (await _token(http, system, system.client)).status_code == 401

        await until(refused, HEARD_SECONDS)


@pytest.mark.long
async def test_pgbouncer_goes_and_comes_back(pgbouncer: Pgbouncer) -> None:
    """It is the database, as far as a service knows: 503 within 2 s, and service within a second of its return."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(contextlib.AsyncExitStack())
        await first.enter_async_context(pgbouncer.running())
        system = await stack.enter_async_context(running_system(by_way_of(pgbouncer, WITHOUT_CACHE)))
        http = await stack.enter_async_context(http_client(timeout=10))
        other = await system.register("Other")
        assert (await _token(http, system, system.client)).status_code == 200
        await first.aclose()
        assert await status_within(_token(http, system, other), REQUEST_SECONDS + 0.2) == 503
        assert (await _token(http, system, system.client)).status_code == 200
        await stack.enter_async_context(pgbouncer.running())

        async def served() -> bool:
            return (await _token(http, system, other)).status_code == 200

        await until(served, RECOVERY_SECONDS)


@pytest.mark.parametrize("size", ["", "many", "-"])
async def test_size_that_is_none(size: str, databases: Databases) -> None:
    """A URL that cannot be used is refused in a sentence, also by a command."""
    with pytest.raises(Refusal, match=r"cannot be used \(ValueError\)"):
        await connect(f"{databases.auth.runtime}?statement_cache_size={size}")
