"""The network between a service and its database stalls, loses connections or cuts them, and is well again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from resource_service import documents
from steelcut.service.database.postgres import REQUEST_SECONDS
from tests.faults.callers import PATH, RECOVERY_SECONDS, YOUNG, Callers, known, status_within
from tests.support.databases import Databases, port_of
from tests.support.system import DOCUMENT, RESOURCE, System, as_owner, running_system
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until

KNOWN_SECONDS = 1.0
REFUSED_SECONDS = REQUEST_SECONDS + 0.2
CONNECTIONS = 10


@dataclass
class Behind:
    """A system that reaches its databases by a proxy."""

    proxy: TcpProxy
    system: System
    callers: Callers

    async def served(self) -> None:
        """See that the known are served at once, token and document."""
        for answer in (self.callers.token(), self.callers.document()):
            assert await status_within(answer, KNOWN_SECONDS) == 200

    async def refused(self) -> None:
        """See that others are told to come again within 2 s, of both services and all at once."""
        stranger = await self.system.register("Stranger")
        asked = [
            *(self.callers.token(stranger) for _ in range(3)),
            *(self.callers.document(f"{PATH}/unheard-of-{number}") for number in range(3)),
        ]
        statuses = await asyncio.gather(*(status_within(one, REFUSED_SECONDS) for one in asked))
        assert set(statuses) == {503}

    async def recovers(self) -> None:
        """See that others are served within a second from now on, however many come at once."""
        stranger = await self.system.register("Comes later")

        async def recovered() -> bool:
            answers = await asyncio.gather(self.callers.token(stranger), *self._documents())
            return {answer.status_code for answer in answers} == {200}

        await until(recovered, RECOVERY_SECONDS)

    def _documents(self) -> list[Awaitable[httpx.Response]]:
        # Each is read by itself, on a connection of its own.
        return [self.callers.document(f"{PATH}/{number}") for number in range(CONNECTIONS)]


@pytest.fixture
async def behind(databases: Databases) -> AsyncIterator[Behind]:
    """A system that knows a client and a document, behind a proxy, with several connections open."""

    async def publish(connection: Any) -> None:
        for number in range(CONNECTIONS):
            await documents.publish(connection, RESOURCE, str(number), DOCUMENT)

    await as_owner(databases.resource.owner, publish)
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy.before(port_of(databases.auth.runtime)))
        system = await stack.enter_async_context(running_system(databases.through(proxy.port), **YOUNG))
        await open_connections(system)
        callers = await stack.enter_async_context(known(system))
        yield Behind(proxy, system, callers)
        proxy.resume()


async def open_connections(system: System) -> None:
    """Let both pools hold several connections, all idle."""
    for app in (system.auth_app, system.resource_app):
        database: Any = app.state.process.database
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(CONNECTIONS):
                await stack.enter_async_context(database.connection())


@pytest.mark.long
async def test_stall_on_the_way(behind: Behind) -> None:
    """Whoever is known goes on, others hear 503 within 2 s, and all is well as soon as bytes pass again."""
    behind.proxy.stall()
    await behind.refused()
    await behind.served()
    await behind.refused()
    behind.proxy.resume()
    await behind.recovers()


@pytest.mark.long
async def test_answers_are_held_back(behind: Behind) -> None:
    """The same where the database gets every statement, and nobody hears of it."""
    behind.proxy.stall_answers()
    await behind.refused()
    await behind.served()
    behind.proxy.resume()
    await behind.recovers()


@pytest.mark.long
async def test_connections_are_lost_in_silence(behind: Behind) -> None:
    """After a stall the old connections lead nowhere: nobody waits on one after the other until all are gone."""
    behind.proxy.stall()
    await behind.refused()
    behind.proxy.lose()
    await behind.recovers()
    await behind.served()


async def test_connections_are_cut(behind: Behind) -> None:
    """A network that resets every connection: 503 at once for others, and the same return."""
    behind.proxy.cut()
    await behind.served()
    await behind.refused()
    behind.proxy.resume()
    await behind.recovers()
