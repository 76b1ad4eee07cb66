"""How long a token is kept: renewed ahead of its end, never used at its end, kept when a renewal fails."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from steelcut import ClientCredentials, RequestRefused
from steelcut.client.flow import wait_for
from tests.client.scripted import HANG_UP, Asked, Clock, Reply, Scripted, granted, quick, refused
from tests.support.forks import forked


class Gate:
    """An answer that waits until the test lets it go."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: Asked) -> Reply:
        """Answer, once the gate is open."""
        self.asked.set()
        assert self.open.wait(10)
        return self.reply


def settled(auth: ClientCredentials) -> None:
    """Wait until nothing is in flight."""
    flight = auth._keeper._flight
    assert flight is not None
    flight.wait(10)
    assert flight.landed()


@pytest.mark.parametrize(
    ("random", "expires_in", "from_second"),
    [(0.0, 1000, 750), (0.5, 1000, 800), (1.0, 1000, 850), (0.0, None, 225)],
    ids=["earliest", "between", "latest", "lifetime not told"],
)
def test_renewal_is_spread(
    server: Scripted, clock: Clock, random: float, expires_in: int | None, from_second: int
) -> None:
    """Clients that started together do not come back together; 300 s count where none are told."""
    server.says("/token", granted("t1", expires_in), granted("t2", expires_in))
    auth = server.credentials(clock=clock, retries=quick(random=lambda: random))
    auth.token()
    clock.now += from_second - 1
    assert auth.token().value == "t1"
    assert server.count("/token") == 1
    clock.now += 1
    assert auth.token().value == "t1"
    settled(auth)
    assert auth.token().value == "t2"
    assert server.count("/token") == 2


def test_nobody_waits_for_a_renewal_ahead(server: Scripted, clock: Clock) -> None:
    """It goes on in the background of requests, once however many there are."""
    gate = Gate(granted("t2", 1000))
    server.says("/token", granted("t1", 1000), gate)
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 900
    assert {auth.token().value for _ in range(20)} == {"t1"}
    assert gate.asked.wait(10)
    gate.open.set()
    settled(auth)
    assert auth.token().value == "t2"
    assert server.count("/token") == 2


@pytest.mark.parametrize(
    ("expires_in", "last_second"), [(1000, 989), (50, 44), (None, 289)], ids=["long", "short", "not told"]
)
def test_token_is_not_used_at_its_end(
    server: Scripted, clock: Clock, expires_in: int | None, last_second: int
) -> None:
    """It must still be good when it arrives: 10 s, or a tenth of its life."""
    server.says("/token", granted("t1", expires_in), HANG_UP)
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += last_second
    assert auth.token().value == "t1"
    settled(auth)
    clock.now += 1.5
    server.says("/token", granted("t2", expires_in))
    assert auth.token().value == "t2"


@pytest.mark.parametrize("expires_in", [0, 0.4], ids=["none", "part of a second"])
def test_token_without_a_life_is_used_once(server: Scripted, clock: Clock, expires_in: float) -> None:
    """By whoever waited for it, without a loop."""
    server.says("/token", granted("t1", expires_in), granted("t2", expires_in))
    auth = server.credentials(clock=clock)
    assert [auth.token().value for _ in range(2)] == ["t1", "t2"]


