"""The least-privilege report: what was given long ago and is not used."""

from __future__ import annotations

import asyncio
import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from auth_service.administration import clients, usage
from auth_service.administration.errors import Invalid
from auth_service.administration.resources import create_resource
from tests.cli import terminal
from tests.conftest import StartSystem
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System


async def age(system: System, days: int) -> None:
    """Let everything that is there be so much older."""
    for table, column in (
        ("clients", "created_at"),
        ("client_grants", "granted_at"),
        ("grant_usage", "last_used_at"),
        ("secret_usage", "last_used_at"),
    ):
        await system.as_owner(
            lambda c, table=table, column=column: c.execute(  # type: ignore[misc]
                f"UPDATE {table} SET {column} = {column} - make_interval(days => $1)",  # noqa: S608 - names of ours
                days,
            )
        )


async def use(system: System, client: Registered, scope: str) -> None:
    """Get a token, and wait until its use is noted."""
    async with http_client() as http:
        response = await http.post(
            system.token_url, data={**GRANT, "scope": scope, "resource": RESOURCE}, auth=client.basic
        )
    assert response.status_code == 200
    # As if a minute had passed since the last use: it is noted anew.
    system.auth_process.audit._noted.clear()
    await system.auth_process.audit.flush()


async def unused(system: System, days: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the clients and the grants that were not used for so many days."""
    found = await system.as_admin(lambda c: usage.unused_clients(c, days=days))
    grants = await system.as_admin(lambda c: usage.unused_grants(c, days=days))
    return [row.client_id for row in found.rows], [(row.client_id, row.scope) for row in grants.rows]


async def test_what_is_not_used_is_told(start_system: StartSystem) -> None:
    """A client counts from its creation, a scope from its grant, and each of them anew from its last use."""
    system: System = await start_system()  # type: ignore[misc]
    jane = system.client.client_id
    both = await system.register("Both", ("read", "write"), client_id="both")
    await system.register("Idle", ("read",), client_id="idle")
    assert await unused(system, 1) == ([], [])
    await age(system, 100)
    await use(system, both, "read")
    assert await unused(system, 90) == (
        sorted(["idle", jane]),
        sorted([("both", "write"), ("idle", "read"), (jane, "read")]),
    )
    assert await unused(system, 101) == ([], [])
    # What is granted today is not unused for 90 days, what was there stays as old as it was.
    changes = clients.ClientChanges(grants={RESOURCE: ["read", "write"]})
    await system.as_admin(lambda c: clients.update_client(c, ACTOR, "idle", changes))
    assert (await unused(system, 90))[1] == sorted([("both", "write"), ("idle", "read"), (jane, "read")])
    await age(system, 91)
    assert "both" in (await unused(system, 90))[0]


async def test_report_at_the_terminal(start_system: StartSystem) -> None:
    """Tables with what to do about it, or JSON; nothing to do is said too."""
    system: System = await start_system()  # type: ignore[misc]
    variables = {"AUTH_ADMIN_DATABASE_URL": system.databases.auth_admin}

    async def run(*arguments: str) -> terminal.Outcome:
        return await asyncio.to_thread(terminal.run, *arguments, env=variables)

    assert (await run("clients", "unused")).out == "No client has been without a token for 90 days.\n"
    assert (await run("scopes", "unused", "--days", "1")).out == (
        "Nothing that was granted has been unused for a day.\n"
    )
    await age(system, 100)
    shown = (await run("clients", "unused")).out
    assert "Jane Doe" in shown
    assert "never" in shown
    assert "steelcut clients disable CLIENT_ID" in shown
    (grant,) = json.loads((await run("scopes", "unused", "--days", "99", "--json")).out)
    assert (grant["client_id"], grant["resource"], grant["scope"]) == (
        system.client.client_id,
        RESOURCE,
        "read",
    )
    assert datetime.fromisoformat(grant["granted_at"]) < datetime.now(UTC) - timedelta(days=99)
    assert grant["last_used_at"] is None
    assert (await run("clients", "unused", "--days", "0")).code == 2


async def test_report_says_by_which_commands_all_of_it_goes(start_system: StartSystem) -> None:
    """They can be run as they stand, also for odd names and where nothing would be left, and then nothing is unused."""
    system: System = await start_system()  # type: ignore[misc]
    variables = {"AUTH_ADMIN_DATABASE_URL": system.databases.auth_admin}
    spare = ("https://x.example.com/spare", ["read", "write"])
    await system.as_admin(lambda c: create_resource(c, ACTOR, "spare", *spare))
    both = await system.register("Both", ("read", "write"), client_id="both of them")
    grants = {RESOURCE: ["read"], "spare": ["read", "write"]}
    two = await system.register("Two", grants=grants, default_resource="spare", client_id="-two")
    await age(system, 100)
    await use(system, both, "read")
    await use(system, two, "read")

    async def run(*arguments: str) -> terminal.Outcome:
        return await asyncio.to_thread(terminal.run, *arguments, env=variables)

    jane = system.client.client_id
    _, commands = (await run("scopes", "unused")).out.split("\nTo take it all away:\n")
    assert sorted(commands.splitlines()) == [
        f"  steelcut clients disable {jane}",
        f"  steelcut clients update --ungrant {RESOURCE}=write 'both of them'",
        "  steelcut clients update --ungrant spare --no-default-resource -- -two",
    ]
    for command in commands.splitlines():
        done = await run(*shlex.split(command)[1:])
        assert (done.code, done.err) == (0, "")
    assert (await unused(system, 90))[1] == [(jane, "read")]
    assert (await run("scopes", "unused")).out.endswith(f"  steelcut clients delete {jane}\n")


@pytest.mark.parametrize("days", [0, 3651])
async def test_days_that_cannot_be_meant(system: System, days: int) -> None:
    """Refused before the database is asked."""
    for report in (usage.unused_clients, usage.unused_grants):
        with pytest.raises(Invalid):
            await system.as_admin(lambda c, report=report: report(c, days=days))  # type: ignore[misc]


async def test_pages_go_through_all(start_system: StartSystem) -> None:
    """By client, resource and scope."""
    system: System = await start_system()  # type: ignore[misc]
    for number in range(3):
        await system.register(f"c{number}", ("read", "write"))
    await age(system, 100)
    seen, cursor = [], None
    while True:
        page = await system.as_admin(lambda c, at=cursor: usage.unused_grants(c, cursor=at, limit=2))  # type: ignore[misc]
        seen += [(row.client_id, row.scope) for row in page.rows]
        if (cursor := page.next_cursor) is None:
            break
    assert len(seen) == len(set(seen)) == 7
