"""What is written in one go is sent in one go: head and content of an answer in one packet, by one system call.

uvicorn writes the head of an answer, then its content. Each write wakes whoever waits at the other end, and the first
one for nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Together(asyncio.Transport):
    """A transport that keeps what is written until ``flush``, or until the event loop comes round.

    Whoever writes a part and then waits, as an answer that comes in pieces does, has it sent all the same.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Write to ``transport``."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes | bytearray | memoryview[Any]] = []
        self._coming_round: asyncio.Handle | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep ``data`` behind what is kept already."""
        if not self._kept:
            self._coming_round = self._loop.call_soon(self.flush)
        self._kept.append(data)

    def flush(self) -> None:
        """Send what is kept."""
        if self._coming_round is not None:
            self._coming_round.cancel()
            self._coming_round = None
        if self._kept:
            kept, self._kept = self._kept, []
            # Not put together here: uvloop hands all of it to the kernel as it is.
            self._transport.writelines(kept)

    def write_eof(self) -> None:
        """Say that nothing more will come."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close when all is sent."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def can_write_eof(self) -> bool:
        """Say what the transport says."""
        return self._transport.can_write_eof()

    def is_closing(self) -> bool:
        """Say what the transport says."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what comes to another protocol."""
        self._transport.set_protocol(protocol)
