"""Rotation by `keys rotate`, which goes on where it was left, and by the replicas, which need nobody."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from auth_service.administration.keys import Rotation
from auth_service.key_life import LEEWAY_SECONDS, MARGIN_SECONDS
from auth_service.key_rotation import LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS, KeyRotation
from auth_service.master_key import MasterKey
from steelcut.service.database.postgres import Database
from steelcut.service.telemetry.logs import make_logger
from tests.auth.test_keys_at_rest import start
from tests.lifecycle.key_operator import TIMING, KeyOperator, new_master_key
from tests.support.databases import Databases
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import as_owner, seed
from tests.support.waiting import until

PUBLICATION = timedelta(seconds=300 + 5 + MARGIN_SECONDS)
DRAIN = timedelta(seconds=600 + 5 + LEEWAY_SECONDS + MARGIN_SECONDS)
DAY = timedelta(days=1)


@pytest.fixture
def operator(databases: Databases) -> KeyOperator:
    """Somebody with an empty database."""
    return KeyOperator(databases)


@pytest.fixture
async def administration(databases: Databases) -> AsyncIterator[Database]:
    """The administrator's database as a replica has it."""
    database = await Database.open(databases.auth_admin, application="test", pool_size=10, wait_seconds=5)
    yield database
    await database.close()


def actions(rotation: Rotation | None) -> tuple[list[str], list[tuple[str, timedelta]]]:
    """What was done, and what comes after how long."""
    assert rotation is not None
    return (
        [step.action for step in rotation.done],
        [(step.action, step.at - rotation.at) for step in rotation.coming],
    )


async def test_rotation_by_hand_goes_on_where_it_was_left(operator: KeyOperator) -> None:
    """However often it is run, each step is taken once, when it is due, and the plan says when the rest is."""
    old = await operator.create()
    done, coming = actions(await operator.rotate())
    assert (done, [action for action, _ in coming]) == (["create"], ["promote", "retire"])
    assert coming[0][1] == PUBLICATION
    assert actions(await operator.rotate())[0] == []
    await operator.let_time_pass(PUBLICATION.total_seconds())
    done, coming = actions(await operator.rotate())
    assert (done, coming) == (["promote"], [("retire", DRAIN)])
    assert actions(await operator.rotate())[0] == []
    assert (await operator.states())[old.kid] == "retiring"
    await operator.let_time_pass(DRAIN.total_seconds())
    assert actions(await operator.rotate()) == (["retire"], [])
    assert sorted((await operator.states()).values()) == ["active", "retired"]
    assert actions(await operator.rotate())[0] == ["create"]


async def test_rotation_makes_the_first_key(operator: KeyOperator) -> None:
    """Where nothing signs, it signs at once."""
    assert actions(await operator.rotate()) == (["create"], [])
    assert list((await operator.states()).values()) == ["active"]


async def test_operators_at_once_begin_one_rotation(operator: KeyOperator) -> None:
    """The one who comes second finds the rotation of the first under way."""
    await operator.create()
    rotations = await asyncio.gather(*(operator.rotate() for _ in range(6)))
    assert sorted(len(actions(rotation)[0]) for rotation in rotations) == [0, 0, 0, 0, 0, 1]
    assert sorted((await operator.states()).values()) == ["active", "pending"]


async def test_unattended_rotation_waits_for_nobody(operator: KeyOperator) -> None:
    """While an operator or another replica changes keys, a replica does nothing and comes again."""
    await operator.create()

    async def try_meanwhile(connection: asyncpg.Connection[Any]) -> Rotation | None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(7359064923)")
            return await operator.rotate(every=DAY, unattended=True)

    assert await operator.run(try_meanwhile) is None
    assert await operator.rotate(every=DAY, unattended=True) is not None


def rotating(
    operator: KeyOperator,
    database: Database,
    log: io.StringIO | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    every: timedelta = DAY,
) -> KeyRotation:
    """A replica's rotation."""
    return KeyRotation(
        database,
        master_key=operator.master_key,
        algorithm="ES256",
        timing=TIMING,
        every=every,
        log=make_logger("auth_service", "json", log or io.StringIO()),
        sleep=sleep,
    )


async def test_replicas_at_once_take_each_step_once(operator: KeyOperator, administration: Database) -> None:
    """Eight replicas that wake in the same moment make one key, and let one sign."""
    replicas = [rotating(operator, administration) for _ in range(8)]
    await operator.create()
    for waited, states in (
        (DAY, ["active", "pending"]),
        (PUBLICATION, ["active", "retiring"]),
        (DRAIN, ["active", "retired"]),
    ):
        await operator.let_time_pass(waited.total_seconds())
        await asyncio.gather(*(replica.step() for replica in replicas))
        assert sorted((await operator.states()).values()) == states


async def test_replica_asks_again_in_time(operator: KeyOperator, administration: Database) -> None:
    """It sleeps until the next step is due, but never so long that it misses what an operator does."""
    await operator.create()
    replica = rotating(operator, administration)
    assert await replica.step() == LONGEST_WAIT_SECONDS
    await operator.let_time_pass((DAY - PUBLICATION).total_seconds() - 30)
    assert 25 < await replica.step() <= 30
    await operator.let_time_pass(30)
    assert await replica.step() == LONGEST_WAIT_SECONDS
    await operator.let_time_pass(PUBLICATION.total_seconds() - 0.2)
    assert await replica.step() == SHORTEST_WAIT_SECONDS


