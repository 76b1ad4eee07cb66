"""The audit log is followed: nothing is missed, nothing comes twice, whenever it is committed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auth_service.administration.audit_search import Follower
from auth_service.administration.errors import Invalid
from auth_service.queries import audit_reading
from steelcut.service.database.connecting import connect
from tests.cli import terminal
from tests.support.databases import Databases

WRITE = "INSERT INTO audit_events (at, actor, action, object_type, object_id) VALUES ($1, 'a', 'b', 'c', $2)"


@pytest.fixture
async def writer(databases: Databases) -> AsyncIterator[Any]:
    """Somebody who writes events at the same time, and of any time: the owner."""
    connection = await connect(databases.auth.owner)
    yield connection
    await connection.close()


async def write(connection: Any, name: str, *, ago: timedelta = timedelta()) -> None:
    """Write one event."""
    await connection.execute(WRITE, datetime.now(UTC) - ago, name)


async def news(follower: Follower, connection: Any) -> list[str]:
    """What the follower reads now."""
    return [event.object_id async for event in follower.news(connection)]


async def test_last_lines_then_what_comes(administrator: Any, writer: Any) -> None:
    """It begins with the last ones, oldest first, and goes on from there."""
    for name in "123":
        await write(writer, name)
    follower, last = await Follower.begin(administrator, 2)
    assert [event.object_id for event in last] == ["2", "3"]
    assert await news(follower, administrator) == []
    await write(writer, "4")
    await write(writer, "5")
    assert await news(follower, administrator) == ["4", "5"]
    assert await news(follower, administrator) == []


async def test_event_that_is_committed_late_is_read_once(administrator: Any, owner: Any, writer: Any) -> None:
    """A long transaction, and a batch that had waited for the database: their time is past when they come."""
    async with writer.transaction():
        await write(writer, "late")
        follower, _ = await Follower.begin(administrator, 0)
        await write(owner, "meanwhile")
        assert await news(follower, administrator) == ["meanwhile"]
        assert await news(follower, administrator) == []
    await write(owner, "of yesterday", ago=timedelta(days=1))
    assert await news(follower, administrator) == ["of yesterday", "late"]
    assert await news(follower, administrator) == []


async def test_reading_that_breaks_off_is_repeated(administrator: Any, writer: Any) -> None:
    """The position moves when all was taken, so that a crash loses nothing."""
    follower, _ = await Follower.begin(administrator, 0)
    await write(writer, "1")
    await write(writer, "2")
    reading = follower.news(administrator)
    assert (await anext(reading)).object_id == "1"
    await reading.aclose()  # type: ignore[attr-defined]
    again = await Follower.resume(administrator, follower.position)
    assert await news(again, administrator) == ["1", "2"]


async def test_following_costs_no_walk_through_the_log(administrator: Any, owner: Any) -> None:
    """However long the log is: what was written since is found by an index."""
    await owner.execute("SET enable_seqscan = off")
    position = await administrator.fetchval("SELECT pg_current_snapshot()::text")
    plan = await owner.fetch(f"EXPLAIN {audit_reading._WRITTEN_SINCE}", position)
    assert "transaction_id_idx" in str(plan)
    assert "Seq Scan" not in str(plan)


@pytest.mark.parametrize("position", ["", "x", "1:2", "2:1:", "1:1:1\x00", "é"])
async def test_position_that_is_none(administrator: Any, position: str) -> None:
    """A file of something else is no reason to read all of the log again."""
    with pytest.raises(Invalid):
        await Follower.resume(administrator, position)


async def test_tail_goes_on_where_it_ended(databases: Databases, writer: Any, tmp_path: Path) -> None:
    """By the file of --position: the first time the last ten, then only what is new."""
    variables = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin}
    arguments = ("audit", "tail", "--json-lines", "--position", str(tmp_path / "position"))
    await write(writer, "1")
    assert await _tailed(*arguments, env=variables) == ["1"]
    assert await _tailed(*arguments, env=variables) == []
    await write(writer, "2")
    assert await _tailed(*arguments, env=variables) == ["2"]


async def test_tail_follows_until_it_is_told_to_end(databases: Databases, writer: Any) -> None:
    """A line comes as soon as its event is committed, through a pipe too; Ctrl-C ends it quietly."""
    variables = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin}
    await write(writer, "first")
    process = terminal.process("audit", "tail", "--follow", "--json-lines", env=variables)
    assert process.stdout is not None
    assert '"object_id": "first"' in await asyncio.to_thread(process.stdout.readline)
    await write(writer, "second")
    assert '"object_id": "second"' in await asyncio.to_thread(process.stdout.readline)
    process.send_signal(2)
    assert await asyncio.to_thread(process.communicate, timeout=30) == ("", "")
    assert process.returncode == 130


async def test_tail_of_a_database_that_ends_says_so(
    databases: Databases, administrator: Any, writer: Any
) -> None:
    """One sentence and exit code 1; whoever started it decides whether to start it again."""
    await write(writer, "first")
    process = terminal.process(
        "audit", "tail", "--follow", env={"AUTH_ADMIN_DATABASE_URL": databases.auth_admin}
    )
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    await administrator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
    )
    _, err = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 1
    assert err.startswith("steelcut: The connection to PostgreSQL was lost")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", [("search", "--all"), ("tail", "--lines", "1000", "--follow")])
async def test_reader_that_leaves_is_no_error(
    databases: Databases, writer: Any, command: tuple[str, ...]
) -> None:
    """As `head` does, long before the end: the command ends without a word, and blames no database."""
    await writer.execute(
        "INSERT INTO audit_events (actor, action, object_type, object_id, reason)"
        " SELECT 'a', 'b', 'c', 'd', repeat('x', 300) FROM generate_series(1, 1000)"
    )
    # Longer lines than those for people: more of them than a pipe holds.
    variables = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin}
    process = terminal.process("audit", *command, "--json-lines", env=variables)
    assert process.stdout is not None
    assert process.stderr is not None
    await asyncio.to_thread(process.stdout.readline)
    process.stdout.close()
    assert await asyncio.to_thread(process.wait, timeout=30) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


async def _tailed(*arguments: str, env: dict[str, str]) -> list[str]:
    done = await asyncio.to_thread(terminal.run, *arguments, env=env)
    assert (done.code, done.err) == (0, "")
    return [json.loads(line)["object_id"] for line in done.out.splitlines()]


async def test_file_that_holds_no_position_is_named(databases: Databases, tmp_path: Path) -> None:
    """It may be another file than was meant."""
    file = tmp_path / "position"
    file.write_text("x")
    refused = await asyncio.to_thread(
        terminal.run,
        *("audit", "tail", "--position", str(file)),
        env={"AUTH_ADMIN_DATABASE_URL": databases.auth_admin},
    )
    assert refused.sentence == f"{file}: This is no position in the audit log."
