"""Servers as processes of their own, their logs in files: the two services, and whatever else is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.consumption import family
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.system import GRANT, Registered, seed

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_OURS = ("AUTH_", "RESOURCE_", "STEELCUT_")
_NOT_READY = httpx.codes.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Fleet:
    """Both services, each one process, with a client that may read the example document."""

    auth: str
    auth_pid: int
    resource: str
    resource_pid: int
    databases: Databases
    client: Registered

    async def bearer(self) -> str:
        """Return the value of an ``Authorization`` header, with a fresh token."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.auth}/token", data=GRANT, auth=self.client.basic)
        return f"Bearer {answer.raise_for_status().json()['access_token']}"


@dataclass(frozen=True)
class Seeded:
    """Databases with a key, a client and a document, and what both services are told to serve them."""

    auth: str
    resource: str
    of_auth: Mapping[str, str]
    of_resource: Mapping[str, str]
    databases: Databases
    client: Registered

    def auth_service(self, **settings: str) -> AbstractAsyncContextManager[int]:
        """Run ``python -m auth_service`` by its default settings, but for ``settings``."""
        environment = {**self.of_auth, **settings}
        return running([sys.executable, "-m", "auth_service"], f"{self.auth}/readyz", environment)

    def resource_service(self, **settings: str) -> AbstractAsyncContextManager[int]:
        """Run ``python -m resource_service`` in the same way."""
        environment = {**self.of_resource, **settings}
        return running([sys.executable, "-m", "resource_service"], f"{self.resource}/readyz", environment)


async def seeded(databases: Databases) -> Seeded:
    """Fill ``databases`` with what both services need, and find them ports."""
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
    return Seeded(auth, resource, of_auth, of_resource, databases, client)


@contextlib.asynccontextmanager
async def fleet(databases: Databases) -> AsyncIterator[Fleet]:
    """Run both services as ``python -m auth_service`` and ``python -m resource_service``, by their default settings."""
    ours = await seeded(databases)
    async with ours.auth_service() as auth_pid, ours.resource_service() as resource_pid:
        yield Fleet(ours.auth, auth_pid, ours.resource, resource_pid, databases, ours.client)


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str],
    probe: str,
    environment: Mapping[str, str] | None = None,
    *,
    given: bytes = b"",
    folder: str | None = None,
) -> AsyncIterator[int]:
    """Run ``command`` in ``folder``, with ``given`` as its standard input, and give its process id.

    It is ready when it answers at the URL ``probe``, whatever but 503; it and nobody who had the port before it. Raises
    ``RuntimeError``, with the end of its log, when it does not.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as read:
        read.write(given)
        read.seek(0)
        process = await asyncio.create_subprocess_exec(
            *command, env={**kept, **(environment or {})}, stdin=read, stdout=log, stderr=log, cwd=folder
        )
        try:
            if not await _is_ready(probe, process):
                log.seek(0)
                said = log.read()[-1000:].decode(errors="replace")
                raise RuntimeError(f"{' '.join(command[:4])} does not answer at {probe}. It said: {said}")
            yield process.pid
        finally:
            await _stop(process)


async def _is_ready(probe: str, process: asyncio.subprocess.Process) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < deadline and process.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                ready = (await client.get(probe)).status_code != _NOT_READY
                if ready and _listens(process.pid, urlsplit(probe).port or 80):
                    return True
            await asyncio.sleep(0.02)
    return False


def _listens(pid: int, port: int) -> bool:
    """Return whether the process, or one that descends from it, listens on the port, as Linux has it in ``/proc``."""
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else ():
            # Its place, local and remote address, state (0A: it listens), …, and as the tenth the socket's inode.
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    return any(not sockets.isdisjoint(_open_files(member)) for member in family([pid]))


def _open_files(pid: int) -> Iterator[str]:
    # What is closed meanwhile, or ends, is passed over.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield str(file.readlink())


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
    if process.returncode is None:
        process.kill()
    await process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
