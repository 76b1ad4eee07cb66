"""The months of the audit log come and go by themselves; no event of a month that is kept is ever lost."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from auth_service.queries import audit
from auth_service.upkeep import keep_on
from steelcut.service.background import beside
from steelcut.service.database.postgres import Database
from steelcut.service.telemetry.logs import make_logger
from tests.cli import terminal
from tests.support.databases import Databases
from tests.support.waiting import until

THIS_MONTH = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
WRITE = "INSERT INTO audit_events (at, actor, action, object_type, object_id) VALUES ($1, 'a', 'b', 'c', $2)"


def month(back: int) -> datetime:
    """The first moment of the month so many months ago."""
    number = THIS_MONTH.year * 12 + THIS_MONTH.month - 1 - back
    return THIS_MONTH.replace(year=number // 12, month=number % 12 + 1)


async def make_month(owner: Any, back: int) -> str:
    """Make a partition as it was made when its month came."""
    name = f"audit_events_{month(back):%Y_%m}"
    await owner.execute(
        f"CREATE TABLE {name} PARTITION OF audit_events"
        f" FOR VALUES FROM ('{month(back).isoformat()}') TO ('{month(back - 1).isoformat()}')"
    )
    return name


async def kept(owner: Any) -> dict[str, str]:
    """Which events there are, and in which partition each lies."""
    rows = await owner.fetch("SELECT object_id, tableoid::regclass::text AS partition FROM audit_events")
    return {row["object_id"]: row["partition"] for row in rows}


async def keep_answers(owner: Any) -> None:
    """As the admin API does: one answer was kept for longer than a day, one was not."""
    await owner.execute(
        "INSERT INTO idempotent_answers (actor, key, request_hash, status, sealed_answer, master_key_id, created_at)"
        " SELECT 'a', k, '', 201, '', '', now() - i FROM (VALUES ('old', interval '25 h'), ('new', '23 h')) v (k, i)"
    )


async def answers(owner: Any) -> list[str]:
    """Which answers are kept."""
    return [row["key"] for row in await owner.fetch("SELECT key FROM idempotent_answers")]


async def maintain(connection: Any, months: int) -> list[str]:
    """Do what the upkeep does."""
    return list(await audit.maintain(connection, months, 10))


async def test_months_beyond_the_retention_go_whole(owner: Any, administrator: Any) -> None:
    """With two months kept, the first moment of last month stays and the last one before it goes."""
    for back in (1, 2, 3):
        await make_month(owner, back)
    for name, at in {"last": month(1), "before": month(2), "long": month(3), "now": THIS_MONTH}.items():
        await owner.execute(WRITE, at, name)
    dropped = await maintain(administrator, 2)
    assert dropped == [f"audit_events_{month(back):%Y_%m}" for back in (3, 2)]
    assert (await kept(owner)).keys() == {"last", "now"}
    assert await maintain(administrator, 2) == []


async def test_events_of_no_month_follow_the_same_rule(owner: Any, administrator: Any) -> None:
    """What came while nobody made months lies among the others, until it is too old."""
    for name, back in {"last": 1, "before": 2}.items():
        await owner.execute(WRITE, month(back), name)
    assert set((await kept(owner)).values()) == {"audit_events_other"}
    assert await maintain(administrator, 2) == ["events of no month: 1"]
    assert await kept(owner) == {"last": "audit_events_other"}
    assert await maintain(administrator, 2) == []


async def test_month_that_was_missing_takes_its_events_over(owner: Any, administrator: Any) -> None:
    """Events that came without it would otherwise forbid to make it, for ever."""
    name = f"audit_events_{THIS_MONTH:%Y_%m}"
    await owner.execute(f"DROP TABLE {name}")
    await owner.execute(WRITE, datetime.now(UTC), "orphan")
    assert await kept(owner) == {"orphan": "audit_events_other"}
    await maintain(administrator, 12)
    assert await kept(owner) == {"orphan": name}
    await administrator.execute(
        "INSERT INTO audit_events (actor, action, object_type, object_id) VALUES ('a', 'b', 'c', 'next')"
    )
    assert await kept(owner) == {"orphan": name, "next": name}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await administrator.execute(f"DELETE FROM {name}")


async def test_nothing_is_kept_waiting_by_a_long_reader(
    owner: Any, administrator: Any, databases: Databases
) -> None:
    """It gives up within a second and is tried again; writers would queue behind it."""
    await make_month(owner, 3)
    reader = await asyncpg.connect(databases.auth_admin)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM audit_events")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await maintain(administrator, 2)
    await reader.close()
    assert await maintain(administrator, 2) == [f"audit_events_{month(3):%Y_%m}"]


async def test_processes_that_administer_do_it_by_themselves(owner: Any, databases: Databases) -> None:
    """Several at once do not get into each other's way; answers of yesterday are forgotten."""
    await make_month(owner, 3)
    await keep_answers(owner)
    database = await Database.open(
        databases.auth_admin, application="test", role="administrator", pool_size=4, wait_seconds=5
    )
    stream = io.StringIO()
    log = make_logger("test", "json", stream)

    async def done() -> bool:
        return await answers(owner) == ["new"] and stream.getvalue().count("dropped") > 0

    async with (
        beside(keep_on(database, audit_months_kept=2, log=log)),
        beside(keep_on(database, audit_months_kept=2, log=log)),
    ):
        await until(done, 10)
    await database.close()
    assert stream.getvalue().count(f"audit_events_{month(3):%Y_%m}") == 1
    assert "put off" not in stream.getvalue()


async def test_by_hand(owner: Any, databases: Databases) -> None:
    """For a deployment in which no service administers."""
    name = await make_month(owner, 3)
    await keep_answers(owner)
    variables = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin, "AUTH_AUDIT_MONTHS_KEPT": "3"}
    done = await asyncio.to_thread(terminal.run, "audit", "maintain", env=variables)
    assert (done.code, done.out, done.err) == (0, f"Dropped {name}.\n", "")
    assert await answers(owner) == ["new"]
    again = await asyncio.to_thread(terminal.run, "audit", "maintain", env=variables)
    assert (again.code, again.out) == (0, "Nothing is older than 3 months.\n")
    wrong = await asyncio.to_thread(
        terminal.run, "audit", "maintain", env={**variables, "AUTH_AUDIT_MONTHS_KEPT": "0"}
    )
    assert wrong.code == 2
    assert "AUTH_AUDIT_MONTHS_KEPT" in wrong.sentence
