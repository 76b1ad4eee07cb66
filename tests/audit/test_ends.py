"""Processes end, well or badly: what of their events is there afterwards."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from auth_service.administration.admin_api import admin_audience, create_admin
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import ACTOR, Registered, as_owner, seed

ISSUER = "http://127.0.0.1:8000"
# What the documentation allows a kill -9 to lose, and time to write a batch on a busy machine.
LOST_SECONDS = 1.0
ISSUING_SECONDS = 1.5 * LOST_SECONDS


async def test_what_is_there_of_processes_that_end(databases: Databases) -> None:
    """By SIGTERM nothing is lost; by SIGKILL at most the last second of tokens, and no change, however late."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    operator = await _operator(databases)
    administers = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin, "AUTH_ISSUER": ISSUER}
    async with auth_replicas(databases, master_key, 2, **administers) as (stopped, killed):
        headers = await _authorization(killed, operator)
        issued = await asyncio.gather(_issue(stopped, client), _issue(killed, client))
        made = await killed.http.post("/admin/v1/clients", json=_NEW_CLIENT, headers=headers)
        # At once: what was answered is in the log already.
        killed.process.kill()
        ended = datetime.now(UTC)
        stopped.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.wait_for(r.process.wait(), 20) for r in (stopped, killed)))
    # To be asked to end, and to do it, is no failure.
    assert stopped.process.returncode == 0
    written = await as_owner(databases.auth.owner, _events)
    of_stopped, of_killed = ([at for at, trace in each if trace not in written] for each in issued)
    assert of_stopped == []
    assert all(at > ended - timedelta(seconds=LOST_SECONDS) for at in of_killed)
    assert len(of_killed) < len(issued[1]) / 2
    assert made.status_code == 201
    assert written[made.headers["x-trace-id"]] == ("client.create", made.json()["client_id"])


_NEW_CLIENT = {"name": "The last one", "grants": {"api_v0.0.1": ["read"]}}


async def _operator(databases: Databases) -> Registered:
    new = await as_owner(databases.auth_admin, lambda c: create_admin(c, ACTOR, "operator", ISSUER))
    return Registered(new.client.client_id, new.secret)


async def _authorization(replica: Replica, operator: Registered) -> dict[str, str]:
    status, answer = await replica.ask(operator, resource=admin_audience(ISSUER))
    assert status == httpx.codes.OK, answer
    return {"Authorization": f"Bearer {answer['access_token']}"}


async def _issue(replica: Replica, client: Registered) -> list[tuple[datetime, str]]:
    """Get tokens without a pause; return when each came, and under which trace id."""
    issued = []
    begin = datetime.now(UTC)
    while datetime.now(UTC) < begin + timedelta(seconds=ISSUING_SECONDS):
        response = await replica.http.post(
            "/token", data={"grant_type": "client_credentials"}, auth=client.basic
        )
        assert response.status_code == httpx.codes.OK
        issued.append((datetime.now(UTC), response.headers["x-trace-id"]))
    return issued


async def _events(connection: Any) -> dict[str, tuple[str, str]]:
    rows = await connection.fetch("SELECT trace_id, action, object_id FROM audit_events")
    return {row["trace_id"]: (row["action"], row["object_id"]) for row in rows}
