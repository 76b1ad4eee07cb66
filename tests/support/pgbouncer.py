"""A real pgbouncer in transaction mode before the PostgreSQL of the tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres, _unprivileged
from tests.support.databases import Databases, with_port
from tests.support.system import listen
from tests.support.waiting import until
from tools.programs import NotToBeHadError, Program, find

# So few for each role, so that the transactions of different sessions take turns on them.
SERVER_CONNECTIONS: Final = 2
START_SECONDS: Final = 10
STOP_SECONDS: Final = 10

CONFIGURATION: Final = """
[databases]
* = host=127.0.0.1 port={postgres}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {connections}
{more}
"""


@dataclass(frozen=True)
class Pgbouncer:
    """How to run it before one server, on one port, for the roles of ``databases``; ``more`` is configuration."""

    program: Program
    folder: Path
    port: int
    postgres: EmbeddedPostgres
    databases: Databases
    more: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it for the length of the block."""
        urls = [url for each in (self.databases.auth, self.databases.resource) for url in each.roles]
        users = [f'"{urlsplit(url).username}" "{urlsplit(url).password}"' for url in urls]
        (self.folder / "users").write_text("\n".join(users))
        file = self.folder / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                postgres=self.postgres.port,
                port=self.port,
                folder=self.folder,
                connections=SERVER_CONNECTIONS,
                more=self.more,
            )
        )
        log = self.folder / "pgbouncer.log"
        with log.open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                # It refuses root, as PostgreSQL does.
                *_unprivileged([str(self.program.path), str(file)], self.postgres.directory / "cluster"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, **self.program.environment},
            )

        async def answers() -> bool:
            assert process.returncode is None, log.read_text()
            with contextlib.suppress(OSError):
                connection = await asyncpg.connect(
                    with_port(self.databases.auth.runtime, self.port), statement_cache_size=0
                )
                await connection.close()
                return True
            return False

        try:
            await until(answers, START_SECONDS)
            yield
        finally:
            # From 1.23 on it waits for its clients otherwise.
            process.kill()
            await asyncio.wait_for(process.wait(), STOP_SECONDS)


def not_started(postgres: EmbeddedPostgres, databases: Databases, folder: Path) -> Pgbouncer:
    """Return one for a free port, which is not started yet; skips the test where it cannot be had."""
    try:
        program = find("pgbouncer")
    except NotToBeHadError as reason:
        pytest.skip(f"no pgbouncer: {reason}")
    with listen() as free:
        port = free.getsockname()[1]
    return Pgbouncer(program, folder, port, postgres, databases)
