"""Who guesses waits longer and longer; whose secret is guessed notices nothing."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from auth_service.errors import TooManyFailures
from auth_service.limits.counters import BoundedStorage
from auth_service.limits.guesses import BUCKETS, SHARED
from auth_service.registry import Registry
from tests.limits.limited import ALLOWED, Limited, Start


@pytest.mark.parametrize("known", [True, False])
async def test_waits_grow_and_cost_nothing(limited: Limited, known: bool) -> None:  # noqa: FBT001
    """Known or not, the same answers: 401 three times, then 429 with 1, 2, 4 … 60 s, without a look at the client."""
    client_id = limited.system.client.client_id if known else "nobody"
    statuses = [(await limited.guess(client_id)).status_code for _ in range(ALLOWED)]
    assert statuses == [401] * ALLOWED
    waits = []
    for _ in range(8):
        with mock.patch.object(Registry, "load", side_effect=AssertionError("a query was spent")):
            refused = await limited.guess(client_id)
        assert refused.status_code == 429
        assert refused.json()["error"] == "temporarily_unavailable"
        waits.append(int(refused.headers["retry-after"]))
        limited.clock.now += waits[-1]
        assert (await limited.guess(client_id)).status_code == 401
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_one_turn_after_a_wait(limited: Limited) -> None:
    """Many that come at the same moment are one guess."""
    await limited.flood("nobody", ALLOWED)
    limited.clock.now += 1
    answers = await asyncio.gather(*(limited.guess("nobody") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [401] + [429] * 9


async def test_who_is_right_is_let_through(limited: Limited) -> None:
    """Also from the very address of the guesses, and also when the client is known, but no longer fresh."""
    jane = limited.system.client
    assert (await limited.ask(jane)).status_code == 200
    await limited.flood(jane.client_id, ALLOWED * SHARED + 2)
    assert (await limited.guess(jane.client_id)).status_code == 429
    assert (await limited.ask(jane)).status_code == 200
    limited.system.auth_process.registry.missed()
    assert (await limited.ask(jane)).status_code == 200


async def test_guesses_elsewhere_lock_nobody_out(limited: Limited) -> None:
    """Many addresses guess one id: its client goes on where it was before, and where it never was, unknown too."""
    jane = limited.system.client
    assert (await limited.ask(jane, address="192.0.2.1")).status_code == 200
    for number in range(ALLOWED * SHARED):
        await limited.guess(jane.client_id, address=f"198.51.100.{number}")
    assert (await limited.guess(jane.client_id, address="203.0.113.9")).status_code == 429
    limited.clock.now += 1
    assert (await limited.guess(jane.client_id, address="203.0.113.8")).status_code == 401
    limited.forget()
    assert (await limited.ask(jane, address="192.0.2.1")).status_code == 200
    limited.forget()
    limited.clock.now += 1
    assert (await limited.guess(jane.client_id, address="203.0.113.7")).status_code == 429
    assert (await limited.ask(jane, address="203.0.113.1")).status_code == 200


async def test_where_a_client_is_nobody_learns_of_it(limited: Limited) -> None:
    """Behind one address, over its limit, a client's id hears what an invented one does; the client gets its token."""
    jane = limited.system.client
    assert (await limited.ask(jane)).status_code == 200
    for number in range(ALLOWED * SHARED):
        await limited.guess(f"nobody-{number}")
    limited.forget()
    refusals = [await limited.guess(client_id) for client_id in (jane.client_id, "nobody")]
    assert [(r.status_code, r.headers["retry-after"]) for r in refusals] == [(429, "1")] * 2
    assert refusals[0].content == refusals[1].content
    limited.forget()
    limited.clock.now += 1
    await limited.guess("another")
    assert (await limited.ask(jane)).status_code == 200


async def test_an_address_is_slowed_down_by_many_ids(limited: Limited) -> None:
    """Invented ids do not help; another address, and the other half of an IPv6 network, are another matter."""
    for number in range(ALLOWED * SHARED):
        assert (await limited.guess(f"nobody-{number}", address="2001:db8::1")).status_code == 401
    assert (await limited.guess("another", address="2001:db8::2")).status_code == 429
    assert (await limited.guess("another", address="2001:db8:0:1::1")).status_code == 401


async def test_a_flood_takes_no_room(limited: Limited) -> None:
    """Invented ids and addresses are counted in a bounded number of places."""
    guesses = limited.system.auth_process.guesses
    assert guesses is not None
    for number in range(2000):
        await guesses.failed(f"nobody-{number}", f"2001:db8:{number:x}::1")
    storage = guesses._counters._own
    assert isinstance(storage, BoundedStorage)
    assert all(int(key.split(":")[1]) < BUCKETS for key in storage._counts)
    small = BoundedStorage(limited.clock, size=100)
    for number in range(1000):
        await small.incr(str(number), 60)
    assert len(small) <= 100
    assert await small.get("999") == 1


async def test_off(start_limited: Start) -> None:
    """Zero counts none."""
    async with start_limited(failures_allowed=0) as limited:
        await limited.flood("nobody", 20)
        assert (await limited.guess("nobody")).status_code == 401


async def test_ipv4_callers_are_apart_on_a_socket_of_both_families(start_limited: Start) -> None:
    """Their addresses lie within one /64 of IPv6 there: they have no limit in common."""
    async with start_limited() as limited:
        guesses = limited.system.auth_process.guesses
        assert guesses is not None
        for number in range(SHARED * ALLOWED):
            await guesses.failed(f"nobody-{number}", "::ffff:192.0.2.1")
        assert await guesses.admit("somebody", "::ffff:192.0.2.2") == 0
        with pytest.raises(TooManyFailures):
            await guesses.admit("somebody", "192.0.2.1")


async def test_clock_of_the_machine_that_is_set(limited: Limited) -> None:
    """Nobody waits for the hour by which it was set back."""
    await limited.flood("nobody", ALLOWED)
    limited.wall.now -= 3600
    refused = await limited.guess("nobody")
    assert refused.status_code == 429
    limited.clock.now += int(refused.headers["retry-after"])
    assert (await limited.guess("nobody")).status_code == 401
