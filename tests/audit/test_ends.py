"""A process ends, well or badly: what of its events is there afterwards."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.replicas import auth_replicas
from tests.support.system import as_owner, seed

# What the documentation allows a kill -9 to lose, and time to write a batch on a busy machine.
LOST_SECONDS = 1.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_events_of_a_process_that_ends(databases: Databases, number: signal.Signals) -> None:
    """By SIGTERM none is lost; by SIGKILL at most those of the last second, and nothing before a gap."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    issued: list[tuple[datetime, str]] = []
    async with auth_replicas(databases, master_key, 1) as (replica,):
        begin = datetime.now(UTC)
        while datetime.now(UTC) < begin + timedelta(seconds=2 * LOST_SECONDS):
            response = await replica.http.post(
                "/token", data={"grant_type": "client_credentials"}, auth=client.basic
            )
            assert response.status_code == 200
            issued.append((datetime.now(UTC), response.headers["x-trace-id"]))
        replica.process.send_signal(number)
        ended = datetime.now(UTC)
        await asyncio.wait_for(replica.process.wait(), 20)
    written = await as_owner(databases.auth.owner, _trace_ids)
    missing = [at for at, trace_id in issued if trace_id not in written]
    if number is signal.SIGTERM:
        assert missing == []
    else:
        assert all(at > ended - timedelta(seconds=LOST_SECONDS) for at in missing)
        assert len(missing) < len(issued) / 2


async def _trace_ids(connection: Any) -> set[str]:
    rows = await connection.fetch("SELECT trace_id FROM audit_events WHERE action = 'token.issue'")
    return {row["trace_id"] for row in rows}
