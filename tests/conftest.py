"""Fixtures: one PostgreSQL and one shared system per run, fresh systems for tests that change something."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import pytest

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support import logged
from tests.support.databases import Databases, Templates
from tests.support.plain_http import http_client
from tests.support.system import System, running_system

# Where there is room in memory, databases are copied there: three times as fast as on a disk.
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only looked at; what is made in it has a name of its own
MEMORY_BYTES: Final = 2 * 1024**3


def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are cores: a third of the time a test waits for something."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Name our markers, and let what tests start hear Ctrl-C, also where a script runs them in its background."""
    config.addinivalue_line(
        "markers", "slow: of a file that takes many seconds: it is started before the others"
    )
    config.addinivalue_line("markers", "long: takes too long for each time: only `make test-faults` runs it")
    logged.look_at_everything()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from the tests that are found: they stay to the end, and are slow to go through."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """Show all to it again: Hypothesis asks it who knows what, in the summary."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow files first, so that all workers end at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged() -> Iterator[None]:
    """Fail the test in which a secret got into a log, whoever's log it is."""
    yield
    logged.check()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of this run's own, fast and forgetful."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    place = MEMORY if roomy else tmp_path_factory.getbasetemp()
    with (
        TemporaryDirectory(prefix="steelcut-tests-", dir=place) as directory,
        EmbeddedPostgres(Path(directory), fast=True) as server,
    ):
        yield server


@pytest.fixture(scope="session")
async def templates(postgres: EmbeddedPostgres) -> AsyncIterator[Templates]:
    """Both schemas, migrated once."""
    templates = Templates(postgres)
    await asyncio.to_thread(templates.migrate)
    async with templates.at_hand():
        yield templates


@pytest.fixture
async def databases(templates: Templates) -> AsyncIterator[Databases]:
    """Two databases of the test's own, migrated and empty."""
    databases = await templates.clone()
    yield databases
    await templates.drop(databases)


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
            databases = await templates.clone()
            stack.push_async_callback(templates.drop, databases)
            return await stack.enter_async_context(running_system(databases, **options))

        yield start


@pytest.fixture(scope="session")
async def auth(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the shared authorization server; relative to its root."""
    async with http_client(base_url=system.issuer) as client:
        yield client


@pytest.fixture(scope="session")
async def resource(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the shared resource server; relative to its root."""
    async with http_client(base_url=system.resource_base) as client:
        yield client
