"""The primary dies and its standby is promoted: real streaming replication, and both hosts in the database URL."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from resource_service import documents
from steelcut.service.database.migrations import DatabaseAccess
from steelcut.service.database.postgres import REQUEST_SECONDS
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.faults.callers import PATH, RECOVERY_SECONDS, YOUNG, Callers, known, status_within
from tests.support.databases import Databases, Templates, port_of
from tests.support.replication import caught_up, kill, primary, promote, standby_of
from tests.support.system import DOCUMENT, RESOURCE, Registered, as_owner, running_system
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.long]

KNOWN_SECONDS = 1.0
REFUSED_SECONDS = REQUEST_SECONDS + 0.2
# How long nobody notices that there is no primary, and promotes the standby.
LEADERLESS_SECONDS = 5.0
WRITTEN_SECONDS = 5.0


@dataclass
class Cluster:
    """Two servers, and callers of a system whose database URLs name both."""

    first: EmbeddedPostgres
    second: EmbeddedPostgres
    # Between the services and the first one.
    network: TcpProxy
    callers: Callers
    # Whom no process has read.
    other: Registered

    async def others(self) -> list[int]:
        """Ask as somebody who is not known; return what both services answer, which must be soon."""
        asked = [self.callers.token(self.other), self.callers.document(f"{PATH}/other")]
        return list(await asyncio.gather(*(status_within(one, REFUSED_SECONDS) for one in asked)))

    async def recover(self) -> float:
        """Wait until others are served by both; return how many seconds that took."""

        async def recovered() -> bool:
            return await self.others() == [200, 200]

        return await until(recovered, RECOVERY_SECONDS)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A primary, a standby that has all of it, and a system that knows a client and a document."""
    async with contextlib.AsyncExitStack() as stack:
        first = stack.enter_context(primary(tmp_path / "first"))
        templates = Templates(first)
        await asyncio.to_thread(templates.migrate)
        databases = await templates.clone()
        second = stack.enter_context(standby_of(first, tmp_path / "second"))
        network = await stack.enter_async_context(TcpProxy.before(first.port))
        both = naming(databases, network.port, second.port)
        system = await stack.enter_async_context(running_system(both, **YOUNG))
        await as_owner(both.resource.owner, lambda c: documents.publish(c, RESOURCE, "other", DOCUMENT))
        other = await system.register("Other")
        callers = await stack.enter_async_context(known(system))
        await caught_up(first)
        yield Cluster(first, second, network, callers, other)


def naming(databases: Databases, *ports: int) -> Databases:
    """Name these hosts of one cluster in each URL, those of the administration too."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)

    def urls(access: DatabaseAccess) -> DatabaseAccess:
        both = {
            role: url.replace(f"127.0.0.1:{port_of(url)}", hosts) + "?target_session_attrs=read-write"
            for role in ("owner", "runtime", "admin")
            if (url := getattr(access, role))
        }
        return replace(access, **both)

    return Databases(urls(databases.auth), urls(databases.resource))


@dataclass
class Steady:
    """The known client, which asks for a token and its document all the time."""

    callers: Callers
    tokens: list[httpx.Response] = field(default_factory=list)
    documents: list[httpx.Response] = field(default_factory=list)
    ended: bool = False

    async def ask(self) -> None:
        """Ask until the end; each answer must come at once."""
        while not self.ended:
            async with asyncio.timeout(KNOWN_SECONDS):
                self.tokens.append(await self.callers.token())
            async with asyncio.timeout(KNOWN_SECONDS):
                self.documents.append(await self.callers.document())
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def asking(callers: Callers) -> AsyncIterator[Steady]:
    """Have the known client ask for the length of the block."""
    steady = Steady(callers)
    async with asyncio.TaskGroup() as group:
        group.create_task(steady.ask())
        try:
            yield steady
        finally:
            steady.ended = True


@pytest.mark.parametrize("end", ["killed", "vanished"])
async def test_failover(end: str, cluster: Cluster) -> None:
    """The known notice nothing, others hear 503 within 2 s, and a second after the promotion all is as before.

    The first primary is killed, which its host tells by resets, or its host is gone and answers nothing at all.
    """
    system = cluster.callers.system
    loop = asyncio.get_running_loop()
    async with asking(cluster.callers) as steady:
        if end == "vanished":
            cluster.network.stall()
        kill(cluster.first)
        leaderless = loop.time() + LEADERLESS_SECONDS
        while loop.time() < leaderless:
            assert await cluster.others() == [503, 503]
        await promote(cluster.second)
        took = await cluster.recover()
        newcomer = await system.register("Made after the failover")
        assert (await cluster.callers.token(newcomer)).status_code == 200
        await as_owner(system.databases.publisher, lambda c: documents.publish(c, RESOURCE, "new", DOCUMENT))
        assert (await cluster.callers.document(f"{PATH}/new")).status_code == 200
        # Whoever listens does so at the new primary.
        await system.heard()
    for answers in (steady.tokens, steady.documents):
        assert Counter(answer.status_code for answer in answers) == {200: len(answers)}
    await _all_is_written(cluster, steady)
    print(f"{end}: others are served {took:.2f} s after the promotion")  # noqa: T201 - shown by -rP


async def _all_is_written(cluster: Cluster, steady: Steady) -> None:
    """See that no event of the outage is missing."""
    issued = {token.headers["x-trace-id"] for token in steady.tokens}

    async def written() -> bool:
        rows = await cluster.callers.system.as_owner(
            lambda c: c.fetch("SELECT trace_id FROM audit_events WHERE action = 'token.issue'")
        )
        return issued <= {row["trace_id"] for row in rows}

    await until(written, WRITTEN_SECONDS)
