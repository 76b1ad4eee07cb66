"""Changes of clients that are refused leave nothing behind, and many at once never block each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from auth_service.administration import clients, resources, secrets
from auth_service.administration.errors import AdministrationError, Conflict, Invalid, NotFound
from auth_service.administration.granting import hold_grants
from auth_service.administration.paging import cursor_of
from tests.support.databases import Databases, Templates
from tests.support.system import ACTOR, RESOURCE, System, running_system
from tests.support.waiting import until

Work = Callable[[Any], Awaitable[Any]]

NESTED: Any = {}
for _ in range(300):
    NESTED = {"a": NESTED}
DEEP: Any = {}
for _ in range(31):
    DEEP = {"a": DEEP}
END_OF_TIME = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14)))

REFUSALS: list[tuple[str, Work, type[AdministrationError], str]] = [
    (
        "end in the past",
        lambda c: clients.update_client(c, ACTOR, "jane", {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}),
        Invalid,
        "The client's end must lie in the future",
    ),
    (
        "end without a zone",
        lambda c: clients.update_client(
            c,
            ACTOR,
            "jane",
            {"expires_at": datetime(2099, 1, 1)},  # noqa: DTZ001 - that is the mistake
        ),
        Invalid,
        "needs a time zone",
    ),
    (
        "metadata that is no object",
        lambda c: clients.update_client(c, ACTOR, "jane", {"metadata": ["a"]}),  # type: ignore[typeddict-item]
        Invalid,
        "Metadata is a JSON object",
    ),
    (
        "metadata that is no JSON",
        lambda c: clients.update_client(c, ACTOR, "jane", {"metadata": {"a": object()}}),
        Invalid,
        "Metadata is a JSON object",
    ),
    (
        "metadata deeper than JSON goes",
        lambda c: clients.update_client(c, ACTOR, "jane", {"metadata": NESTED}),
        Invalid,
        "Metadata is a JSON object",
    ),
    (
        "metadata too deep",
        lambda c: clients.update_client(c, ACTOR, "jane", {"metadata": {"a": [[{}] * 2] * 2, "b": DEEP}}),
        Invalid,
        "at most 32 levels",
    ),
    (
        "end that is none in UTC",
        lambda c: clients.update_client(c, ACTOR, "jane", {"expires_at": END_OF_TIME}),
        Invalid,
        "within the years 1 to 9999",
    ),
    (
        "end that PostgreSQL would take for never",
        lambda c: clients.update_client(c, ACTOR, "jane", {"expires_at": datetime.max.replace(tzinfo=UTC)}),
        Invalid,
        "within the years 1 to 9999",
    ),
    (
        "large metadata",
        lambda c: clients.update_client(c, ACTOR, "jane", {"metadata": {"a": "x" * 8192}}),
        Invalid,
        "at most 8192 bytes",
    ),
    (
        "metadata with NUL",
        lambda c: clients.update_client(c, ACTOR, "jane", {"metadata": {"a": [{"b\x00": 1}]}}),
        Invalid,
        "no NUL",
    ),
    (
        "no grants",
        lambda c: clients.update_client(c, ACTOR, "jane", {"grants": {}}),
        Invalid,
        "at least one resource",
    ),
    (
        "unknown scope",
        lambda c: clients.update_client(c, ACTOR, "jane", {"name": "J", "grants": {RESOURCE: ["fly"]}}),
        Invalid,
        "has no scope fly",
    ),
    (
        "default that goes",
        lambda c: clients.update_client(c, ACTOR, "jane", {"grants": {"reports": ["read"]}}),
        Invalid,
        "must be one of the granted",
    ),
    (
        "default that never was",
        lambda c: clients.update_client(c, ACTOR, "jane", {"default_resource": "reports"}),
        Invalid,
        "must be one of the granted",
    ),
    (
        "nobody",
        lambda c: clients.update_client(c, ACTOR, "nobody", {"name": "X"}),
        NotFound,
        "no client with this id",
    ),
    (
        "delete nobody",
        lambda c: clients.delete_client(c, ACTOR, "a\x00"),
        NotFound,
        "no client with this id",
    ),
    (
        "secret's label",
        lambda c: clients.create_client(c, ACTOR, "n", {RESOURCE: ["read"]}, secret_label="\n"),
        Invalid,
        "A label is",
    ),
    (
        "secret's end",
        lambda c: clients.create_client(
            c, ACTOR, "n", {RESOURCE: ["read"]}, secret_expires_at=datetime(2020, 1, 1, tzinfo=UTC)
        ),
        Invalid,
        "The secret's end must lie in the future",
    ),
    ("page of 0", lambda c: clients.list_clients(c, limit=0), Invalid, "1 to 1000"),
    ("page of 1001", lambda c: clients.list_clients(c, limit=1001), Invalid, "1 to 1000"),
    ("search for NUL", lambda c: clients.list_clients(c, text="\x00"), Invalid, "printable"),
    *(
        (
            f"cursor {cursor!a}",
            lambda c, cursor=cursor: clients.list_clients(c, cursor=cursor),
            Invalid,
            "cursor",
        )
        for cursor in ("x", "é", "WyJh", "W10", "e30", cursor_of(["a", "b"]), cursor_of(["a\x00"]))
    ),
]


@pytest.mark.parametrize(
    ("work", "kind", "sentence"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
async def test_refused_changes(
    jane: System, work: Work, kind: type[AdministrationError], sentence: str
) -> None:
    """One sentence that says what to do, and nothing has changed: no row, no event."""
    before = await jane.as_owner(_everything)
    with pytest.raises(kind, match=sentence):
        await jane.as_admin(work)
    assert await jane.as_owner(_everything) == before


@pytest.fixture(scope="module")
async def jane(templates: Templates) -> AsyncIterator[System]:
    """A system with one more resource, and the client that these changes are tried on."""
    async with running_system(await templates.clone()) as system:
        await system.as_admin(
            lambda c: resources.create_resource(c, ACTOR, "reports", "https://reports.example.com", ["read"])
        )
        await system.register("Jane", client_id="jane", default_resource=RESOURCE)
        yield system


async def test_taken_id_changes_nothing_of_its_owner(jane: System) -> None:
    """Not even the notes on its use."""
    before = await jane.as_owner(_everything)
    with pytest.raises(Conflict):
        await jane.register("Other Jane", client_id="jane")
    assert await jane.as_owner(_everything) == before


async def test_changes_at_once_never_block_each_other(start_system: Any) -> None:
    """Clients change while their resources do, many at once: each change is made or refused with a sentence."""
    system: System = await start_system()
    for name in ("a", "b"):
        await system.as_admin(
            lambda c: resources.create_resource(c, ACTOR, name, f"https://{name}.example.com", ["x", "y"])  # noqa: B023
        )
    every = {"a": ["x", "y"], "b": ["x", "y"]}
    for number in range(4):
        await system.register("C", client_id=f"c{number}", grants=every, default_resource="a")

    def deeds(number: int) -> list[Work]:
        me = f"c{number % 4}"
        return [
            lambda c: clients.update_client(c, ACTOR, me, {"grants": every}),
            lambda c: clients.update_client(c, ACTOR, me, {"grants": {"a": ["x"]}}),
            lambda c: resources.update_resource(c, ACTOR, "a", {"scopes": ["x"]}, force=True),
            lambda c: resources.update_resource(c, ACTOR, "b", {"scopes": ["y"]}, force=True),
            lambda c: resources.update_resource(c, ACTOR, "ab"[number % 2], {"scopes": ["x", "y"]}),
            lambda c: clients.delete_client(c, ACTOR, me),
            lambda c: clients.create_client(c, ACTOR, "C", every, client_id=me, default_resource="a"),
            lambda c: secrets.rotate_secret(c, ACTOR, me),
        ]

    async def turn(number: int) -> None:
        connection = await asyncpg.connect(system.databases.auth_admin)
        try:
            # Each begins elsewhere, so that different deeds meet.
            mine = deeds(number)
            for deed in (mine[number:] + mine[:number]) * 3:
                try:
                    await deed(connection)
                except AdministrationError as error:
                    assert str(error).endswith((".", "them"))  # noqa: PT017 - any other error is a failure
        finally:
            await connection.close()

    await asyncio.gather(*(turn(number) for number in range(8)))


async def new_client(connection: Any) -> None:
    """Make another client of the id of the one there is."""
    await connection.execute("DELETE FROM clients WHERE client_id = 'c'")
    await connection.execute("INSERT INTO clients (client_id, name) VALUES ('c', 'New')")


async def new_resource(connection: Any) -> None:
    """Make another resource of the name of the one there is."""
    await connection.execute("DELETE FROM resources WHERE name = 'r'")
    await resources.create_resource(connection, ACTOR, "r", "https://new.example.com", ["read"])


OF_CLIENT = "SELECT FROM clients WHERE client_id = 'c' FOR NO KEY UPDATE NOWAIT"
OF_RESOURCE = "SELECT FROM resources WHERE name = 'r' FOR UPDATE NOWAIT"


@pytest.mark.parametrize(
    ("renew", "hold", "statement"),
    [
        (new_client, lambda c: clients.hold_client(c, "c"), OF_CLIENT),
        # What is as it was already is not written, and would not be held by that.
        (
            new_resource,
            lambda c: resources.update_resource(c, ACTOR, "r", {"identifier": "https://new.example.com"}),
            OF_RESOURCE,
        ),
        (new_resource, lambda c: hold_grants(c, {"r": ["read"]}), OF_RESOURCE),
    ],
    ids=["client", "resource", "grants"],
)
async def test_what_was_made_anew_meanwhile_is_held(
    databases: Databases, renew: Work, hold: Work, statement: str
) -> None:
    """Whoever waited for one that was deleted holds the one that took its place: a change must not meet another."""
    async with AsyncExitStack() as stack:
        renewing, changing, other = [
            await stack.enter_async_context(connected(databases.auth_admin)) for _ in range(3)
        ]
        await resources.create_resource(renewing, ACTOR, "r", "https://r.example.com", ["read"])
        await renewing.execute("INSERT INTO clients (client_id, name) VALUES ('c', 'Old')")
        begun = renewing.transaction()
        await begun.start()
        await renew(renewing)
        changed = changing.transaction()
        await changed.start()
        holding = asyncio.ensure_future(hold(changing))

        async def waits() -> bool:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'"
            return bool(await other.fetchval(waiting, changing.get_server_pid()))

        await until(waits, 10)
        await begun.commit()
        await holding
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute(statement)
        await changed.rollback()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """Connect for the length of the block."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _everything(connection: Any) -> list[Any]:
    tables = ("clients", "client_grants", "client_secrets", "secret_usage", "audit_events")
    return [
        await connection.fetch(f"SELECT * FROM {table} t ORDER BY t::text")  # noqa: S608 - names of ours
        for table in tables
        if table != "audit_events"
    ] + [await connection.fetchval("SELECT count(*) FROM audit_events WHERE action NOT LIKE 'token.%'")]