class EndOfTest(Exception):
    """Ends the loop of a rotation."""


async def test_three_weeks_without_anybody(operator: KeyOperator, administration: Database) -> None:
    """From an empty database on: a key signs for two days, is known before and gone after, and one always signs."""
    hours = 0

    async def half_a_day_passes(seconds: float) -> None:
        nonlocal hours
        assert 0 < seconds <= LONGEST_WAIT_SECONDS
        assert list((await operator.states()).values()).count("active") == 1
        hours += 12
        if hours > 21 * 24:
            raise EndOfTest
        await operator.let_time_pass(12 * 3600)

    with pytest.raises(EndOfTest):
        await rotating(operator, administration, sleep=half_a_day_passes, every=2 * DAY).run()
    keys = await operator.keys()
    # Two days each, and half a day each time until the loop comes round to making and promoting the next.
    assert 21 / 3 <= len(keys) <= 21 / 2 + 1
    for before, after in itertools.pairwise(keys):
        assert before.retiring_at == after.activated_at
        if after.activated_at is not None:
            assert after.activated_at - after.created_at >= PUBLICATION
            assert before.activated_at is not None
            assert 2 * DAY <= after.activated_at - before.activated_at < 3 * DAY
        if before.retired_at is not None:
            assert before.retiring_at is not None
            assert before.retired_at - before.retiring_at >= DRAIN


async def test_rotation_outlives_every_failure(
    operator: KeyOperator, databases: Databases, administration: Database
) -> None:
    """A wrong master key, missing rights and a database that is away are said in the log; then it goes on."""
    await operator.create()
    await operator.let_time_pass(DAY.total_seconds())
    right, runtime, log = operator.master_key, databases.auth.runtime, io.StringIO()
    powerless = await Database.open(runtime, application="test", pool_size=1, wait_seconds=5)
    away = await Database.open(databases.auth_admin, application="test", pool_size=1, wait_seconds=5)
    await away.close()
    slept: list[float] = []

    async def next_trouble(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            replica._master_key, replica._database = right, powerless
        elif len(slept) == 2:
            replica._database = away
        elif len(slept) == 3:
            replica._database = administration
        else:
            raise EndOfTest

    replica = rotating(operator, administration, log, next_trouble)
    replica._master_key = MasterKey.from_base64(new_master_key())
    with pytest.raises(EndOfTest):
        await replica.run()
    await powerless.close()
    lines = [orjson.loads(line) for line in log.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["error", "error", "warning", "info"]
    assert "sealed under the master key" in lines[0]["reason"]
    assert lines[1]["reason"] == "InsufficientPrivilegeError"
    assert lines[2]["reason"].startswith("database: ")
    assert (lines[3]["event"], lines[3]["action"]) == ("signing key rotation", "create")
    assert sorted((await operator.states()).values()) == ["active", "pending"]


async def test_processes_rotate_by_themselves(databases: Databases) -> None:
    """With AUTH_KEY_ROTATION_DAYS two real replicas make one new key, and both publish it."""
    master_key = new_master_key()
    await seed(databases, "http://127.0.0.1:8001", master_key)
    operator = KeyOperator(databases, MasterKey.from_base64(master_key))
    await operator.let_time_pass(30 * DAY.total_seconds())
    async with auth_replicas(
        databases,
        master_key,
        AUTH_KEY_ROTATION_DAYS="30",
        AUTH_ADMIN_DATABASE_URL=databases.auth_admin,
    ) as replicas:
        for replica in replicas:
            await until(lambda replica=replica: _publishes(replica, 2), 5)  # type: ignore[misc]
    states = await operator.states()
    assert sorted(states.values()) == ["active", "pending"]
    actors = await _actors(databases)
    assert len([actor for actor in actors if actor.startswith("rotation:")]) == 1


async def test_process_without_administration_only_serves(databases: Databases) -> None:
    """A replica that holds no right to change keys does not try to, however old they are."""
    master_key = new_master_key()
    await seed(databases, "http://127.0.0.1:8001", master_key)
    operator = KeyOperator(databases, MasterKey.from_base64(master_key))
    await operator.let_time_pass(30 * DAY.total_seconds())
    async with auth_replicas(databases, master_key, 1, AUTH_KEY_ROTATION_DAYS="1") as (replica,):
        # The first thing that a rotating replica does is to rotate; by now it would have.
        assert await _publishes(replica, 1)
        assert list((await operator.states()).values()) == ["active"]


async def test_owner_is_no_administrator(databases: Databases) -> None:
    """A process that would administer as the owner of the tables refuses to start, and says whose URL it needs."""
    await seed(databases, "http://127.0.0.1:8001", master_key := new_master_key())
    code, output = await start(
        databases, AUTH_MASTER_KEY=master_key, AUTH_ADMIN_DATABASE_URL=databases.auth.owner
    )
    assert code == 3
    assert "give it the administrator's database URL" in output
    assert "owner-password" not in output


async def _publishes(replica: Replica, count: int) -> bool:
    answer = await replica.http.get("/.well-known/jwks.json")
    return len(answer.json()["keys"]) == count


async def _actors(databases: Databases) -> list[str]:
    rows = await as_owner(databases.auth.owner, lambda c: c.fetch("SELECT actor FROM audit_events"))
    return [row["actor"] for row in rows]
