"""What the commands of the benchmarks have in common: the file of their figures, and how they end."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

import orjson

from benchmarks.wrk import LoadError
from steelcut_cli.errors import Refusal
from tools.programs import NotToBeHadError

# What ends a measurement by a sentence of its own; what was measured before is worth as much as it was.
FAULTS: Final = (LoadError, NotToBeHadError, Refusal, RuntimeError, OSError)


def say(sentence: str) -> None:
    """Tell the person at the terminal, beside the tables."""
    sys.stderr.write(f"{sentence}\n")


def sentence(fault: BaseException) -> str:
    """Return what it says, with one full stop."""
    return f"{str(fault).removesuffix('.')}."


def at_least_one(text: str) -> int:
    """Return the number of an option."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def writable(text: str) -> Path:
    """Return the file of an option, which can be written: half an hour later it would be too late to find out."""
    file = Path(text)
    there = file.exists()
    try:
        file.open("ab").close()
    except OSError as fault:
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {fault.strerror}") from None
    if not there:
        file.unlink()
    return file


def write(file: Path | None, figures: Mapping[str, Any], *, whole: bool) -> None:
    """Write what was measured so far; a page of the manual takes a ``whole`` run only."""
    if file is not None:
        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        file.write_bytes(orjson.dumps({**figures, "whole": whole}, option=options) + b"\n")


def to_its_end(main: Callable[[], int]) -> int:
    """Return the exit status of ``main``; SIGTERM ends it as Ctrl-C does: what was started is stopped, and said."""
    received = signal.SIGINT

    def terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal received
        received = signal.SIGTERM
        # Which asyncio takes for a cancellation, and the rest of Python for an exception.
        signal.raise_signal(signal.SIGINT)

    # A shell that starts a command in the background has it ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, terminate)
    try:
        return main()
    except KeyboardInterrupt:
        say(
            f"Ended by {received.name}: what was started is stopped. What was measured is kept where --json says."
        )
        return 128 + received
