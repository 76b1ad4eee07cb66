"""The services as processes of their own, one uvicorn worker each, and a PostgreSQL that keeps what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import orjson

from benchmarks.load import http
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.system import GRANT, RESOURCE, Registered, seed

_START_SECONDS = 60.0
_OURS = ("AUTH_", "RESOURCE_", "STEELCUT_")


@dataclass(frozen=True)
class Fleet:
    """Both services, with a client that may read the example document."""

    auth: str
    resource: str
    databases: Databases
    client: Registered

    async def document_request(self) -> bytes:
        """Return a protected GET with a fresh token."""
        return http("GET", f"/{RESOURCE}", await self._bearer())

    async def verify_request(self) -> bytes:
        """Return what a proxy asks for a request with a fresh token."""
        return http("GET", f"/verify?resource={RESOURCE}&scope=read", await self._bearer())

    async def _bearer(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.auth}/token", data=GRANT, auth=self.client.basic)
        token = answer.json()["access_token"]
        return f"Authorization: Bearer {token}"


@contextlib.asynccontextmanager
async def fleet(databases: Databases) -> AsyncIterator[Fleet]:
    """Run both services."""
    auth_port, resource_port = free_port(), free_port()
    auth, resource = (f"http://127.0.0.1:{port}" for port in (auth_port, resource_port))
    master_key = new_master_key()
    client = await seed(databases, resource, master_key)
    of_auth = {
        "AUTH_ISSUER": auth,
        "AUTH_PORT": str(auth_port),
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_MASTER_KEY": master_key,
    }
    of_resource = {
        "RESOURCE_ISSUER": auth,
        "RESOURCE_BASE_URL": resource,
        "RESOURCE_PORT": str(resource_port),
        "RESOURCE_DATABASE_URL": databases.resource.runtime,
    }
    async with (
        running("auth_service", f"{auth}/readyz", of_auth),
        running("resource_service", f"{resource}/readyz", of_resource),
    ):
        yield Fleet(auth, resource, databases, client)


@contextlib.asynccontextmanager
async def floor_of(url: str, request: bytes) -> AsyncIterator[str]:
    """Run a bare application that answers what the service at ``url`` answers to ``request``; give its URL."""
    answer = await _answer(url, request)
    port = free_port()
    floor = f"http://127.0.0.1:{port}"
    environment = {"FLOOR_PORT": str(port), "FLOOR_ANSWER": orjson.dumps(answer).decode()}
    async with running("benchmarks.floor", floor, environment):
        yield floor


@contextlib.asynccontextmanager
async def running(module: str, probe: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """Run ``python -m module`` and wait until ``probe`` answers well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module), env=kept | environment, stdout=log, stderr=log
        )
        try:
            await _until_ready(probe, process)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _until_ready(probe: str, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + _START_SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(probe)).is_success:
                    return
            await asyncio.sleep(0.02)
    raise RuntimeError(f"{probe} does not answer")


async def _answer(url: str, request: bytes) -> dict[str, object]:
    head, _, body = request.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    headers.pop("Host")
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.request(method, path, headers=headers, content=body)
    answer.raise_for_status()
    return {"headers": answer.headers.multi_items(), "body": answer.text}


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
