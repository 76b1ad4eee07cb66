"""An end to an HTTP exchange that would have none: httpx's time-outs are for each read, and a byte begins another."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

# Whatever comes upon the connection afterwards, a proxy's tunnel or TLS.
_CONNECTED: Final = (".connect_tcp.complete", ".connect_unix_socket.complete")


class Deadline:
    """Cuts the connection of a request when its time is over, whatever trickles in meanwhile.

    ``trace`` is for httpx's request extension of that name, by which a new connection becomes known. One that was there
    before the request does not.
    """

    def __init__(self) -> None:
        self.is_over: bool = False
        self._socket: socket.socket | None = None
        # Not to cut what has the number of our socket by then.
        self._lock = threading.Lock()

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
            self._keep(None)

    def trace(self, event: str, details: dict[str, Any]) -> None:
        """Keep the socket, as soon as there is one."""
        if event.endswith(_CONNECTED):
            connected = details["return_value"].get_extra_info("socket")
            # When no file is left, the time-outs of httpx must do.
            with contextlib.suppress(OSError):
                # A socket of our own upon the same connection: TLS leaves the one that it wraps without any.
                self._keep(connected and connected.dup())
            if self.is_over:
                self._cut()

    def _keep(self, ours: socket.socket | None) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = ours

    def _end(self) -> None:
        self.is_over = True
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            if self._socket is not None:
                # Wakes who reads, with an end of file; closing would not, and is for who opened it.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
