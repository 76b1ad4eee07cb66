"""A guesser learns nothing: which clients exist, which secrets were once good, which half was wrong."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import asyncpg
import httpx
import pytest

from auth_service import audit, client_secrets, state
from steelcut.service.database.connecting import database_of
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import Registered, System, running_system

FORM = {"grant_type": "client_credentials"}
# What differs between any two answers.
OWN_HEADERS = frozenset({"x-trace-id", "date"})
STATEMENTS = ("execute", "executemany", "fetch", "fetchrow", "fetchval")


@dataclass
class Work:
    """What one request cost: secrets verified against a hash, statements sent to PostgreSQL, rows read from it."""

    hashes: int = 0
    rows: int = 0
    statements: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def watched(templates: Templates) -> AsyncIterator[System]:
    """A system that sends no statement of its own while its work is counted."""

    async def at_rest(_process: Any) -> None:
        await asyncio.Event().wait()

    with mock.patch.object(state, "_keep_fresh", at_rest), mock.patch.object(audit, "FLUSH_SECONDS", 3600):
        async with running_system(await templates.clone(), cache_max_age_seconds=300) as system:
            yield system


@pytest.fixture(scope="module")
async def guesser(watched: System) -> AsyncIterator[httpx.AsyncClient]:
    """Who asks; relative to the root of the watched system."""
    async with http_client(base_url=watched.issuer) as client:
        yield client


@pytest.fixture(scope="module")
async def impostors(watched: System) -> dict[str, Registered]:
    """One caller for each way to be refused; the first is the one that all others are compared with."""
    client = watched.client
    retired = await watched.register("Retired")
    removed = await watched.register("Removed")
    emptied = await watched.register("Emptied")

    async def age(connection: Any) -> None:
        await connection.execute(
            "UPDATE client_secrets SET expires_at = now() - interval '1 second' WHERE client_id = $1",
            retired.client_id,
        )
        await connection.execute("DELETE FROM client_secrets WHERE client_id = $1", emptied.client_id)
        for table in ("client_secrets", "client_grants", "clients"):
            await connection.execute(f"DELETE FROM {table} WHERE client_id = $1", removed.client_id)  # noqa: S608 - ours

    await watched.as_owner(age)
    return {
        "unknown client": Registered("nobody", client_secrets.generate().value),
        "wrong secret": Registered(client.client_id, client_secrets.generate().value),
        "right id of the secret, wrong rest": Registered(client.client_id, _forged(client.secret)),
        "somebody else's secret": Registered(client.client_id, retired.secret),
        "unknown client with a good secret": Registered("nobody", client.secret),
        "client_id in capitals": Registered(client.client_id.upper(), client.secret),
        "expired secret": retired,
        "client without a secret": emptied,
        "client that is gone": removed,
    }


NAMES = [
    "wrong secret",
    "right id of the secret, wrong rest",
    "somebody else's secret",
    "unknown client with a good secret",
    "client_id in capitals",
    "expired secret",
    "client without a secret",
    "client that is gone",
]


@pytest.mark.parametrize("in_body", [False, True], ids=["header", "body"])
@pytest.mark.parametrize("name", NAMES)
async def test_no_answer_tells_which_half_was_wrong(
    guesser: httpx.AsyncClient, impostors: dict[str, Registered], name: str, *, in_body: bool
) -> None:
    """Status, body and headers are those that an unknown client gets, byte for byte."""
    expected = await _ask(guesser, impostors["unknown client"], in_body=in_body)
    answer = await _ask(guesser, impostors[name], in_body=in_body)
    assert answer.status_code == expected.status_code == 401
    assert answer.content == expected.content
    assert _comparable(answer) == _comparable(expected)


@pytest.mark.parametrize("known_before", [False, True], ids=["first time", "client in the cache"])
@pytest.mark.parametrize("name", NAMES)
async def test_no_refusal_costs_more_work_than_another(
    watched: System,
    guesser: httpx.AsyncClient,
    impostors: dict[str, Registered],
    name: str,
    *,
    known_before: bool,
) -> None:
    """As many hashes, statements and rows as for an unknown client, so that no clock tells them apart."""
    expected = await _work(watched, guesser, impostors["unknown client"], known_before=known_before)
    assert expected.hashes > 0
    assert (len(expected.statements), expected.rows) == (1, 1)
    assert await _work(watched, guesser, impostors[name], known_before=known_before) == expected


async def test_the_right_secret_costs_one_hash_and_at_most_one_query(
    watched: System, guesser: httpx.AsyncClient
) -> None:
    """The good case is the cheap one: one query the first time, none as long as the client is remembered."""
    first = await _work(watched, guesser, watched.client, known_before=False, status=200)
    assert len(first.statements) == 1
    again = await _work(watched, guesser, watched.client, known_before=True, status=200)
    assert again == Work(hashes=1)


@pytest.mark.parametrize(
    ("secret", "statements"),
    [("scut_", 0), ("scut_a_b_c", 0), ("mistyped", 0), ("é", 0), ("hunter2", 1)],
)
async def test_what_is_no_secret_of_ours_costs_anybody_the_same(
    watched: System, guesser: httpx.AsyncClient, secret: str, statements: int
) -> None:
    """A typo is refused by its checksum with no work at all; what another server may have made is looked up."""
    if secret == "mistyped":
        secret = watched.client.secret[:-1] + ("a" if watched.client.secret[-1] != "a" else "b")
    answers = []
    for client_id in (watched.client.client_id, "nobody"):
        with _counted(watched) as work:
            answers.append(await _ask(guesser, Registered(client_id, secret), in_body=True))
        assert (work.hashes, len(work.statements), work.rows) == (0, statements, statements)
    known, unknown = answers
    assert known.content == unknown.content
    assert known.status_code == unknown.status_code
    assert _comparable(known) == _comparable(unknown)


async def test_the_log_knows_what_the_answer_hides(
    watched: System, guesser: httpx.AsyncClient, impostors: dict[str, Registered]
) -> None:
    """An operator finds the true reason by the trace id, and never the secret."""
    reasons = set()
    for impostor in impostors.values():
        answer = await _ask(guesser, impostor, in_body=False)
        line = watched.log.of(answer)
        assert impostor.client_id[:16] in line["reason"]
        assert impostor.secret not in str(line)
        reasons.add(line["reason"].partition(" client ")[0])
    assert reasons == {"unknown", "wrong, revoked or expired secret for"}


def _forged(secret: str) -> str:
    """Return a secret with the id of ``secret``, other random characters and a checksum that fits."""
    prefix, secret_id, _, _ = secret.split("_")
    _, _, random, _ = client_secrets.generate().value.split("_")
    body = f"{prefix}_{secret_id}_{random}"
    return f"{body}_{client_secrets._checksum(body)}"


async def _ask(guesser: httpx.AsyncClient, caller: Registered, *, in_body: bool) -> httpx.Response:
    if in_body:
        credentials = {"client_id": caller.client_id, "client_secret": caller.secret}
        return await guesser.post("/token", data=FORM | credentials)
    pair = base64.b64encode(f"{caller.client_id}:{caller.secret}".encode()).decode()
    return await guesser.post("/token", data=FORM, headers={"Authorization": f"Basic {pair}"})


def _comparable(answer: httpx.Response) -> list[tuple[str, str]]:
    """Return the headers in their order, without the values that are each answer's own."""
    return [(name, "" if name in OWN_HEADERS else value) for name, value in answer.headers.multi_items()]


