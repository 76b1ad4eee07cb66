"""The cache of an issuer's keys, with an issuer and a clock in the hands of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from steelcut.jwks import KeySource
from tests.unit.jwks.issuer import ISSUER, Clock, Issuer


@pytest.fixture
def clock() -> Clock:
    """The clock of the cache."""
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    """The issuer."""
    return Issuer()


@pytest.fixture
def reports() -> list[str]:
    """What the cache reported."""
    return []


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock, reports: list[str]) -> AsyncIterator[KeySource]:
    """The cache, which reads the issuer's metadata first."""
    async with httpx.AsyncClient(transport=issuer) as client:
        source = KeySource(client, issuer=ISSUER, clock=clock, report=reports.append)
        yield source
        await source.aclose()
