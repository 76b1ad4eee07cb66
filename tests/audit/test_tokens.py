"""Who got which token, and who was refused why: written behind the requests' backs, and lost by no outage."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import StartSystem
from tests.support.replicas import until
from tests.support.system import GRANT, RESOURCE, Registered, System

BASIC_OF_NOBODY = {"Authorization": "Basic " + base64.b64encode(b"nobody:x").decode()}


async def ask(
    system: System, client: Registered | None, headers: dict[str, str] | None = None, **form: Any
) -> Any:
    """Post to the token endpoint."""
    async with httpx.AsyncClient(trust_env=False) as http:
        auth: dict[str, Any] = {"auth": client.basic} if client else {}
        return await http.post(system.token_url, data={**GRANT, **form}, headers=headers, **auth)


async def event_of(system: System, response: httpx.Response) -> dict[str, Any]:
    """Return the one event of an answer, by its trace id."""
    await system.auth_process.audit.flush()
    rows = await system.as_owner(
        lambda c: c.fetch(
            "SELECT at, actor, action, object_id, outcome, reason, after::jsonb AS after, address FROM audit_events"
            " WHERE trace_id = $1",
            response.headers["x-trace-id"],
        )
    )
    (row,) = rows
    return dict(row)


async def test_token_is_noted_with_all_that_it_is(system: System) -> None:
    """Whose, when, for what, by which secret, from where: but not the token."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    response = await ask(system, system.client, scope="read")
    event = await event_of(system, response)
    assert event["actor"] == f"client:{system.client.client_id}"
    assert (event["action"], event["outcome"], event["reason"]) == ("token.issue", "issued", "")
    assert event["address"] == "127.0.0.1"
    assert before < event["at"] < datetime.now(UTC) + timedelta(seconds=1)
    for part in (
        '"scopes": ["read"]',
        system.document_url,
        '"lifetime_seconds": 3600',
        '"token_id"',
        '"secret_id"',
    ):
        assert part in event["after"]
    assert response.json()["access_token"] not in str(event)


async def _disabled(system: System) -> Registered:
    client = await system.register("Disabled")
    await system.as_owner(
        lambda c: c.execute("UPDATE clients SET enabled = false WHERE client_id = $1", client.client_id)
    )
    return client


async def _expired(system: System) -> Registered:
    client = await system.register("Expired")
    await system.as_owner(
        lambda c: c.execute("UPDATE clients SET expires_at = now() WHERE client_id = $1", client.client_id)
    )
    return client


async def _ended_secret(system: System) -> Registered:
    client = await system.register("Ended")
    await system.as_owner(
        lambda c: c.execute(
            "UPDATE client_secrets SET expires_at = now() WHERE client_id = $1", client.client_id
        )
    )
    return client


async def _jane(system: System) -> Registered:
    return system.client


async def _wrong(system: System) -> Registered:
    other = await system.register("Other")
    return Registered(system.client.client_id, other.secret)


async def _mistyped(system: System) -> Registered:
    return Registered(system.client.client_id, system.client.secret[:-1] + "!")


async def _unknown(system: System) -> Registered:
    return Registered("who", system.client.secret)


@pytest.mark.parametrize(
    ("client", "form", "outcome", "reason"),
    [
        (_unknown, {}, "invalid_client", "unknown"),
        (_wrong, {}, "invalid_client", "wrong, revoked or expired secret"),
        (_ended_secret, {}, "invalid_client", "wrong, revoked or expired secret"),
        (_mistyped, {}, "invalid_client", "mistyped"),
        (_disabled, {}, "invalid_client", "disabled"),
        (_expired, {}, "invalid_client", "has expired"),
        (_jane, {"scope": "write"}, "invalid_scope", "unknown or not granted"),
        (_jane, {"scope": "read\x01"}, "invalid_scope", "malformed scope"),
        (_jane, {"resource": "reports"}, "invalid_target", "may not call"),
        (_jane, {"grant_type": "password"}, "unsupported_grant_type", ""),
    ],
)
async def test_refusal_is_noted_with_its_true_reason(
    system: System,
    client: Callable[[System], Any],
    form: dict[str, Any],
    outcome: str,
    reason: str,
) -> None:
    """Under the trace id of the answer, which tells the caller less."""
    who: Registered = await client(system)
    system.auth_process.registry.forget_all()
    response = await ask(system, who, **form)
    event = await event_of(system, response)
    assert (event["action"], event["outcome"]) == ("token.refuse", outcome)
    assert reason in event["reason"]
    assert response.json()["error"] == outcome
    if reason:
        assert reason not in response.text
    assert who.secret not in str(event)


async def test_caller_without_a_name_is_noted_too(system: System) -> None:
    """No credentials, another scheme, a repeated parameter: somebody was here."""
    kinds: tuple[dict[str, str], ...] = ({}, {"Authorization": "Negotiate abc"}, BASIC_OF_NOBODY)
    for headers in kinds:
        response = await ask(system, None, headers)
        event = await event_of(system, response)
        assert event["action"] == "token.refuse"
        assert event["actor"] in {"unknown", "client:nobody"}


@pytest.mark.parametrize(
    "name",
    [
        b"\x00",
        b"a\x00b",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"x" * 3000,
        b"'; DROP TABLE clients; --",
    ],
)
async def test_no_name_keeps_the_others_from_being_noted(system: System, name: bytes) -> None:
    """What PostgreSQL takes for no text would come back with every batch, and all events wait behind it."""
    basic = base64.b64encode(name + b":x").decode()
    for headers, form in (
        ({"Authorization": f"Basic {basic}"}, {}),
        ({}, {"client_id": name, "client_secret": "x"}),
    ):
        response = await ask(system, None, headers, **form)
        event = await event_of(system, response)
        assert event["outcome"] in {"invalid_client", "invalid_request"}
    response = await ask(system, system.client, scope=b"read \x00")
    assert (await event_of(system, response))["outcome"] in {"invalid_scope", "invalid_request"}


async def test_flushes_at_once_write_each_event_once(system: System) -> None:
    """Whoever asks for a flush while one is under way waits for it: nothing is written twice or lost."""
    first = await ask(system, system.client)
    await asyncio.gather(*(system.auth_process.audit.flush() for _ in range(3)))
    second = await ask(system, system.client)
    for response in (first, second):
        assert (await event_of(system, response))["action"] == "token.issue"


async def test_no_request_waits_for_the_log(start_system: StartSystem) -> None:
    """Somebody holds the log's table for as long as he likes: tokens are given out meanwhile, events come later."""
    system: System = await start_system()  # type: ignore[misc]

    async def with_locked_log(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE")
            for _ in range(20):
                response = await asyncio.wait_for(ask(system, system.client), 5)
                assert response.status_code == 200
            assert (
                await connection.fetchval("SELECT count(*) FROM audit_events WHERE action = 'token.issue'")
                == 0
            )

    await system.as_owner(with_locked_log)

    async def all_there() -> bool:
        count = await system.as_owner(
            lambda c: c.fetchval("SELECT count(*) FROM audit_events WHERE action = 'token.issue'")
        )
        return bool(count == 20)

    await until(all_there, 10)
    assert RESOURCE in str(await system.as_owner(lambda c: c.fetch("SELECT resource FROM grant_usage")))
