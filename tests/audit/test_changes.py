"""Every administrative change and its events are one: both are kept, or neither, and no event holds a secret."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from auth_service import administration, transfer
from tests.audit.changes import CASES
from tests.audit.house import WHO, House, furnished
from tests.support.databases import Templates

# Steps of the changes, which are in the table themselves.
STEPS = {"record", "take_grants", "take_default", "changing_keys", "changing_keys_if_free"}
# They leave no event because they change nothing.
SILENT = {"update_client: nothing", "take: a trial"}


@pytest.fixture(scope="module")
async def house(templates: Templates) -> AsyncIterator[House]:
    """Made once: each test takes back what it did."""
    async with furnished(templates) as house:
        yield house


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield import_module(found.name)


def _functions_with_an_actor(package: ModuleType) -> set[str]:
    return {
        name
        for module in _modules(package)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and "actor" in inspect.signature(function).parameters
    }


def test_every_change_is_in_the_table() -> None:
    """A new one without an event would otherwise go unseen."""
    found = _functions_with_an_actor(administration) | _functions_with_an_actor(transfer)
    assert {name.split(":")[0] for name in CASES} == found - STEPS
    assert found > STEPS


@pytest.mark.parametrize("name", CASES)
async def test_change_leaves_its_events(house: House, name: str) -> None:
    """Exactly these, by whom, from where, under which trace id; and none when the transaction is undone."""
    case = CASES[name]
    before = await house.rows(), await house.events()
    async with house.for_a_while():
        if case.prepare:
            await house.connection.execute(case.prepare)
        _learn(house, await case.call(house))
        events = (await house.events())[len(before[1]) :]
        told, secret_texts = await house.told(), await house.secret_texts()
    assert [text for text in secret_texts if any(text in event for event in told)] == []
    assert [_content(event) for event in events] == case.events(house)
    for event in events:
        assert (event["actor"], event["address"], event["trace_id"]) == (WHO.name, WHO.address, WHO.trace_id)
        assert (event["outcome"], event["reason"]) == ("done", "")
    assert (await house.rows(), await house.events()) == before
    assert len(told) == len(before[1]) + len(events)


@pytest.mark.parametrize("name", sorted(CASES.keys() - SILENT))
async def test_change_without_its_event_is_no_change(house: House, name: str) -> None:
    """Where the log does not take the event, nothing is done."""
    case = CASES[name]
    async with house.for_a_while():
        if case.prepare:
            await house.connection.execute(case.prepare)
        before = await house.rows()
        await house.connection.execute("SET LOCAL test.refuse = 'on'")
        with pytest.raises(asyncpg.RaiseError, match="the log takes nothing"):
            await case.call(house)
        assert await house.rows() == before


def _content(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[name] for name in ("action", "object_type", "object_id", "before", "after"))


def _learn(house: House, done: Any) -> None:
    """Keep the secret that a change has made."""
    made = getattr(done, "secret", None)
    added = getattr(done, "added", done)
    house.known += [value for value in (made, getattr(added, "value", None)) if isinstance(value, str)]
