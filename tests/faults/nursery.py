"""Auth processes by the dozen, so that many can be killed in a short time.

Most of a start is importing. ``python -m tests.faults.nursery`` does it once and then forks a process for each line
that it reads; what runs in the fork, from the reading of its environment to its last breath, is the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson
import uvicorn

from auth_service.app import create_app
from tests.faults.operators import ISSUER
from tests.support import logged
from tests.support.databases import Databases

_ROOT = Path(__file__).parents[2]
# Enough to make the application, and never used.
_NOWHERE = {
    "AUTH_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "AUTH_MASTER_KEY": "A" * 43 + "=",
    "AUTH_ADMIN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "AUTH_ISSUER": ISSUER,
}
_OURS = ("AUTH_", "RESOURCE_", "STEELCUT_")


@dataclass(frozen=True)
class Life:
    """One auth process; connections wait in the backlog of its socket until it serves them."""

    pid: int
    url: str

    def kill(self) -> None:
        """End it as the kernel does when memory is out: no handler runs, nothing is flushed."""
        os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Nursery:
    """Starts auth processes; ``log`` holds what they wrote."""

    process: asyncio.subprocess.Process
    log: IO[bytes]
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, **environment: str) -> Life:
        """Start one with these variables."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self._asking:
            self.process.stdin.write(orjson.dumps(environment) + b"\n")
            line = await self.process.stdout.readline()
        assert line, self.said()
        pid, port = line.split()
        return Life(int(pid), f"http://127.0.0.1:{int(port)}")

    def said(self) -> str:
        """Return the last of what all of them logged."""
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - 4000))
        return self.log.read().decode(errors="replace")


def service_environment(databases: Databases, master_key: str, pool_size: int) -> dict[str, str]:
    """Return the variables of an auth process that may administer."""
    return {
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_ADMIN_DATABASE_URL": databases.auth_admin,
        "AUTH_DATABASE_POOL_SIZE": str(pool_size),
        "AUTH_MASTER_KEY": master_key,
        "AUTH_ISSUER": ISSUER,
    }


@contextlib.asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """Run the process that forks the others; all of them end with the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.nursery"),
            cwd=_ROOT,
            env=kept,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        try:
            yield Nursery(process, log)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            logged.look_at(log)


def _main() -> None:
    # The kernel reaps the killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _warm_up()
    begun = []
    try:
        for line in sys.stdin:
            # The protocol is named because asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen(64)
                pid = os.fork()
                if not pid:
                    _live(listener, orjson.loads(line))
                begun.append(pid)
                sys.stdout.write(f"{pid} {listener.getsockname()[1]}\n")
                sys.stdout.flush()
    finally:
        for pid in begun:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _warm_up() -> None:
    """Import also what is not imported before it is needed."""
    os.environ.update(_NOWHERE)
    _config().load()
    for name in _NOWHERE:
        del os.environ[name]


def _config() -> uvicorn.Config:
    return uvicorn.Config(create_app(), log_config=None, access_log=False, lifespan="on")


def _live(listener: socket.socket, environment: dict[str, str]) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.update(environment)
        # What it logs must not reach the pipe on which the nursery answers.
        os.dup2(2, 1)
        uvicorn.Server(_config()).run(sockets=[listener])
    finally:
        os._exit(1)


if __name__ == "__main__":
    _main()
