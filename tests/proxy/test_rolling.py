"""Replicas behind a real nginx are restarted in turn, under load: nobody notices."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.lifecycle.key_operator import new_master_key
from tests.proxy import nginx
from tests.support.databases import Databases
from tests.support.issuer import url_of
from tests.support.plain_http import http_client
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import GRANT, Registered, listen, seed
from tests.support.waiting import until
from tools.programs import Program

DRAIN_SECONDS = 1.5
CALLERS = 8
SECONDS = 20
# Connections to the replicas are kept, as a busy proxy has them: with those a request meets an end unprepared.
SITE = """
upstream auth {{ {servers} keepalive 32; }}
server {{
    listen {front};
    location / {{
        proxy_pass http://auth;
        proxy_http_version 1.1;
        # A token request may be sent twice: what comes of it is a token more.
        proxy_next_upstream error timeout non_idempotent;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
    }}
}}
"""


class Load:
    """Callers who ask for tokens without a pause."""

    def __init__(self, url: str, client: Registered) -> None:
        self._url = url
        self._client = client
        self.statuses: list[int] = []
        self.ended = False

    async def call(self) -> None:
        """Ask until the end."""
        async with http_client(base_url=self._url, timeout=10) as http:
            while not self.ended:
                response = await http.post("/token", data=GRANT, auth=self._client.basic)
                self.statuses.append(response.status_code)

    async def more(self) -> None:
        """Wait until each has been answered some times more."""
        so_far = len(self.statuses)

        async def came() -> bool:
            return len(self.statuses) > so_far + 20 * CALLERS

        await until(came, SECONDS)


@contextlib.asynccontextmanager
async def under(load: Load) -> AsyncIterator[None]:
    """Have callers for the length of a block."""
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(load.call())
        try:
            yield
        finally:
            load.ended = True


@pytest.mark.slow
async def test_no_request_fails_while_replicas_are_restarted(
    databases: Databases, nginx_program: Program, tmp_path: Path
) -> None:
    """Each is told to end and has a successor at its address; all callers get all their tokens."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    drains = {"AUTH_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    listener = listen()
    async with auth_replicas(databases, master_key, 2, **drains) as replicas:
        addresses = [replica.url.removeprefix("http://") for replica in replicas]
        # One that is away for a moment is to be asked again at once: its neighbour is the next to be away.
        servers = " ".join(f"server {address} max_fails=0;" for address in addresses)
        site = SITE.format(servers=servers, front=nginx.address(listener))
        with contextlib.closing(listener), nginx.running(nginx_program, tmp_path, listener, site) as log:
            load = Load(url_of(listener), client)
            async with contextlib.AsyncExitStack() as successors, under(load):
                for replica in replicas:
                    await load.more()
                    replica.process.send_signal(signal.SIGTERM)
                    assert await asyncio.wait_for(replica.process.wait(), SECONDS) == 0
                    port = {"AUTH_PORT": replica.url.rpartition(":")[2]}
                    await successors.enter_async_context(
                        auth_replicas(databases, master_key, 1, **drains, **port)
                    )
                await load.more()
            assert set(load.statuses) == {200}, log.read_text(encoding="utf-8")[-1000:]


async def test_who_ends_says_so(databases: Databases) -> None:
    """After SIGTERM it serves on, is not ready, and ends the connection of each caller with an answer."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    async with auth_replicas(databases, master_key, 1, AUTH_DRAIN_SECONDS="2") as (replica,):
        before = await _token(replica, client)
        replica.process.send_signal(signal.SIGTERM)

        async def not_ready() -> bool:
            probe = await replica.http.get("/readyz")
            return probe.status_code == 503 and probe.json()["checks"]["process"] == "it is about to end"

        await until(not_ready, 1)
        after = await _token(replica, client)
        assert await asyncio.wait_for(replica.process.wait(), SECONDS) == 0
    assert (before.status_code, before.headers.get("connection")) == (200, None)
    assert (after.status_code, after.headers["connection"]) == (200, "close")


async def _token(replica: Replica, client: Registered) -> httpx.Response:
    return await replica.http.post("/token", data=GRANT, auth=client.basic)
