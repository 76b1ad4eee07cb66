"""One nursery for all tests that kill."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from random import Random

import pytest

from tests.faults.nursery import Nursery, nursery
from tests.faults.operators import Operators
from tests.support.plain_http import http_client


@pytest.fixture(scope="session", name="nursery")
async def _nursery() -> AsyncIterator[Nursery]:
    """Starts auth processes, each in a fraction of the second that a start from nothing takes."""
    async with nursery() as started:
        yield started


@pytest.fixture
async def operators(nursery: Nursery) -> AsyncIterator[Operators]:
    """Operators who do something else in each run; a failure says how to have the same again."""
    number = secrets.randbits(32)
    async with http_client(timeout=30) as http:
        yield Operators(Random(number), http)  # noqa: S311 - chance, not secrecy
    # Shown by pytest when the test fails.
    print(f"Random({number}); the log ends:\n{nursery.said()}")  # noqa: T201
