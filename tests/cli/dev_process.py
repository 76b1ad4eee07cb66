"""`steelcut dev` as a process, and what it starts."""

from __future__ import annotations

import contextlib
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from steelcut_cli.dev import embedded_postgres
from tests.cli import terminal
from tests.support import logged

READY = "Both services keep running."
PATIENCE_SECONDS = 60.0
SERVICES = ("auth_service", "resource_service")


@dataclass
class Dev:
    """One running `steelcut dev`; ``screen`` is what it has printed."""

    process: subprocess.Popen[str]
    state: Path
    screen: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """What a shell knows after reading dev.env."""
        lines = (self.state / "dev.env").read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if not line.startswith("#"))
        return {name: shlex.split(value)[0] for name, value in pairs}

    @property
    def children(self) -> dict[str, int]:
        """The processes that it started, by what they are."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                if parent == self.process.pid:
                    found[words[2] if words[1] == "-m" else Path(words[0]).name] = int(folder.name)
        return found

    def readuntil(self, text: str) -> None:
        """Read the screen until ``text`` stands on it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.screen += line
            if text in line:
                return
        raise AssertionError(f"{self.screen}\n{self.process.communicate()}")

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what stood on stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        logged.look(err)
        self.screen += out
        return self.process.returncode, err


@contextlib.contextmanager
def started(
    state: Path, *options: str, env: Mapping[str, str] | None = None, strict: bool = True
) -> Iterator[Dev]:
    """Start it, by default on free ports; a test that fails leaves nothing running."""
    ports = ("--auth-port", str(free_port()), "--resource-port", str(free_port()))
    arguments = ("dev", "--state", str(state), *(options or ports))
    with terminal.process(*arguments, env=env, strict=strict) as process:
        try:
            yield Dev(process, state)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=PATIENCE_SECONDS)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds. Fails after ``PATIENCE_SECONDS``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Say whether no such process is left."""
    return not embedded_postgres._is_alive(pid)
