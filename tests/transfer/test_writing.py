"""An import is all or nothing, says beforehand what it would do, and is in the audit log to the last client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
import pytest

from auth_service.administration.clients import update_client
from auth_service.administration.errors import Conflict
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import Item, SecretRecord, item
from auth_service.transfer.report import Outcome
from auth_service.transfer.writing import take
from tests.support.foreign import argon2_hash, old_client, take_old_clients
from tests.support.system import ACTOR, RESOURCE, Seeded

MANY = {f"old-{number:03}": argon2_hash() for number in range(100)}
TABLES = ("resources", "resource_scopes", "clients", "client_grants", "client_secrets", "audit_events")


async def census(seeded: Seeded) -> list[int]:
    """How many rows each table has."""
    counts = [f"(SELECT count(*) FROM {table})" for table in TABLES]  # noqa: S608 - names of ours
    row = await seeded.as_owner(lambda c: c.fetchrow(f"SELECT {', '.join(counts)}"))
    return list(row)


FAILURES: list[tuple[str, str, type[Exception]]] = [
    (
        "a client in the middle",
        "ALTER TABLE clients ADD CHECK (client_id <> 'old-050')",
        Conflict,
    ),
    (
        "a grant in the middle",
        "ALTER TABLE client_grants ADD CHECK (client_id <> 'old-050')",
        Conflict,
    ),
    (
        "a secret in the middle",
        "ALTER TABLE client_secrets ADD CHECK (client_id <> 'old-050')",
        Conflict,
    ),
    (
        "the last audit event",
        "ALTER TABLE audit_events ADD CHECK (object_id <> 'old-099')",
        Conflict,
    ),
    (
        "a right that is missing",
        "REVOKE INSERT ON audit_events FROM auth_admin",
        asyncpg.InsufficientPrivilegeError,
    ),
]


@pytest.mark.parametrize(("sabotage", "error"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
async def test_failure_leaves_nothing(seeded: Seeded, sabotage: str, error: type[Exception]) -> None:
    """Wherever the writing fails, no client, no resource and no event is left behind."""
    await seeded.as_owner(lambda c: c.execute(sabotage))
    before = await census(seeded)

    def read(catalogue: Catalogue) -> Sequence[Item]:
        grants = catalogue.grant(["made"], ["read"])
        return [item("", name, old_client(name, hashed, grants=grants)) for name, hashed in MANY.items()]

    with pytest.raises(error):
        await seeded.as_admin(
            lambda c: take(c, ACTOR, "test", read, apply=True, base_url="https://new.example.com")
        )
    assert await census(seeded) == before


async def test_trial_reports_what_would_be_and_leaves_nothing(seeded: Seeded) -> None:
    """A dry run tries everything, says the same as the import, and changes nothing."""
    before = await census(seeded)
    trial = await take_old_clients(seeded, MANY, apply=False)
    assert (trial.applied, trial.counts["taken"]) == (False, 100)
    assert await census(seeded) == before
    real = await take_old_clients(seeded, MANY)
    assert real.lines == trial.lines
    assert real.applied


async def test_trial_finds_what_only_the_database_knows(seeded: Seeded) -> None:
    """What would fail in earnest fails in the trial: it is no guess."""
    await seeded.as_owner(lambda c: c.execute("ALTER TABLE clients ADD CHECK (client_id <> 'old-050')"))
    with pytest.raises(Conflict):
        await take_old_clients(seeded, MANY, apply=False)


async def test_twice_changes_nothing(seeded: Seeded) -> None:
    """The second import of the same is all unchanged, and leaves neither row nor event."""
    await take_old_clients(seeded, MANY)
    before = await census(seeded)
    again = await take_old_clients(seeded, MANY)
    assert again.counts == {"taken": 0, "changed": 0, "unchanged": 100, "kept": 0, "refused": 0}
    assert await census(seeded) == before


async def test_what_was_changed_here_stays(seeded: Seeded) -> None:
    """A client that was imported and then given another name keeps it, and the report says so."""
    await take_old_clients(seeded, MANY)
    await seeded.as_admin(lambda c: update_client(c, ACTOR, "old-007", {"name": "James"}))
    again = await take_old_clients(seeded, MANY)
    (line,) = [line for line in again.lines if line.outcome is Outcome.KEPT]
    assert (line.name, line.notes) == ("old-007", ("it is here already, with another name: left as it is",))
    assert await seeded.as_owner(
        lambda c: c.fetchval("SELECT name FROM clients WHERE client_id = 'old-007'")
    ) == ("James")


async def test_another_client_of_the_same_id(seeded: Seeded) -> None:
    """An id that somebody else has here is refused: its owner is not given a second secret."""
    report = await take_old_clients(seeded, {seeded.client.client_id: argon2_hash()})
    (line,) = report.lines
    assert line.outcome is Outcome.REFUSED
    assert "has none of these secrets" in line.notes[0]


@pytest.mark.parametrize("apply", [False, True], ids=["trial", "in earnest"])
async def test_strict_takes_all_or_none(seeded: Seeded, apply: bool) -> None:  # noqa: FBT001 - pytest's way
    """With ``strict`` one refused client keeps all others out; without it they are taken."""
    stored = {"good": argon2_hash(), "bad": "in clear"}
    before = await census(seeded)
    report = await take_old_clients(seeded, stored, strict=True, apply=apply)
    assert (report.applied, report.refused) == (False, 1)
    assert await census(seeded) == before
    assert (await take_old_clients(seeded, stored)).counts["taken"] == 1


async def test_two_imports_at_once(seeded: Seeded) -> None:
    """Two operators who import the same: every client is there once, and nobody's import is half done."""
    results = await asyncio.gather(
        *(take_old_clients(seeded, MANY) for _ in range(3)), return_exceptions=True
    )
    taken = [report.counts["taken"] for report in results if not isinstance(report, BaseException)]
    assert sum(taken) == 100
    assert all(isinstance(error, Conflict) for error in results if isinstance(error, BaseException))
    events = await seeded.as_owner(
        lambda c: c.fetchval("SELECT count(*) FROM audit_events WHERE action = 'client.import'")
    )
    assert events == 100


