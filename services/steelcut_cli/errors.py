"""What ends a command: one sentence for the person at the terminal, and an exit code for the script around it."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The command was understood and cannot be done; the message is the sentence that is shown. Exit code 1."""

    exit_code: ClassVar[int] = 1


class Misuse(Refusal):
    """The command line or the configuration is wrong. Exit code 2."""

    exit_code: ClassVar[int] = 2


class Unwritable(Refusal):
    """What the command has to show finds no place: not ``OSError``, which would be taken for a lost connection."""


class ReaderLeft(Unwritable):
    """Whoever reads it has left, as ``head`` does: the command ends without a word."""

    def __init__(self, message: str = "") -> None:
        """Say nothing, or ``message`` where something is lost by it."""
        super().__init__(message)
