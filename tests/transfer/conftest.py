"""Fixtures of clients that move."""

from __future__ import annotations

import pytest

from tests.support.foreign import SlowHashes


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> SlowHashes:
    """The slow hashes of this process, counted and at hand."""
    return SlowHashes(monkeypatch)
