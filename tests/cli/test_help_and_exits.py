"""The command teaches by its help, and ends as scripts expect."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from steelcut_cli import connections, main, output
from tests.cli import terminal
from tests.cli.conftest import Steelcut


def _commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        yield from _commands(child, (*path, name))


COMMANDS = list(_commands(main.command))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_examples_that_begin_with_the_command(path: tuple[str, ...]) -> None:
    """Whoever asks for help sees a line to copy."""
    shown = terminal.run(*path, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert "Examples" in shown.out
    assert f"steelcut {' '.join(path)}" in shown.out.split("Examples")[1]


def test_all_commands_are_there() -> None:
    """What the README promises."""
    assert {" ".join(path) for path in COMMANDS} == {
        *("doctor explain", "dev", "token", "fetch", "env", "export", "db upgrade", "db check"),
        *("keys create", "keys list", "keys rotate", "keys promote", "keys retire", "keys revoke"),
        *("keys export", "keys reseal", "keys store-master-key"),
        *("resources create", "resources list", "resources show", "resources update", "resources delete"),
        *("resources callers", "scopes list", "scopes unused", "clients unused", "clients wasteful"),
        *("audit search", "audit tail", "audit maintain", "admin create"),
        *("clients create", "clients list", "clients show", "clients update", "clients delete"),
        *("clients disable", "clients enable"),
        *("secrets add", "secrets list", "secrets rotate", "secrets expire", "secrets revoke"),
        "admin create",
        *("documents publish", "documents list", "documents delete"),
        *("import steelcut-oauth", "import hydra", "import django-oauth-toolkit", "import json-lines"),
    }


@pytest.mark.parametrize(
    "arguments", [[], ["keys"], ["db"], ["clients"], ["secrets"], ["resources"], ["scopes"], ["documents"]]
)
def test_half_a_command_shows_help(arguments: list[str]) -> None:
    """Not an error message about something missing."""
    shown = terminal.run(*arguments)
    assert shown.code == 2
    assert "Usage" in shown.out + shown.err
    assert "Commands" in shown.out + shown.err


def test_version() -> None:
    """Of the distribution."""
    assert terminal.run("--version").out == f"{version('steelcut')}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["keys", "nonsense"], ["token", "--nonsense"], ["dev", "x"]]
)
def test_wrong_command_line_exits_2(arguments: list[str]) -> None:
    """As every command does."""
    assert terminal.run(*arguments).code == 2


async def test_the_unexpected_is_a_sentence_too(steelcut: Steelcut, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, and nothing of a message that may hold a secret."""

    def broken(*_: object) -> None:
        raise LookupError("secret-word")

    monkeypatch.setattr(connections, "with_connection", broken)
    refused = await steelcut("keys", "list")
    assert refused.code == 1
    assert refused.sentence.startswith("unexpected LookupError; ")
    told = await steelcut("keys", "list", env={main.TRACEBACK_VARIABLE: "1"})
    assert "Traceback" in told.err


def test_core_alone_says_what_to_install() -> None:
    """`pip install steelcut` without the extra brings the library; the command then says what it needs."""
    without_typer = "import sys; sys.modules['typer'] = None; from steelcut_cli.__main__ import run; run()"
    ended = subprocess.run([sys.executable, "-c", without_typer], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "pip install 'steelcut[server]'" in ended.stderr


def test_interrupt_exits_130_without_a_traceback() -> None:
    """Ctrl-C while the command waits for a server that does not answer."""
    with subprocess.Popen(
        [*terminal.COMMAND, "documents", "publish", "x", "-"],
        env=terminal.environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        # More than a pipe holds: once it is written, the command has come to where it reads.
        process.stdin.write(b" " * 1_000_000)
        process.stdin.flush()
        # Again, if need be: Python misses a signal that comes right before it blocks.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.returncode, process.stdout.read(), process.stderr.read()) == (130, b"", b"")


@pytest.mark.parametrize(
    ("module", "within"),
    [
        ("steelcut_cli", "steelcut_cli.main"),
        ("auth_service", "auth_service.settings"),
        ("resource_service", "steelcut.service.process.serving"),
    ],
)
def test_interrupt_in_the_first_moments_exits_130_without_a_traceback(module: str, within: str) -> None:
    """Ctrl-C while everything is imported."""
    program = (
        "import runpy, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {within!r}: signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


def test_interrupt_at_a_prompt_exits_130() -> None:
    """As everywhere; the end of the input is another thing."""
    with terminal.at_keyboard(
        "token", env={"STEELCUT_ISSUER": "http://127.0.0.1:1", "STEELCUT_CLIENT_ID": "x"}
    ) as (
        process,
        keyboard,
    ):
        assert process.stderr is not None
        asked = process.stderr.read(len("Client secret:"))
        assert asked == "Client secret:"
        os.write(keyboard, b"\x03")
        said = process.stderr.read()
    assert process.returncode == 130
    assert "Aborted" not in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminal_that_has_not_every_letter(encoding: str) -> None:
    """It is shown as much as it can show, and programs all of it."""
    for arguments in (["env", "--example"], ["clients", "create", "--help"]):
        shown = subprocess.run(
            [*terminal.COMMAND, *arguments],
            env=terminal.environment({"PYTHONIOENCODING": encoding}),
            capture_output=True,
            check=False,
        )
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert b"\\u2026" in shown.stdout


def test_json_for_a_terminal_that_has_not_every_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is JSON all the same, by JSON's own escapes."""
    written = io.BytesIO()
    monkeypatch.setattr(
        "sys.stdout", io.TextIOWrapper(written, encoding="latin-1", errors="backslashreplace")
    )
    output.json_document({"name": "Zoë → €"})
    sys.stdout.flush()
    assert json.loads(written.getvalue()) == {"name": "Zoë → €"}


def test_help_fills_its_lines() -> None:
    """As wide as the terminal is, not as the source."""
    shown = terminal.run("secrets", "list", "--help", env={"COLUMNS": "80"})
    assert (
        "List a client's secrets: when each was last used and from where, and which can\n be revoked."
        in "\n".join(line.rstrip() for line in shown.out.splitlines())
    )


def test_directory_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    """`steelcut dev` where somebody has removed the current directory."""
    gone = tmp_path / "gone"
    gone.mkdir()
    with contextlib.chdir(tmp_path):
        os.chdir(gone)
        gone.rmdir()
        refused = terminal.run("dev", "--once")
    assert refused.sentence == "The current directory is no longer there: change into another one."
