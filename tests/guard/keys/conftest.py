"""The cache of an issuer's keys, with an issuer and a clock in the hands of the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from steelcut.exchange import Exchange
from steelcut.jwks import KeySource
from tests.guard.keys.issuer import ISSUER, Clock, Issuer


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
def keys(issuer: Issuer, clock: Clock, reports: list[str]) -> Iterator[KeySource]:
    """The cache, which reads the issuer's metadata first."""
    yield KeySource(ISSUER, exchange=Exchange(issuer), clock=clock, report=reports.append)
    issuer.open.set()  # lets a thread go that still waits
