"""An end to an HTTP exchange that would have none: httpx's time-outs are for each read, and a byte begins another."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any


class Deadline:
    """Cuts the connection of a request when its time is over, whatever trickles in meanwhile.

    ``trace`` is for httpx's request extension of that name, by which the connection becomes known.
    """

    def __init__(self) -> None:
        self.is_over: bool = False
        self._socket: socket.socket | None = None

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[Deadline]:
        """Let the block have ``seconds``."""
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        with contextlib.suppress(RuntimeError):  # no thread can be had, as while the interpreter ends
            timer.start()
        try:
            yield self
        finally:
            timer.cancel()

    def trace(self, event: str, details: dict[str, Any]) -> None:
        """Keep the socket, as soon as there is one."""
        if event == "connection.connect_tcp.complete":
            self._socket = details["return_value"].get_extra_info("socket")
            if self.is_over:
                self._cut()

    def _end(self) -> None:
        self.is_over = True
        self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            # Wakes who reads, with an end of file; closing would not, and is for who opened it.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