async def _work(
    system: System, guesser: httpx.AsyncClient, caller: Registered, *, known_before: bool, status: int = 401
) -> Work:
    system.auth_process.registry.forget_all()
    if known_before:
        await _ask(guesser, caller, in_body=False)
    with _counted(system) as work:
        answer = await _ask(guesser, caller, in_body=False)
    assert answer.status_code == status
    return work


@contextmanager
def _counted(system: System) -> Iterator[Work]:
    """Count the work of ``system`` while the block runs; other systems of this run have databases of their own."""
    work = Work()
    database = database_of(system.databases.auth.runtime)
    verify = client_secrets.verify

    def counted_verify(secret: str, stored: str) -> bool:
        work.hashes += 1
        return verify(secret, stored)

    def counting(statement: Any) -> Any:
        async def counted(connection: Any, query: str, *values: Any, **options: Any) -> Any:
            answer = await statement(connection, query, *values, **options)
            if connection._params.database == database:
                work.statements.append(query)
                work.rows += len(answer) if isinstance(answer, list) else answer is not None
            return answer

        return counted

    statements = {name: counting(getattr(asyncpg.Connection, name)) for name in STATEMENTS}
    with (
        mock.patch.object(client_secrets, "verify", counted_verify),
        mock.patch.multiple(asyncpg.Connection, **statements),
    ):
        yield work
