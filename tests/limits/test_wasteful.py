"""Who does not keep its tokens is found by the audit log."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from auth_service.queries.wasteful import wasteful_clients
from tests.cli import terminal
from tests.limits.limited import Limited
from tests.support.system import RESOURCE


async def test_early_tokens_are_counted(limited: Limited) -> None:
    """Three tokens at once are two too many; one after half of its life is none."""
    jane, joe = limited.system.client, await limited.system.register("Joe")
    limited.wall.now -= 3000
    await limited.ask(joe)
    for _ in range(3):
        await limited.ask(jane)
    limited.wall.now += 2000
    await limited.ask(joe)
    assert await limited.system.auth_process.audit.flush()

    async def wasteful(connection: Any) -> Any:
        return await wasteful_clients(connection, datetime.now(UTC) - timedelta(days=1), 10)

    (found,) = await limited.system.as_admin(wasteful)
    assert (found.client_id, found.tokens, found.early) == (jane.client_id, 3, 2)
    assert found.scopes == ("read",)
    assert found.tokens_per_lifetime == 3.0


async def test_at_the_terminal(limited: Limited) -> None:
    """A table, or JSON; that nobody is wasteful is said too."""
    variables = {"AUTH_ADMIN_DATABASE_URL": limited.system.databases.auth_admin}

    async def run(*arguments: str) -> terminal.Outcome:
        return await asyncio.to_thread(terminal.run, "clients", "wasteful", *arguments, env=variables)

    assert (await run()).out == "No client got a token too early in the last day.\n"
    for _ in range(2):
        await limited.ask(limited.system.client)
    assert await limited.system.auth_process.audit.flush()
    assert limited.system.client.client_id in (await run()).out
    (found,) = json.loads((await run("--json")).out)
    assert (found["tokens"], found["early"], found["tokens_per_lifetime"]) == (2, 1, 2.0)
    assert found["audience"][0].endswith(RESOURCE)
    assert (await run("--limit", "0")).code == 2
