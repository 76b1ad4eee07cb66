"""A primary and its standby by streaming replication, as PostgreSQL's own programs make them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres, _environment, _program, _unprivileged
from tests.support.waiting import until

# What a server needs that is to be copied and followed.
SETTINGS: Final[Mapping[str, str]] = {
    "wal_level": "replica",
    "max_wal_senders": "4",
    "hot_standby": "on",
    # What is acknowledged can be sent.
    "synchronous_commit": "on",
    # In the directory of the cluster: of one that is killed and never started again nothing stays in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
}
CATCH_UP_SECONDS = 20


def primary(directory: Path) -> EmbeddedPostgres:
    """Return a server that can have standbys; to be started."""
    return EmbeddedPostgres(directory, fast=True, settings=SETTINGS)


def standby_of(primary: EmbeddedPostgres, directory: Path) -> EmbeddedPostgres:
    """Copy a primary that runs; what is returned follows it as soon as it is started."""
    cluster = directory / "cluster"
    cluster.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        owner = (primary.directory / "cluster").stat()
        os.chown(cluster, owner.st_uid, owner.st_gid)
    shutil.copy(primary.directory / "password", directory / "password")
    command = [
        *(str(_program("pg_basebackup")), "--pgdata", str(cluster), "--dbname", primary.dsn()),
        *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
    ]
    done = subprocess.run(
        _unprivileged(command, cluster), check=False, capture_output=True, text=True, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    return EmbeddedPostgres(directory, fast=True, settings=SETTINGS)


async def caught_up(primary: EmbeddedPostgres) -> None:
    """Wait until the standby has all that the primary has."""
    connection = await asyncpg.connect(primary.dsn())

    async def same() -> bool:
        return bool(
            await connection.fetchval(
                "SELECT coalesce(bool_and(replay_lsn = pg_current_wal_insert_lsn()), false) FROM pg_stat_replication"
            )
        )

    try:
        await until(same, CATCH_UP_SECONDS)
    finally:
        await connection.close()


async def promote(standby: EmbeddedPostgres) -> None:
    """Make a standby a primary; it is one when this returns."""
    connection = await asyncpg.connect(standby.dsn())
    try:
        assert await connection.fetchval("SELECT pg_promote(wait_seconds => 20)")
    finally:
        await connection.close()


def kill(server: EmbeddedPostgres) -> None:
    """Let a whole server die at once, as when the kernel is out of memory: nothing is told or written any more."""
    assert server.pid is not None
    for pid in (server.pid, *children(server.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
