"""Fixtures of the client's tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.scripted import KINDS, Clock, Scripted, serving


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's environment reaches a test."""
    for name in os.environ:
        if name.startswith("STEELCUT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server."""
    with serving() as script:
        yield script


@pytest.fixture
def start_server() -> Iterator[Callable[[], Scripted]]:
    """A function that starts one more server."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(serving())


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of client in turn."""
    return str(request.param)
