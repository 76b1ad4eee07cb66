"""What is known is served through an outage of the database, for a bounded time; everybody else hears 503 soon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from auth_service.administration.clients import disable_client
from steelcut.service.database.postgres import REQUEST_SECONDS
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.faults.callers import PATH, RECOVERY_SECONDS, YOUNG, known, status_within
from tests.support.databases import Templates
from tests.support.outage import outage, whole_outage
from tests.support.replication import children, kill
from tests.support.system import ACTOR, DOCUMENT, Registered, System, running_system
from tests.support.waiting import until


async def test_known_client_and_document_go_on(start_system: Any, postgres: EmbeddedPostgres) -> None:
    """Both are served as last known, which the log says; a stranger and a wrong secret are told to come again."""
    system: System = await start_system(**YOUNG)
    other = await system.register("Other")
    async with known(system) as callers:
        async with whole_outage(postgres, system.databases):
            token, document = await callers.token(), await callers.document()
            stranger = await callers.token(other)
            wrong = await callers.token(Registered(system.client.client_id, other.secret))
            unknown = await callers.document(f"{PATH}/unknown")
            ready = [await callers.ready(base) for base in (system.issuer, system.resource_base)]

        async def afresh() -> bool:
            answers = [await callers.token(), await callers.document()]
            return all(
                answer.status_code == 200 and "stale" not in system.log.of(answer) for answer in answers
            )

        await until(afresh, RECOVERY_SECONDS)
        assert (await callers.token(other)).status_code == 200
    assert (token.status_code, document.status_code, document.content) == (200, 200, DOCUMENT)
    # Else a load balancer would take away, all at once, those who can still do something.
    for probe in ready:
        assert (probe.status_code, probe.json()["status"]) == (200, "ready")
        assert "what is known is served" in probe.json()["checks"]["database"]
    assert system.log.of(token)["stale"] is system.log.of(document)["stale"] is True
    for refused in (stranger, wrong, unknown):
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert refused.headers["retry-after"] == "1"


async def test_they_are_known_only_so_long(start_system: Any, postgres: EmbeddedPostgres) -> None:
    """After AUTH_STALE_SECONDS and RESOURCE_STALE_SECONDS they are refused as everybody else."""
    options = {"cache_max_age_seconds": 0.05, "stale_seconds": 0.5}
    system: System = await start_system(**options, resource_options=options)
    async with known(system) as callers, whole_outage(postgres, system.databases):

        async def over() -> bool:
            return {(await callers.token()).status_code, (await callers.document()).status_code} == {503}

        await until(over, 5)


async def test_none_is_known_where_that_is_turned_off(start_system: Any, postgres: EmbeddedPostgres) -> None:
    """By AUTH_STALE_SECONDS=0 and RESOURCE_STALE_SECONDS=0."""
    options = {"cache_max_age_seconds": 0.05, "stale_seconds": 0}
    system: System = await start_system(**options, resource_options=options)
    async with known(system) as callers, whole_outage(postgres, system.databases):
        assert (await callers.token()).status_code == 503
        assert (await callers.document()).status_code == 503


async def test_what_is_known_to_have_changed_is_not_served(
    start_system: Any, postgres: EmbeddedPostgres
) -> None:
    """A client that was disabled just before the outage gets no token by what was known before that."""
    system: System = await start_system(**YOUNG)
    async with known(system) as callers:
        await system.as_admin(lambda c: disable_client(c, ACTOR, system.client.client_id))
        await system.heard()
        async with outage(postgres, system.databases.auth.owner):
            assert (await callers.token()).status_code == 503
        assert (await callers.token()).status_code == 401


async def test_what_changes_while_it_is_read_is_not_served(start_system: Any) -> None:
    """The database is too slow to say that the client is disabled, but it has said that the client was changed."""
    system: System = await start_system(**YOUNG)
    client_id, registry = system.client.client_id, system.auth_process.registry

    async def reading() -> bool:
        return registry.waiting > 0

    async def forgotten() -> bool:
        return registry.known(client_id) is None

    async with known(system) as callers:
        owner = await asyncpg.connect(system.databases.auth.owner)
        try:
            async with owner.transaction():
                await owner.execute("LOCK TABLE client_secrets")
                asked = asyncio.create_task(callers.token())
                await until(reading, 1)
                await system.as_owner(lambda c: c.execute("UPDATE clients SET enabled = false"))
                await until(forgotten, 1)
                assert (await asked).status_code == 503
        finally:
            await owner.close()
        assert (await callers.token()).status_code == 401


@pytest.mark.slow
async def test_paused_database_lets_nobody_hang(own_postgres: EmbeddedPostgres) -> None:
    """A server that takes connections and answers nothing: the known are served at once, others refused in 2 s."""
    templates = Templates(own_postgres)
    await asyncio.to_thread(templates.migrate)
    async with running_system(await templates.clone(), **YOUNG) as system:
        other = await system.register("Other")
        async with known(system) as callers:
            with paused(own_postgres):
                # On a connection that was good, whose statement is broken off; those after it find none.
                assert await status_within(callers.token(other), REQUEST_SECONDS + 0.2) == 503
                for answer in (callers.token(), callers.document(), callers.token(), callers.document()):
                    assert await status_within(answer, 1.0) == 200
                refused = [callers.token(other), callers.document(f"{PATH}/unknown"), callers.token(other)]
                assert await asyncio.gather(
                    *(status_within(one, REQUEST_SECONDS + 0.2) for one in refused)
                ) == [503] * len(refused)

            async def recovered() -> bool:
                return (await callers.token(other)).status_code == 200

            await until(recovered, RECOVERY_SECONDS)


@pytest.mark.long
@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_server_is_started_again(end: str, own_postgres: EmbeddedPostgres) -> None:
    """In good order or after a crash: the known go on, others hear 503, and a second after its start all is well."""
    templates = Templates(own_postgres)
    await asyncio.to_thread(templates.migrate)
    async with running_system(await templates.clone(), **YOUNG) as system:
        other = await system.register("Other")
        async with known(system) as callers:
            if end == "killed":
                kill(own_postgres)
            # Of one that was killed only in name: it lets go of the directory.
            own_postgres.stop()
            for answer in (callers.token(), callers.document()):
                assert await status_within(answer, 1.0) == 200
            for answer in (callers.token(other), callers.document(f"{PATH}/unknown")):
                assert await status_within(answer, REQUEST_SECONDS + 0.2) == 503
            own_postgres.start()

            async def recovered() -> bool:
                answers = [await callers.token(other), await callers.document(f"{PATH}/unknown")]
                return [answer.status_code for answer in answers] == [200, 404]

            await until(recovered, RECOVERY_SECONDS)


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that nobody else misses."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("paused")) as server:
        yield server


@contextlib.contextmanager
def paused(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop all processes of a server, but not their connections, which the kernel still accepts."""
    assert server.pid is not None
    pids = [server.pid, *children(server.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
