"""Who got which token, and who was refused why: written behind the requests' backs, and lost by no outage."""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from auth_service import audit, foreign_hashes
from auth_service.audit import TokenEvent
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.conftest import StartSystem
from tests.support.databases import Databases
from tests.support.foreign import SlowHashes, import_old_client
from tests.support.outage import outage
from tests.support.plain_http import http_client
from tests.support.replicas import auth_replicas
from tests.support.system import GRANT, RESOURCE, Registered, System, seed
from tests.support.waiting import until


async def ask(
    system: System, client: Registered | None, headers: dict[str, str] | None = None, **form: Any
) -> Any:
    """Post to the token endpoint."""
    async with http_client() as http:
        auth: dict[str, Any] = {"auth": client.basic} if client else {}
        return await http.post(system.token_url, data={**GRANT, **form}, headers=headers, **auth)


async def event_of(system: System, response: httpx.Response) -> dict[str, Any]:
    """Return the one event of an answer, by its trace id."""
    await system.auth_process.audit.flush()
    rows = await system.as_owner(
        lambda c: c.fetch(
            "SELECT at, actor, action, object_id, outcome, reason, after::jsonb AS after, address FROM audit_events"
            " WHERE trace_id = $1",
            response.headers["x-trace-id"],
        )
    )
    (row,) = rows
    return dict(row)


@pytest.mark.slow
async def test_caller_at_a_socket_of_both_families_is_noted_as_what_it_is(databases: Databases) -> None:
    """Workers share a socket that shows IPv4 within addresses of IPv6, for which nobody would search."""
    master_key = base64.b64encode(bytes(32)).decode()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    environment = {"AUTH_HOST": "::ffff:127.0.0.1", "AUTH_WORKERS": "2"}
    async with auth_replicas(databases, master_key, 1, **environment) as (replica,):
        assert (await replica.ask(client))[0] == 200
    # Ended, so that all is written.
    owner = await asyncpg.connect(databases.auth.owner)
    try:
        addresses = await owner.fetch("SELECT address FROM audit_events WHERE action = 'token.issue'")
    finally:
        await owner.close()
    assert [row["address"] for row in addresses] == ["127.0.0.1"]