async def test_each_client_is_in_the_audit_log(seeded: Seeded) -> None:
    """One event for each client and each made resource: who, from where, and what it was granted; no hash."""

    def read(catalogue: Catalogue) -> Sequence[Item]:
        grants = catalogue.grant(["made", RESOURCE], ["read"])
        return [item("", name, old_client(name, hashed, grants=grants)) for name, hashed in MANY.items()]

    await seeded.as_admin(
        lambda c: take(c, ACTOR, "elsewhere", read, apply=True, base_url="https://new.example.com")
    )
    events = await seeded.as_owner(
        lambda c: c.fetch(
            "SELECT actor, object_type, object_id, before, after FROM audit_events WHERE action LIKE '%.import'"
            " ORDER BY object_id"
        )
    )
    assert [event["object_id"] for event in events] == ["made", *MANY]
    assert {event["actor"] for event in events} == {ACTOR.name}
    after = orjson.loads(events[1]["after"])
    assert after["source"] == "elsewhere"
    assert after["grants"] == {"made": ["read"], RESOURCE: ["read"]}
    assert not any("argon2" in event["after"] for event in events)


async def test_every_replica_hears_of_an_imported_client(seeded: Seeded) -> None:
    """The ids of all imported clients are told to whoever listens, as those of any other change are."""
    waiting = set(MANY)
    heard = asyncio.Event()

    def hear(*message: Any) -> None:
        waiting.discard(message[-1])
        if not waiting:
            heard.set()

    connection = await asyncpg.connect(seeded.databases.auth.runtime)
    try:
        await connection.add_listener("steelcut_clients", hear)
        await take_old_clients(seeded, MANY)
        await asyncio.wait_for(heard.wait(), 10)
    finally:
        await connection.close()


async def test_usage_of_a_former_client_is_not_inherited(seeded: Seeded) -> None:
    """A client that was deleted leaves no last use to one that is imported under its id."""
    await seeded.as_admin(
        lambda c: c.execute(
            "INSERT INTO secret_usage (client_id, secret_id, last_used_at) VALUES ('old-000', 'x', now())"
        )
    )
    await take_old_clients(seeded, MANY)
    assert await seeded.as_owner(lambda c: c.fetchval("SELECT count(*) FROM secret_usage")) == 0


def test_records_show_no_hash() -> None:
    """What is printed by accident holds no hash."""
    assert "argon2" not in repr(SecretRecord("imported-1", argon2_hash()))
