"""Log lines leave whole, in order, and those of one turn of the event loop together."""

from __future__ import annotations

import asyncio
import io

from steelcut.service.telemetry.lines import Lines


class Target(io.BytesIO):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> int:  # type: ignore[override] # bytes is all it gets
        """Write, and remember."""
        self.writes.append(data)
        return super().write(data)


def test_without_an_event_loop_a_line_is_written_at_once() -> None:
    """A command logs, too."""
    target = Target()
    lines = Lines(target)
    lines.msg(b"one")
    lines.msg(b"two")
    assert target.writes == [b"one\n", b"two\n"]


async def test_lines_of_one_turn_are_written_together() -> None:
    """By one system call, in their order, and before the loop waits for anything."""
    target = Target()
    lines = Lines(target)
    lines.msg(b"one")
    lines.msg(b"two")
    assert target.writes == []
    await asyncio.sleep(0)
    assert target.writes == [b"one\ntwo\n"]
    lines.msg(b"three")
    await asyncio.sleep(0)
    assert target.writes == [b"one\ntwo\n", b"three\n"]


def test_last_lines_of_a_loop_are_written() -> None:
    """What is logged in the last turn is not lost."""
    target = Target()
    lines = Lines(target)

    async def last() -> None:
        lines.msg(b"last")

    asyncio.run(last())
    assert target.writes == [b"last\n"]


def test_loop_that_ends_early_silences_nobody() -> None:
    """What it did not come to write is written with the next line."""
    target = Target()
    lines = Lines(target)
    loop = asyncio.new_event_loop()
    loop.call_soon(lines.msg, b"one")
    # Ends with the turn in which the line came, before the next, which would write it.
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert target.writes == []
    lines.msg(b"two")
    assert target.getvalue() == b"one\ntwo\n"


def test_reader_that_has_gone_is_no_error() -> None:
    """Nobody's request fails since nobody reads the log, and later lines are written when it can be done."""

    class Broken(Target):
        gone = True

        def write(self, data: bytes) -> int:  # type: ignore[override] # bytes is all it gets
            if self.gone:
                raise BrokenPipeError
            return super().write(data)

    target = Broken()
    lines = Lines(target)
    lines.msg(b"one")
    target.gone = False
    lines.msg(b"two")
    assert target.writes == [b"two\n"]
