"""Whether a batch of events was written the database may say late or never: what it wrote is written once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from auth_service import audit
from auth_service.administration.errors import Conflict
from auth_service.administration.secrets import list_secrets, revoke_secret
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Databases, Templates, port_of
from tests.support.plain_http import http_client
from tests.support.replication import primary
from tests.support.system import ACTOR, GRANT, Registered, System, running_system
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until

pytestmark = pytest.mark.slow
SECONDS = 10
# The first batch of all is refused when everything of it has been done but the commit.
REFUSE_THE_FIRST = """
    CREATE SEQUENCE attempts;
    GRANT USAGE ON SEQUENCE attempts TO PUBLIC;
    CREATE FUNCTION refuse_the_first() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('attempts') = 1 THEN
            RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER refuse_the_first AFTER INSERT ON audit_events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_the_first();
"""

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth_runtime'"


async def _ask(system: System, client: Registered) -> str:
    """Get a token; returns the trace id of its one event."""
    async with http_client() as http:
        answer = await http.post(system.token_url, data=GRANT, auth=client.basic)
    assert answer.status_code == 200
    return str(answer.headers["x-trace-id"])


async def _times_written(databases: Databases, trace_id: str) -> int:
    connection = await asyncpg.connect(databases.auth.owner)
    try:
        return int(
            await connection.fetchval("SELECT count(*) FROM audit_events WHERE trace_id = $1", trace_id)
        )
    finally:
        await connection.close()


async def test_use_is_noted_although_the_first_commit_failed(system: System) -> None:
    """A secret that got one token is not taken for an unused one."""
    client = await system.register("Comes once")
    await system.as_owner(lambda c: c.execute(REFUSE_THE_FIRST))
    trace_id = await _ask(system, client)
    await until(system.auth_process.audit.flush, SECONDS)
    assert "audit events wait" in system.log.text
    assert await _times_written(system.databases, trace_id) == 1
    (secret,) = await system.as_admin(lambda c: list_secrets(c, client.client_id))
    assert secret.in_use
    with pytest.raises(Conflict, match="This secret is in use"):
        await system.as_admin(lambda c: revoke_secret(c, ACTOR, client.client_id, secret.secret_id))


class _Slow:
    """A primary whose commits wait for a standby, which is not there, and the system on it, by a proxy."""

    def __init__(self, server: EmbeddedPostgres, proxy: TcpProxy, system: System) -> None:
        self._server = server
        self._proxy = proxy
        self.system = system

    async def wait_for_standby(self, name: str) -> None:
        """Let commits wait for the standby ``name``, or for none."""
        connection = await asyncpg.connect(self._server.dsn())
        try:
            await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
            await connection.execute("SELECT pg_reload_conf()")

            async def loaded() -> bool:
                return bool(await connection.fetchval("SHOW synchronous_standby_names") == name)

            await until(loaded, SECONDS)
        finally:
            await connection.close()

    async def writer(self, condition: str) -> None:
        """Wait until a session of the service is at work as ``condition`` says."""
        connection = await asyncpg.connect(self._server.dsn())

        async def found() -> bool:
            return bool(await connection.fetchval(f"{SESSIONS} AND {condition}"))

        try:
            await until(found, SECONDS)
        finally:
            await connection.close()

    async def break_off_at_the_commit(self) -> None:
        """Cut the way to the database while a batch is being committed."""
        writing = asyncio.create_task(self.system.auth_process.audit.flush())
        await self.writer("wait_event = 'SyncRep'")
        self._proxy.cut()
        assert not await writing
        self._proxy.resume()

    async def lose_the_way_amid_a_batch(self) -> str:
        """Lose the connection that has noted the use of a secret; returns the trace id of the event."""
        connection = await asyncpg.connect(self.system.databases.auth.owner)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE grant_usage")
                trace_id = await _ask(self.system, self.system.client)
                writing = asyncio.create_task(self.system.auth_process.audit.flush())
                await self.writer("wait_event_type = 'Lock'")
                self._proxy.stall_answers()
        finally:
            await connection.close()
        await self.writer("state = 'idle in transaction'")
        self._proxy.lose()
        assert not await writing
        return trace_id


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that can be told to wait for standbys."""
    with primary(tmp_path_factory.mktemp("slow")) as server:
        yield server


@pytest.fixture(scope="module")
def slow_templates(slow_server: EmbeddedPostgres) -> Templates:
    """Its databases."""
    templates = Templates(slow_server)
    templates.migrate()
    return templates


@pytest.fixture
async def slow(slow_server: EmbeddedPostgres, slow_templates: Templates) -> AsyncIterator[_Slow]:
    """A system whose commits do not end."""
    databases = await slow_templates.clone()
    async with (
        TcpProxy.before(port_of(databases.auth.runtime)) as proxy,
        running_system(databases.through(proxy.port)) as system,
    ):
        slow = _Slow(slow_server, proxy, system)
        await system.auth_process.audit.flush()
        await slow.wait_for_standby("gone")
        yield slow
        await slow.wait_for_standby("")


async def test_batch_whose_commit_was_not_answered_is_there_once(slow: _Slow) -> None:
    """It is not written again while the database has yet to know, nor when it was written after all."""
    system = slow.system
    trace_id = await _ask(system, system.client)
    await slow.break_off_at_the_commit()
    assert not await system.auth_process.audit.flush()
    assert "audit events wait" in system.log.text
    await slow.wait_for_standby("")
    await until(system.auth_process.audit.flush, SECONDS)
    assert await _times_written(system.databases, trace_id) == 1
    assert system.auth_process.audit.waiting == 0


async def test_batch_whose_connection_is_lost_holds_up_nobody(
    slow: _Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends its transaction, in which the use of the secret is noted, and it is written by another one."""
    monkeypatch.setattr(audit, "IDLE_SECONDS", 1)
    system = slow.system
    await slow.wait_for_standby("")
    trace_id = await slow.lose_the_way_amid_a_batch()
    await until(system.auth_process.audit.flush, SECONDS)
    assert await _times_written(system.databases, trace_id) == 1
