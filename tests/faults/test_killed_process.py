"""An auth process is killed amid administrative changes, again and again: each change is whole, or never was."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.history import check_tokens, settled
from tests.faults.nursery import Nursery, service_environment
from tests.faults.operators import Operators
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.system import seed

pytestmark = pytest.mark.slow

KILLS = (16, pytest.param(50, marks=pytest.mark.long))
# At any moment two processes work on the database, so that a killed one always leaves a witness.
LANES = 2
OPERATORS_EACH = 3
LONGEST_LIFE_SECONDS = 0.15


@pytest.mark.parametrize("kills", KILLS)
async def test_kills_leave_every_change_whole(
    databases: Databases, nursery: Nursery, operators: Operators, kills: int
) -> None:
    """Of many processes killed by SIGKILL, none leaves a change half done, unlogged, or acknowledged and lost."""
    master_key = new_master_key()
    await seed(databases, "http://127.0.0.1:8001", master_key)
    await operators.begin(databases)
    environment = service_environment(databases, master_key, OPERATORS_EACH)
    async with asyncio.TaskGroup() as group:
        for _ in range(LANES):
            group.create_task(_lane(nursery, environment, operators, kills // LANES))
    replay = await settled(databases.auth.owner, operators)
    assert len(operators.of("unknown")) > kills, "most kills came when nothing was under way"
    await check_tokens(await nursery.start(**environment), replay, operators)


async def _lane(nursery: Nursery, environment: dict[str, str], operators: Operators, kills: int) -> None:
    following = await nursery.start(**environment)
    for _ in range(kills):
        # The next one starts while this one works.
        life, following = following, await nursery.start(**environment)
        answered = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(OPERATORS_EACH):
                group.create_task(operators.work(life.url, answered))
            await asyncio.wait_for(answered.wait(), 30)
            await asyncio.sleep(operators.random.uniform(0, LONGEST_LIFE_SECONDS))
            life.kill()
    following.kill()
