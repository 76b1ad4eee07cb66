"""Fixtures of clients that move."""

from __future__ import annotations

import pytest

from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.foreign import SlowHashes
from tests.support.system import Seeded, seed


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> SlowHashes:
    """The slow hashes of this process, counted and at hand."""
    return SlowHashes(monkeypatch)


@pytest.fixture
async def seeded(databases: Databases) -> Seeded:
    """Databases to import into, for tests that ask no service."""
    return Seeded(databases, await seed(databases, "http://127.0.0.1:8001", new_master_key()))
