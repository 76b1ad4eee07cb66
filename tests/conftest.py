"""Fixtures: one PostgreSQL and one shared system per run, fresh systems for tests that change something."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import httpx
import pytest

from steelcut_cli.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Databases, Templates
from tests.support.system import System, running_system


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of this run's own, fast and forgetful."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), fast=True) as server:
        yield server


@pytest.fixture(scope="session")
def templates(postgres: EmbeddedPostgres) -> Templates:
    """Both schemas, migrated once."""
    templates = Templates(postgres)
    templates.migrate()
    return templates


@pytest.fixture
async def databases(templates: Templates) -> Databases:
    """Two databases of the test's own, migrated and empty."""
    return await templates.clone()


@pytest.fixture(scope="session")
async def system(templates: Templates) -> AsyncIterator[System]:
    """The shared system, for tests that leave it as they found it."""
    async with running_system(await templates.clone()) as system:
        yield system


StartSystem = Callable[..., AbstractAsyncContextManager[System]]


@pytest.fixture
async def start_system(templates: Templates) -> AsyncIterator[Callable[..., Any]]:
    """A function that starts a system of the test's own, by the options of ``running_system``."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> System:
            return await stack.enter_async_context(running_system(await templates.clone(), **options))

        yield start


@pytest.fixture(scope="session")
async def auth(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the shared authorization server; relative to its root."""
    async with httpx.AsyncClient(base_url=system.issuer, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
async def resource(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the shared resource server; relative to its root."""
    async with httpx.AsyncClient(base_url=system.resource_base, trust_env=False) as client:
        yield client
