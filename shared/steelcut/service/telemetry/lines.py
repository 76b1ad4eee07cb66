"""Lines on their way out: those of one turn of the event loop leave by one system call.

A busy service has several requests answered in one turn; a system call for the line of each would cost more than
making the line.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import BinaryIO, TextIO


class Lines:
    """Writes whole lines to ``target``; where no event loop runs, at once.

    What a kill -9 can take away are the lines of the turn in which it comes.
    """

    def __init__(self, target: BinaryIO, stream: TextIO | None = None) -> None:
        """Write to ``target``, which is flushed after each write; ``stream`` is what it belongs to, and closes it."""
        self._target = target
        self._stream = stream
        self._kept: list[bytes] = []
        # The one that has been asked to write; a loop that ended before it did must not silence those after it.
        self._loop: asyncio.AbstractEventLoop | None = None

    def msg(self, line: bytes) -> None:
        """Write ``line``, with an end."""
        self._kept += (line, b"\n")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._write)

    debug = info = warning = error = critical = exception = msg

    def _write(self) -> None:
        self._loop = None
        kept, self._kept = self._kept, []
        # Nobody is left to tell that the reader of the log has gone, or the disk is full; requests are answered on.
        with contextlib.suppress(OSError, ValueError):
            self._target.write(b"".join(kept))
            self._target.flush()


class LinesOfText:
    """The same for a stream that takes text alone, as those of a test do: at once."""

    def __init__(self, target: TextIO) -> None:
        """Write to ``target``."""
        self._target = target

    def msg(self, line: bytes) -> None:
        """Write ``line``, with an end."""
        self._target.write(line.decode() + "\n")

    debug = info = warning = error = critical = exception = msg
