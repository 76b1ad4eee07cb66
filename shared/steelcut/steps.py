"""One procedure for callers that block and callers that await.

The procedure is a generator: it yields what must be waited for, and whoever runs it waits in his own way. So what a
library decides is written once, and no thread is spent on a caller that has an event loop.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from steelcut.flight import Flight

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wait:
    """A flight to wait for, for at most ``seconds``; it goes on all the same when they are over."""

    flight: Flight[Any]
    seconds: float


Steps: TypeAlias = Generator[Wait, None, T]


def run(steps: Steps[T]) -> T:
    """Return what ``steps`` come to, blocking where they wait."""
    while True:
        try:
            wait = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        wait.flight.wait(wait.seconds)


async def run_async(steps: Steps[T]) -> T:
    """Return what ``steps`` come to, on asyncio or trio."""
    while True:
        try:
            wait = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await wait.flight.arrival(wait.seconds)
