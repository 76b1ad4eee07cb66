"""Systems that tell their metrics."""

from __future__ import annotations

from functools import partialmethod

import pytest

from steelcut.service.telemetry.exposition import _Server

POLL_SECONDS = 0.02


@pytest.fixture(autouse=True)
def _ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server of the metrics look more often whether it shall end: each of its two took half a second."""
    often = partialmethod(_Server.serve_forever, poll_interval=POLL_SECONDS)
    monkeypatch.setattr(_Server, "serve_forever", often)
