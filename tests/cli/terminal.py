"""The command as somebody at a terminal runs it: in this process where that shows enough, else as a process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO
from unittest import mock

from steelcut_cli import main
from tests.support import logged

# As `steelcut` from the environment's bin folder, which is there only once the project is installed.
COMMAND: Final = (sys.executable, "-W", "error", "-c", "from steelcut_cli.main import run; run()")
# As a shell gives it: Ctrl-C goes to who has the terminal.
TAKE_TERMINAL: Final = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
OURS: Final = ("AUTH_", "RESOURCE_", "STEELCUT_")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one sentence on stderr, without the name of the program."""
        (line,) = self.err.splitlines()
        assert line.startswith("steelcut: ")
        assert self.out == ""
        return line.removeprefix("steelcut: ")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with ``given``, and nothing else that any command of ours reads."""
    neutral = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**neutral, "COLUMNS": "200", "NO_COLOR": "1", **given}


def run(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"", typed: str | None = None
) -> Outcome:
    """Run the command in this process, without a terminal, unless something is ``typed`` at one.

    Not from a running event loop: it starts its own.
    """
    with _keyboard(typed) if typed is not None else io.TextIOWrapper(io.BytesIO(stdin)) as given:
        return _run(arguments, environment(env or {}), given)


@contextmanager
def _keyboard(typed: str) -> Iterator[TextIO]:
    ours, theirs = os.openpty()
    os.write(ours, typed.encode())
    with os.fdopen(theirs) as given:
        yield given
    os.close(ours)


def _run(arguments: tuple[str, ...], variables: dict[str, str], given: TextIO) -> Outcome:
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with (
        mock.patch.dict(os.environ, variables, clear=True),
        mock.patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main.run(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    said = _text(err)
    logged.look(said)
    return Outcome(code, _text(out), said)


def process(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, strict: bool = True
) -> subprocess.Popen[str]:
    """Start the command as a process of its own, with pipes in the place of the terminal.

    Not ``strict``, it takes warnings as a person's Python does: Ctrl-C between two instructions may leave a file open.
    """
    command = COMMAND if strict else (COMMAND[0], *COMMAND[3:])
    return subprocess.Popen(
        [*command, *arguments],
        env=environment(env or {}),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def at_keyboard(*arguments: str, env: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the command at a terminal of its own; gives the process, and where to write what somebody types."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*COMMAND[:-1], TAKE_TERMINAL + COMMAND[-1], *arguments],
        env=environment(env),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        yield process, ours
    os.close(ours)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.detach()
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
