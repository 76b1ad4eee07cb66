"""The end of a process to which others still send: it is told first, and carried out a moment later.

A proxy that has connections open to a process, or picks it for the next request, cannot know that it ends before it is
told. So for ``drain_seconds`` after SIGTERM the process goes on serving, says at ``/readyz`` that it is not ready, and
ends each connection with its next answer.
"""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Final

# What the scope of a request has that is being answered when the server ends.
ENDED: Final = "ended"


class Ending:
    """Whether this process is about to end."""

    def __init__(self, drain_seconds: float) -> None:
        """Serve for ``drain_seconds`` after SIGTERM; 0 ends at once."""
        self.is_told = False
        self._seconds = drain_seconds

    def tell_first(self) -> None:
        """Put the time in which it is told between SIGTERM and what would follow on it; a second SIGTERM is at once."""
        loop = asyncio.get_running_loop()
        carry_out = signal.getsignal(signal.SIGTERM)
        assert callable(carry_out)  # noqa: S101 - the server's own, which runs by now

        def told(number: int, frame: FrameType | None) -> None:
            if self.is_told or not self._seconds:
                carry_out(number, frame)
                return
            self.is_told = True
            loop.call_soon_threadsafe(loop.call_later, self._seconds, carry_out, number, None)

        signal.signal(signal.SIGTERM, told)
