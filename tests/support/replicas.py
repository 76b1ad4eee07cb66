"""Replicas of a service: processes of their own, as an operator runs them, on one database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import IO, Any

import httpx

from tests.support import logged
from tests.support.databases import Databases
from tests.support.plain_http import NO_TLS, http_client
from tests.support.system import GRANT, Registered
from tests.support.waiting import until

START_SECONDS = 60.0
_OURS = ("AUTH_", "RESOURCE_", "STEELCUT_")


@dataclass(frozen=True)
class Replica:
    """One process; ``http`` keeps its connection."""

    url: str
    process: asyncio.subprocess.Process
    http: httpx.AsyncClient
    log: IO[bytes] = field(repr=False)

    def said(self) -> str:
        """Return what it wrote so far."""
        # Not by reading on: the process writes where this file stands.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    async def ask(self, client: Registered, **form: Any) -> tuple[int, dict[str, Any]]:
        """Post a token request; return the status and the answer."""
        response = await self.http.post("/token", data={**GRANT, **form}, auth=client.basic)
        return response.status_code, response.json()


@contextlib.asynccontextmanager
async def auth_replicas(
    databases: Databases, master_key: str, count: int = 2, **environment: str
) -> AsyncIterator[list[Replica]]:
    """Run ``count`` processes of the auth service, ready, under one issuer; ``environment`` goes to each."""
    variables = {
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_MASTER_KEY": master_key,
        "AUTH_ISSUER": "http://127.0.0.1:8000",
        **environment,
    }
    async with _replicas("auth", variables, count) as replicas:
        yield replicas


@contextlib.asynccontextmanager
async def resource_replicas(
    databases: Databases, issuer: str, base_url: str, count: int = 2, **environment: str
) -> AsyncIterator[list[Replica]]:
    """Run ``count`` processes of the resource service, ready, that publish too and are seen under one URL."""
    variables = {
        "RESOURCE_DATABASE_URL": databases.resource.runtime,
        "RESOURCE_PUBLISHER_DATABASE_URL": databases.publisher,
        "RESOURCE_ISSUER": issuer,
        "RESOURCE_BASE_URL": base_url,
        **environment,
    }
    async with _replicas("resource", variables, count) as replicas:
        yield replicas


@contextlib.asynccontextmanager
async def _replicas(service: str, variables: dict[str, str], count: int) -> AsyncIterator[list[Replica]]:
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as starting:
            replicas = [
                starting.create_task(
                    stack.enter_async_context(running(f"{service}_service", service, variables))
                )
                for _ in range(count)
            ]
        yield [replica.result() for replica in replicas]


@contextlib.asynccontextmanager
async def running(
    module: str, service: str, environment: dict[str, str], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Replica]:
    """Run ``python -m module``, ready, on a free port unless ``environment`` names one, as a service does."""
    port = environment.get(f"{service.upper()}_PORT") or str(free_port())
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
        f"{service.upper()}_PORT": port,
        **environment,
    }
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module), env=variables, stdout=log, stderr=log
        )
        try:
            async with http_client(base_url=url, timeout=10, verify=tls or NO_TLS) as http:
                await _until_ready(http, process, log)
                yield Replica(url, process, http, log)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            logged.look_at(log)


async def _until_ready(http: httpx.AsyncClient, process: asyncio.subprocess.Process, log: Any) -> None:
    async def ready() -> bool:
        if process.returncode is not None:
            log.seek(0)
            raise AssertionError(f"the service did not start:\n{log.read().decode()}")
        try:
            return (await http.get("/readyz")).is_success
        except httpx.TransportError:
            return False

    await until(ready, START_SECONDS)


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
