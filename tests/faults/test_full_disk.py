"""The disk of the audit log is full: tokens are issued all the same, and no event is lost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.faults.callers import YOUNG
from tests.support.databases import Databases, Templates
from tests.support.plain_http import http_client
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.system import GRANT, Registered, as_owner, running_system
from tests.support.waiting import until

MEGABYTES = 4
# More events than have room in the pages that the table has already.
TOKENS = 200
READERS_SECONDS = 5
WRITTEN_SECONDS = 5


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of its own for the events."""
    with small_disk(tmp_path / "small", MEGABYTES) as disk:
        yield disk


@pytest.fixture
async def on_the_disk(
    disk: SmallDisk, postgres: EmbeddedPostgres, templates: Templates
) -> AsyncIterator[Databases]:
    """Databases whose audit events lie on the small disk, and all else where there is room."""
    databases = await templates.clone()
    space = f"small_{os.getpid()}"
    server = await asyncpg.connect(postgres.dsn())
    try:
        await server.execute(f"CREATE TABLESPACE {space} LOCATION '{disk.place}'")
        await server.execute(f"GRANT CREATE ON TABLESPACE {space} TO auth_owner")
        await as_owner(databases.auth.owner, lambda owner: _move_events(owner, space))
        yield databases
        await templates.drop(databases)
        await server.execute(f"DROP TABLESPACE {space}")
    finally:
        await server.close()


async def _move_events(owner: asyncpg.Connection[asyncpg.Record], space: str) -> None:
    rows = await owner.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
    )
    for row in rows:
        await owner.execute(f"ALTER TABLE {row['name']} SET TABLESPACE {space}")


async def test_full_disk_of_the_audit_log(disk: SmallDisk, on_the_disk: Databases) -> None:
    """Known clients and others get tokens as ever; the events wait, and are written once when there is room."""
    async with (
        running_system(on_the_disk, **YOUNG) as system,
        http_client(base_url=system.issuer) as http,
    ):
        others = [await system.register(f"Other {number}") for number in range(3)]

        async def ask(client: Registered) -> httpx.Response:
            return await http.post("/token", data=GRANT, auth=client.basic)

        disk.fill()
        answers = [await ask(system.client) for _ in range(TOKENS)]

        async def asked_as_before() -> bool:
            assert not await system.auth_process.audit.flush()
            fresh = [await ask(client) for client in (system.client, *others)]
            answers.extend(fresh)
            return not any("stale" in system.log.of(answer) for answer in fresh)

        # That fault hinders no reader. A busy machine may: then they go by what is known, for a while.
        await until(asked_as_before, READERS_SECONDS)
        assert Counter(answer.status_code for answer in answers) == {200: len(answers)}
        assert (await http.get("/readyz")).json()["checks"]["database"] == "ok"
        assert "audit events wait" in system.log.text
        disk.make_room()

        async def written() -> bool:
            return await _times_written(system.databases) == {
                answer.headers["x-trace-id"]: 1 for answer in answers
            }

        await until(written, WRITTEN_SECONDS)


async def _times_written(databases: Databases) -> dict[str, int]:
    rows = await as_owner(
        databases.auth.owner,
        lambda c: c.fetch("SELECT trace_id FROM audit_events WHERE action = 'token.issue'"),
    )
    return Counter(row["trace_id"] for row in rows)
