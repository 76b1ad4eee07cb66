"""Systems with the admin API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.admin.operators import operating
from tests.support.databases import Templates
from tests.support.system import System, running_system


@pytest.fixture(scope="module")
async def administered(templates: Templates) -> AsyncIterator[System]:
    """A system of this file's own whose auth service has the admin API."""
    async with running_system(await templates.clone(), admin=True) as system:
        yield system


@pytest.fixture(scope="module")
async def api(administered: System) -> AsyncIterator[httpx.AsyncClient]:
    """The admin API, as an operator with all scopes calls it."""
    async with operating(administered) as http:
        yield http
