"""Head and content of an answer leave in one packet, and nothing that was written is left behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import pytest

from steelcut.service.writing import Together


class Sent(asyncio.Transport):
    """A transport that notes how often it was asked to send, and what."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Note one call."""
        self.calls.append(b"".join(list_of_data))

    def close(self) -> None:
        """Note the end."""
        self.calls.append(b"(closed)")

    def write_eof(self) -> None:
        """Note the end of what is sent."""
        self.calls.append(b"(end)")


@pytest.fixture
async def sent() -> Sent:
    """What reached the socket."""
    return Sent()


@pytest.fixture
async def together(sent: Sent) -> Together:
    """The transport that an answer is written to."""
    return Together(sent, asyncio.get_running_loop())


async def test_parts_leave_together(together: Together, sent: Sent) -> None:
    """One call for all, in their order."""
    together.write(b"head ")
    together.write(b"content")
    assert sent.calls == []
    together.flush()
    assert sent.calls == [b"head content"]
    await asyncio.sleep(0)
    assert sent.calls == [b"head content"]


async def test_part_does_not_wait_for_the_rest(together: Together, sent: Sent) -> None:
    """An answer that comes in pieces comes in pieces."""
    together.write(b"head")
    await asyncio.sleep(0)
    assert sent.calls == [b"head"]
    together.write(b"content")
    await asyncio.sleep(0)
    assert sent.calls == [b"head", b"content"]


@pytest.mark.parametrize(("end", "noted"), [("close", b"(closed)"), ("write_eof", b"(end)")])
async def test_nothing_is_left_behind_at_the_end(
    together: Together, sent: Sent, end: str, noted: bytes
) -> None:
    """Closing sends first."""
    together.write(b"content")
    getattr(together, end)()
    await asyncio.sleep(0)
    assert sent.calls == [b"content", noted]


async def test_answer_arrives_over_a_socket_whole() -> None:
    """A large content too, with its head before it."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    together = Together(transport, loop)
    together.write(b"head")
    together.write(bytes(2_000_000))
    together.close()
    assert await asyncio.wait_for(reader.read(-1), 10) == b"head" + bytes(2_000_000)
    writer.close()
