"""What the command line of the benchmarks takes, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import Results, main
from benchmarks.command import writable
from benchmarks.table import Row

# A measurement that starts something, and cleans up behind itself.
ENDLESS = """
import asyncio, os, signal, sys
from benchmarks.command import to_its_end

async def measure():
    try:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up")

def main():
    asyncio.run(measure())
    return 0

sys.exit(to_its_end(main))
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "token,tokens"], "'tokens' is none of token, token-numbered, token-of-many, document"),
        (["--pairs", "0"], "'0' is not a whole number from 1 on"),
        (["--seconds", "1.5"], "'1.5' is not a whole number from 1 on"),
        (["--json", "/nowhere/run.json"], "/nowhere/run.json cannot be written: No such file or directory"),
    ],
    ids=["unknown-name", "no-pair", "half-a-second", "no-folder"],
)
def test_a_mistake_is_named(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started; the exit status is that of a command that was not understood."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    """Until there is something to write; one that is not there yet is not made for nothing."""
    there = tmp_path / "there"
    there.write_text("figures", encoding="utf-8")
    assert writable(str(there)).read_text(encoding="utf-8") == "figures"
    assert not writable(str(tmp_path / "not-there")).exists()


async def figures() -> AsyncIterator[Row]:
    """A part that can be measured."""
    yield Row("something", "figure", 1.0)


async def broken(results: Results, *_: object) -> None:
    """A part of which a half fails."""
    await results.take("the first", figures())
    raise RuntimeError("python -m auth_service does not answer")


def test_what_was_measured_before_a_fault_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run fails by a sentence, and its file says that it is not a whole one."""
    file = tmp_path / "run.json"
    options = Namespace(only=["library"], quick=False, pairs=None, seconds=None, json=file)
    monkeypatch.setattr(bench, "_options", lambda: options)
    monkeypatch.setattr(bench, "_others", lambda _, results: asyncio.run(broken(results)))
    assert main() == 1
    assert capsys.readouterr().err == "python -m auth_service does not answer.\n"
    kept = orjson.loads(file.read_bytes())
    assert (list(kept["results"]), kept["whole"]) == (["the first"], False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_by_a_sentence(name: str) -> None:
    """What was started is stopped before, and the exit status names the signal."""
    # As a shell starts what runs in the background.
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", ENDLESS, name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == "cleaned up\n"
    assert done.stderr.startswith(f"Ended by {name}: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 128 + signal.Signals[name]
