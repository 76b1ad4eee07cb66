"""Systems with limits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from auth_service import state
from tests.limits.limited import ALLOWED, PROXY, Clock, Limited, Start
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import running_system


@pytest.fixture
def start_limited(templates: Templates) -> Start:
    """Start a system with limits; arguments are settings of the auth service."""

    @asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[Limited]:
        wall, clock = Clock(), Clock()
        settings = {"failures_allowed": ALLOWED, "trusted_proxies": PROXY, **options}
        by_hand = SimpleNamespace(time=wall, monotonic=time.monotonic)
        # The limits get their clock when the process is made.
        with (
            mock.patch.object(state, "time", by_hand),
            mock.patch.object(state, "steady_clock", return_value=clock),
        ):
            async with running_system(await templates.clone(), **settings) as system, http_client() as http:
                await system.heard()
                yield Limited(system, wall, clock, http)

    return start


@pytest.fixture
async def limited(start_limited: Start) -> AsyncIterator[Limited]:
    """A system of the test's own, with three failures allowed."""
    async with start_limited() as system:
        yield system