def test_failed_renewal_keeps_the_token(
    server: Scripted, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used to its end, and the next renewal is tried after a pause."""
    server.says("/token", granted("t1", 1000), Reply(500))
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 900
    for _ in range(3):
        assert auth.token().value == "t1"
        settled(auth)
    assert server.count("/token") == 2
    clock.now += 5
    auth.token()
    settled(auth)
    assert server.count("/token") == 3
    assert "could not be renewed" in caplog.text
    assert "t1" not in caplog.text
    clock.now += 90
    with pytest.raises(Exception, match="status 500"):
        auth.token()


def test_retry_after_of_a_failed_renewal_is_kept(server: Scripted, clock: Clock) -> None:
    """A server that asks to be left alone is."""
    server.says("/token", granted("t1", 1000), refused("temporarily_unavailable", 503, Retry_After="60"))
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 800
    for seconds, asked in [(0, 2), (59, 2), (2, 3)]:
        clock.now += seconds
        assert auth.token().value == "t1"
        settled(auth)
        assert server.count("/token") == asked


def test_retry_after_ends_with_the_failure(server: Scripted, clock: Clock) -> None:
    """Once there is another token, it is renewed ahead of its end as ever."""
    busy = refused("temporarily_unavailable", 503, Retry_After="86400")
    server.says("/token", granted("t1", 1000), busy, granted("t2", 1000), granted("t3", 1000))
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 900
    assert auth.token().value == "t1"
    settled(auth)
    clock.now += 100
    assert auth.token().value == "t2"
    clock.now += 900
    assert auth.token().value == "t2"
    settled(auth)
    assert auth.token().value == "t3"


def test_clock_that_is_put_back_keeps_no_renewal_away(server: Scripted, clock: Clock) -> None:
    """The pause after a failure is as long as it is, and no hour longer."""
    server.says("/token", granted("t1", 10_000), Reply(500), granted("t2", 10_000))
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 9_900
    auth.token()
    settled(auth)
    clock.now -= 1_000
    assert auth.token().value == "t1"
    settled(auth)
    assert auth.token().value == "t2"


def test_function_that_fails_at_a_renewal_is_a_failed_renewal(
    server: Scripted, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises is not ours to show in a log."""
    secrets = iter(["s1"])
    server.says("/token", granted("t1", 1000))
    auth = server.credentials(client_secret=lambda: next(secrets), clock=clock)
    auth.token()
    clock.now += 900
    assert auth.token().value == "t1"
    settled(auth)
    assert auth.token().value == "t1"
    assert "StopIteration" in caplog.text


async def test_failure_reaches_all_who_wait_and_nobody_else(server: Scripted) -> None:
    """Each of them raises it; the next call starts anew."""
    gate = Gate(refused("invalid_client", 401))
    server.says("/token", gate, granted("t1"))
    auth = server.credentials()
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(auth.token) for _ in range(8)]
        tasks = [asyncio.create_task(auth.token_async()) for _ in range(50)]
        await asyncio.to_thread(gate.asked.wait, 10)
        await asyncio.sleep(0)
        gate.open.set()
        results: list[object] = list(await asyncio.gather(*tasks, return_exceptions=True))
        results += [thread.exception(10) for thread in waiting]
    assert all(isinstance(result, RequestRefused) for result in results), results
    assert (await auth.token_async()).value == "t1"
    assert server.count("/token") == 2


async def test_who_gives_up_takes_nothing_from_the_others(server: Scripted) -> None:
    """Cancelled tasks, also the one that asked first."""
    gate = Gate(granted("t1"))
    server.says("/token", gate)
    auth = server.credentials()
    first = asyncio.create_task(auth.token_async())
    await asyncio.to_thread(gate.asked.wait, 10)
    second = asyncio.create_task(auth.token_async())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert (await second).value == "t1"
    assert server.count("/token") == 1


def test_flight_of_somebody_else_that_lands_meanwhile_is_enough(
    server: Scripted, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking for a token and asking for one, another thread may have got it."""
    server.says("/token", granted("t1"), granted("t2"))
    keeper = server.credentials(clock=clock)._keeper
    lock = keeper._lock

    def lands_before_the_lock_is_had() -> threading.RLock:
        monkeypatch.undo()
        assert wait_for(keeper.token()).token.value == "t1"
        return lock()

    monkeypatch.setattr(keeper, "_lock", lands_before_the_lock_is_had)
    assert wait_for(keeper.token()).token.value == "t1"
    assert server.count("/token") == 1


def test_forked_child_goes_on_by_itself(server: Scripted, clock: Clock) -> None:
    """Also when its parent's request is in the air, and a thread that it does not have holds the parent's lock."""
    gate = Gate(granted("t1"))
    server.says("/token", gate, granted("t2"))
    auth = server.credentials(clock=clock)
    with ThreadPoolExecutor(1) as thread:
        parents = thread.submit(auth.token)
        assert gate.asked.wait(10)
        with auth._keeper._lock():
            child = forked(lambda: auth.token().value == "t2")
        assert child == 0
        gate.open.set()
        assert parents.result(10).value == "t1"
    assert forked(lambda: auth.token().value == "t1") == 0
    assert server.count("/token") == 2
