"""Slow hashes are computed off the event loop, few at once, once for all that ask the same, and remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from auth_service import foreign_hashes
from tests.support.foreign import SECRET, SlowHashes, argon2_hash, ask, import_old_client, take_old_clients
from tests.support.plain_http import http_client
from tests.support.system import Registered, System


async def test_others_are_served_while_slow_hashes_are_computed(start_system: Any, slow: SlowHashes) -> None:
    """A burst of imported clients keeps neither a prober nor a native client waiting."""
    system: System = await start_system(imported_secret_threads=2, imported_secret_waiting=8)
    stored = {f"old-{number}": argon2_hash() for number in range(8)}
    await take_old_clients(system, stored)
    slow.hold()
    order: list[str] = []
    async with http_client(base_url=system.issuer) as http:

        async def imported(client_id: str) -> int:
            answer = await ask(http, Registered(client_id, SECRET))
            order.append("imported")
            return answer.status_code

        burst = [asyncio.create_task(imported(client_id)) for client_id in stored]
        await slow.running.acquire()
        await slow.running.acquire()
        assert (await http.get("/healthz")).status_code == 200
        order.append("prober")
        assert (await ask(http, system.client)).status_code == 200
        order.append("native")
        slow.release()
        assert await asyncio.gather(*burst) == [200] * 8
    assert order[:2] == ["prober", "native"]


async def test_what_finds_no_place_is_told_to_come_again(start_system: Any, slow: SlowHashes) -> None:
    """Beyond those that compute and those that may wait: 503 with Retry-After, at once; nobody else is troubled."""
    system: System = await start_system(imported_secret_threads=1, imported_secret_waiting=1)
    await take_old_clients(system, {"old-0": argon2_hash(), "old-1": argon2_hash()})
    async with http_client(base_url=system.issuer) as http:
        assert (await ask(http, Registered("old-0", SECRET))).status_code == 200
        await slow.running.acquire()
        slow.hold()
        computing = asyncio.create_task(ask(http, Registered("old-1", SECRET)))
        await slow.running.acquire()
        waiting = asyncio.create_task(
            system.auth_process.imported_secrets.verify("old-2", SECRET, argon2_hash())
        )
        await asyncio.sleep(0)
        beyond = await ask(http, Registered("old-1", "another"))
        assert (beyond.status_code, beyond.json()["error"]) == (503, "temporarily_unavailable")
        assert int(beyond.headers["retry-after"]) >= 1
        # Who is remembered needs no place, nor does a client of ours.
        assert (await ask(http, Registered("old-0", SECRET))).status_code == 200
        assert (await ask(http, system.client)).status_code == 200
        slow.release()
        assert ((await computing).status_code, await waiting) == (200, True)
        assert (await ask(http, Registered("old-1", "another"))).status_code == 401


async def test_one_hash_for_all_that_ask_the_same(start_system: Any, slow: SlowHashes) -> None:
    """A busy client whose every worker starts at once takes one place and computes one hash."""
    system: System = await start_system(imported_secret_threads=1, imported_secret_waiting=0)
    client = await import_old_client(system)
    slow.hold()
    async with http_client(base_url=system.issuer) as http:
        workers = [asyncio.create_task(ask(http, client)) for _ in range(20)]
        await slow.running.acquire()
        assert (await http.get("/healthz")).status_code == 200
        slow.release()
        assert {answer.status_code for answer in await asyncio.gather(*workers)} == {200}
    assert len(slow.seen) == 1


async def test_caller_who_hangs_up_takes_no_answer_from_others(start_system: Any, slow: SlowHashes) -> None:
    """Two ask the same and the first goes away: the other gets its token."""
    system: System = await start_system(imported_secret_threads=1, imported_secret_waiting=0)
    client = await import_old_client(system)
    imported = system.auth_process.imported_secrets
    hashed = await system.as_admin(
        lambda c: c.fetchval("SELECT hash FROM client_secrets WHERE client_id = 'old'")
    )
    slow.hold()
    first = asyncio.create_task(imported.verify("old", client.secret, hashed))
    await slow.running.acquire()
    second = asyncio.create_task(imported.verify("old", client.secret, hashed))
    await asyncio.sleep(0)
    first.cancel()
    slow.release()
    assert await second is True
    assert first.cancelled()


async def test_hash_that_cannot_be_computed_is_no_verdict(
    start_system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the machine has no memory for argon2, the caller may come again: it is neither let in nor refused."""
    system: System = await start_system()
    client = await import_old_client(system)

    def fail(*_: str) -> bool:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(foreign_hashes, "verify", fail)
        async with http_client(base_url=system.issuer) as http:
            answer = await ask(http, client)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert "MemoryError" in system.log.of(answer)["reason"]
    async with http_client(base_url=system.issuer) as http:
        assert (await ask(http, client)).status_code == 200


async def test_wrong_secret_is_never_remembered(start_system: Any, slow: SlowHashes) -> None:
    """A guess is computed each time, so that a memory of refusals is nothing that a stranger can fill."""
    system: System = await start_system()
    await import_old_client(system)
    async with http_client(base_url=system.issuer) as http:
        for _ in range(3):
            assert (await ask(http, Registered("old", "guess"))).status_code == 401
    assert len(slow.seen) == 3


async def test_memory_ends_with_its_time(start_system: Any, slow: SlowHashes) -> None:
    """With a memory of no time every request computes the hash anew."""
    system: System = await start_system(imported_secret_remembered_seconds=0)
    client = await import_old_client(system)
    async with http_client(base_url=system.issuer) as http:
        for _ in range(2):
            assert (await ask(http, client)).status_code == 200
    assert len(slow.seen) == 2
