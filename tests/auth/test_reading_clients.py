"""Clients that are missed in one moment are read together, and none of them notices the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from auth_service import registry as registry_module
from auth_service.registry import MOST_AT_ONCE, Registry
from steelcut.errors import TemporarilyUnavailable
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Templates
from tests.support.outage import outage
from tests.support.statements import Statements, observed_system
from tests.support.system import System
from tests.support.wire import PATIENCE_SECONDS

# The service sends others, on its own account.
READING = "unnest((SELECT $1::text[])) wanted"


@pytest.fixture
async def observed(
    templates: Templates, postgres: EmbeddedPostgres
) -> AsyncIterator[tuple[System, Statements]]:
    """A system of the test's own whose auth database logs every statement."""
    async with observed_system(templates, postgres, "auth") as observed:
        yield observed


async def test_many_at_once_are_one_statement(observed: tuple[System, Statements]) -> None:
    """Known and unknown ones, each of them gets its own answer; who comes alone is a statement of its own."""
    system, statements = observed
    registry = system.auth_process.registry
    others = [await system.register(f"Client {number}") for number in range(5)]
    await system.heard()
    wanted = [other.client_id for other in others] + ["nobody", system.client.client_id, "nobody"]
    statements.new()
    found = await asyncio.gather(*map(registry.load, wanted))
    assert [client and client.client_id for client in found] == [
        None if client_id == "nobody" else client_id for client_id in wanted
    ]
    assert len(statements.new(READING)) == 1
    assert registry.cached(others[3].client_id) is found[3]
    assert registry.cached("nobody") is None
    await registry.load("nobody")
    assert len(statements.new(READING)) == 1


async def test_too_many_for_one_statement_are_several(observed: tuple[System, Statements]) -> None:
    """A statement has only so much time."""
    system, statements = observed
    statements.new()
    await asyncio.gather(
        *(system.auth_process.registry.load(f"nobody-{number}") for number in range(MOST_AT_ONCE + 1))
    )
    assert len(statements.new(READING)) == 2


async def test_who_goes_away_takes_nothing_from_the_others(observed: tuple[System, Statements]) -> None:
    """One of those who wait is cancelled, as by a caller who hangs up."""
    system, _ = observed
    registry = system.auth_process.registry
    leaving = asyncio.create_task(registry.load(system.client.client_id))
    staying = asyncio.create_task(registry.load(system.client.client_id))
    await asyncio.sleep(0)
    leaving.cancel()
    client = await asyncio.wait_for(staying, PATIENCE_SECONDS)
    assert client is not None
    assert client.client_id == system.client.client_id
    assert leaving.cancelled()


async def test_an_outage_is_told_to_each(
    observed: tuple[System, Statements], postgres: EmbeddedPostgres
) -> None:
    """Nobody is left waiting."""
    system, _ = observed
    registry: Registry = system.auth_process.registry
    async with outage(postgres, system.databases.auth.owner):
        told = await asyncio.gather(*map(registry.load, ("a", "b", "c")), return_exceptions=True)
    assert [type(one) for one in told] == [TemporarilyUnavailable] * 3


async def test_only_so_many_wait(
    observed: tuple[System, Statements], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond hear so at once; when the others have been answered there is room again."""
    system, _ = observed
    registry = system.auth_process.registry
    monkeypatch.setattr(registry_module, "MOST_WAITING", 2)
    told = await asyncio.gather(*map(registry.load, ("a", "b", "c")), return_exceptions=True)
    assert [type(one) for one in told] == [type(None), type(None), TemporarilyUnavailable]
    assert await registry.load(system.client.client_id) is not None
