"""Waiting for what happens of itself: no test sleeps for a time that it hopes is long enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

POLL_SECONDS = 0.01


async def until(condition: Callable[[], Awaitable[Any]], seconds: float) -> float:
    """Ask again and again until ``condition`` holds; return how long that took. Fails after ``seconds``."""
    begin = time.monotonic()
    while not await condition():
        assert time.monotonic() - begin < seconds, f"not within {seconds} s"
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - begin
