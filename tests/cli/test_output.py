"""What a command prints finds no place: the disk is full, the reader has left, or there never was one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping

import pytest

from tests.cli import terminal
from tests.cli.conftest import Steelcut

FULL = "The output cannot be written: No space left on device."
CLOSED = "The output cannot be written: Bad file descriptor."


def run(redirection: str, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
    """Run a command by a shell that redirects its output; return how it ended and what it said on stderr."""
    ended = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *terminal.COMMAND, *arguments],
        env=terminal.environment(env or {}),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ended.returncode, [line.removeprefix("steelcut: ") for line in ended.stderr.splitlines()]


@pytest.mark.parametrize(
    ("redirection", "argument", "said"),
    [(">/dev/full", "env", FULL), (">/dev/full", "--help", FULL), (">&-", "env", CLOSED)],
)
def test_output_without_a_place_is_a_sentence(redirection: str, argument: str, said: str) -> None:
    """With exit code 1: a script must not take it for done."""
    assert run(redirection, argument) == (1, [said])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_that_has_left_ends_the_command(unbuffered: str) -> None:
    """`steelcut env --table | true`: exit code 1 and no word, with the first line or with the last one."""
    with subprocess.Popen(
        [*terminal.COMMAND, "env", "--table"],
        env=terminal.environment({"PYTHONUNBUFFERED": unbuffered}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1


async def test_secret_that_nobody_has_seen_is_told(steelcut: Steelcut, operator: dict[str, str]) -> None:
    """The client is there, and its secret is gone: the sentence says how to get another."""
    await steelcut("resources", "create", "api", "-s", "read")
    create = ("clients", "create", "Billing", "--client-id", "billing", "-g", "api=read")
    code, said = await asyncio.to_thread(run, ">/dev/full", *create, env=operator)
    fault, otherwise = said
    assert (code, fault) == (1, FULL)
    assert otherwise.startswith("The client billing was made all the same, and nobody has seen its secret: ")
    (secret,) = (await steelcut("secrets", "list", "billing", "--json")).json

    add = ("secrets", "add", "billing", "--json")
    code, said = await asyncio.to_thread(run, ">&-", *add, env=operator)
    fault, otherwise = said
    assert (code, fault) == (1, CLOSED)
    added = {row["secret_id"] for row in (await steelcut("secrets", "list", "billing", "--json")).json}
    (unseen,) = added - {secret["secret_id"]}
    assert otherwise.startswith(f"The secret {unseen} was added all the same, and nobody has seen it: ")

    # While the connection is open, whose loss would be the same kind of error.
    told = await asyncio.to_thread(run, ">/dev/full", "audit", "search", "--all", env=operator)
    assert told == (1, [FULL])


async def test_follower_ends_when_its_reader_has_left(steelcut: Steelcut, operator: dict[str, str]) -> None:
    """`steelcut audit tail --follow | head -1`: not only with the next event, for which one may wait for days."""
    await steelcut("resources", "create", "api", "-s", "read")
    with terminal.process("audit", "tail", "--follow", env=operator) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "resource.create" in await asyncio.to_thread(process.stdout.readline)
        process.stdout.close()
        try:
            assert await asyncio.to_thread(process.wait, 20) == 1
        finally:
            process.kill()
        assert process.stderr.read() == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_fault_that_nobody_hears_is_an_exit_code(redirection: str, unbuffered: str) -> None:
    """With stderr closed or full, too, and no traceback anywhere."""
    assert run(redirection, "token", env={"PYTHONUNBUFFERED": unbuffered}) == (2, [])
