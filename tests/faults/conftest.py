"""One nursery for all tests that kill."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.nursery import Nursery, nursery


@pytest.fixture(scope="session", name="nursery")
async def _nursery() -> AsyncIterator[Nursery]:
    """Starts auth processes, each in a fraction of the second that a start from nothing takes."""
    async with nursery() as started:
        yield started