async def test_token_is_noted_with_all_that_it_is(system: System) -> None:
    """Whose, when, for what, by which secret, from where: but not the token."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    response = await ask(system, system.client, scope="read")
    event = await event_of(system, response)
    assert event["actor"] == f"client:{system.client.client_id}"
    assert (event["action"], event["outcome"], event["reason"]) == ("token.issue", "issued", "")
    assert event["address"] == "127.0.0.1"
    assert before < event["at"] < datetime.now(UTC) + timedelta(seconds=1)
    for part in (
        '"scopes": ["read"]',
        system.document_url,
        '"lifetime_seconds": 3600',
        '"token_id"',
        '"secret_id"',
    ):
        assert part in event["after"]
    assert response.json()["access_token"] not in str(event)


@pytest.mark.parametrize(
    "name",
    [
        b"\x00",
        b"a\x00b",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"x" * 3000,
        b"'; DROP TABLE clients; --",
    ],
)
async def test_no_name_keeps_the_others_from_being_noted(system: System, name: bytes) -> None:
    """What PostgreSQL takes for no text would come back with every batch, and all events wait behind it."""
    basic = base64.b64encode(name + b":x").decode()
    for headers, form in (
        ({"Authorization": f"Basic {basic}"}, {}),
        ({}, {"client_id": name, "client_secret": "x"}),
    ):
        response = await ask(system, None, headers, **form)
        event = await event_of(system, response)
        assert event["outcome"] in {"invalid_client", "invalid_request"}
    response = await ask(system, system.client, scope=b"read \x00")
    assert (await event_of(system, response))["outcome"] in {"invalid_scope", "invalid_request"}


async def test_flushes_at_once_write_each_event_once(system: System) -> None:
    """Whoever asks for a flush while one is under way waits for it: nothing is written twice or lost."""
    first = await ask(system, system.client)
    await asyncio.gather(*(system.auth_process.audit.flush() for _ in range(3)))
    second = await ask(system, system.client)
    for response in (first, second):
        assert (await event_of(system, response))["action"] == "token.issue"


async def test_no_request_waits_for_the_log(start_system: StartSystem) -> None:
    """Somebody holds the log's table for as long as he likes: tokens are given out meanwhile, events come later."""
    system: System = await start_system()  # type: ignore[misc]

    async def with_locked_log(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")
            for _ in range(20):
                response = await asyncio.wait_for(ask(system, system.client), 5)
                assert response.status_code == 200
            assert (
                await connection.fetchval("SELECT count(*) FROM audit_events WHERE action = 'token.issue'")
                == 0
            )

    await system.as_owner(with_locked_log)

    async def all_there() -> bool:
        count = await system.as_owner(
            lambda c: c.fetchval("SELECT count(*) FROM audit_events WHERE action = 'token.issue'")
        )
        return bool(count == 20)

    await until(all_there, 10)
    assert RESOURCE in str(await system.as_owner(lambda c: c.fetch("SELECT resource FROM grant_usage")))


async def test_events_wait_while_the_database_is_away(
    start_system: StartSystem, postgres: EmbeddedPostgres
) -> None:
    """Who is known gets tokens meanwhile, who is not is told to come again: all of it is noted when it is back."""
    system: System = await start_system(cache_max_age_seconds=300)  # type: ignore[misc]
    other = await system.register("Other")
    await system.heard()
    await ask(system, system.client)
    async with outage(postgres, system.databases.auth.owner):
        issued = [await ask(system, system.client) for _ in range(5)]
        unknown = await ask(system, other)
        await system.auth_process.audit.flush()
        back = datetime.now(UTC)
    assert [response.status_code for response in issued] == [200] * 5
    assert unknown.status_code == 503
    assert "audit events wait" in system.log.text
    for response in issued:
        event = await event_of(system, response)
        assert (event["action"], event["address"]) == ("token.issue", "127.0.0.1")
        # Its own time, not that of the writing.
        assert event["at"] < back
    event = await event_of(system, unknown)
    assert (event["action"], event["outcome"]) == ("token.refuse", "temporarily_unavailable")
    assert event["reason"].startswith("database: ")


async def test_database_that_is_away_is_tried_again_seldom(
    start_system: StartSystem, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try is a line in the log: not one for every time that events would be written."""
    monkeypatch.setattr(audit, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(audit, "RETRY_SECONDS", 3600)
    system: System = await start_system(cache_max_age_seconds=300)  # type: ignore[misc]
    await system.heard()
    await ask(system, system.client)

    async def told() -> bool:
        return "audit events wait" in system.log.text

    async with outage(postgres, system.databases.auth.owner):
        await ask(system, system.client)
        await until(told, 10)
        await asyncio.sleep(0.1)
        assert system.log.text.count("audit events wait") == 1


async def test_answer_without_a_key_is_noted(start_system: StartSystem) -> None:
    """A service that cannot sign says so in the log, for each token that it did not give."""
    system: System = await start_system(cache_max_age_seconds=0)  # type: ignore[misc]
    await system.as_owner(lambda c: c.execute("DELETE FROM signing_keys"))
    await system.auth_process.refresh()
    event = await event_of(system, await ask(system, system.client))
    assert event["outcome"] == "temporarily_unavailable"
    assert event["reason"] == "no active signing key: run `steelcut keys create`"
    assert event["actor"] == f"client:{system.client.client_id}"


async def test_imported_secret_that_is_not_verified_is_noted(
    start_system: StartSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many at once, or a machine without memory: neither is the caller's fault, and the log says which."""
    slow = SlowHashes(monkeypatch)
    system: System = await start_system(imported_secret_threads=1, imported_secret_waiting=0)  # type: ignore[misc]
    client = await import_old_client(system)
    slow.hold()
    computing = asyncio.create_task(ask(system, client))
    await slow.running.acquire()
    beyond = await ask(system, Registered(client.client_id, "another"))
    slow.release()
    assert (await computing).status_code == 200

    def fail(*_: str) -> bool:
        raise MemoryError

    monkeypatch.setattr(foreign_hashes, "verify", fail)
    broken = await ask(system, Registered(client.client_id, "another"))
    reasons = [(await event_of(system, response))["reason"] for response in (beyond, broken)]
    assert reasons == [
        "too many imported secrets wait to be verified",
        "an imported secret could not be verified: MemoryError",
    ]


async def test_what_the_memory_cannot_hold_is_counted(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the events that may wait the log of the service says how many are missing."""
    await system.auth_process.audit.flush()
    monkeypatch.setattr(audit, "MAX_WAITING", 0)
    refused = await ask(system, None)
    await system.auth_process.audit.flush()
    monkeypatch.undo()
    assert refused.status_code == 401
    (line,) = [line for line in system.log.text.splitlines() if "audit events were dropped" in line]
    assert '"dropped": 1' in line or '"dropped":1' in line


async def test_a_busy_service_pauses_between_batches(system: System) -> None:
    """What comes while a batch is written is the next one's: else it would write a few events at a time, for ever."""
    audit = system.auth_process.audit
    event = TokenEvent(time.time(), "token.refuse", "busy", "invalid_client", "busy", "0" * 32, "127.0.0.1")

    async def keep_coming() -> None:
        while True:
            audit.add(event)
            await asyncio.sleep(0)

    busy = asyncio.create_task(keep_coming())
    try:
        await asyncio.sleep(0)
        await asyncio.wait_for(audit.flush(), 5)
    finally:
        busy.cancel()
