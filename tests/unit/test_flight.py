"""One piece of work, and threads, tasks and event loops of any kind that wait for it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
import trio.testing

from steelcut.flight import Flight


class Work:
    """Work that goes on until the test lets it end."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_end = threading.Event()

    def __call__(self) -> str:
        """Work."""
        self.calls += 1
        assert self.may_end.wait(10)
        return "done"


@pytest.fixture
def work() -> Iterator[Work]:
    """Work in the hands of the test, which ends with it."""
    work = Work()
    yield work
    work.may_end.set()


async def test_threads_tasks_and_loops_get_one_result(work: Work) -> None:
    """A loop of asyncio, another one in a thread, one of trio, and plain threads: the work is done once."""
    flight = Flight(work, name="test")

    async def arrive() -> str:
        await flight.arrival()
        return flight.result()

    def wait() -> str:
        flight.wait()
        return flight.result()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(6) as pool:
        ways = [lambda: asyncio.run(arrive()), lambda: trio.run(arrive), wait, wait]
        others = [loop.run_in_executor(pool, way) for way in ways]
        ours = [asyncio.create_task(arrive()) for _ in range(3)]
        await asyncio.sleep(0)
        work.may_end.set()
        assert await asyncio.gather(*others, *ours) == ["done"] * 7
    assert work.calls == 1


async def test_cancelled_waiter_takes_nothing_from_the_others(work: Work) -> None:
    """The work belongs to none of those who wait."""
    flight = Flight(work, name="test")
    given_up, patient = asyncio.create_task(flight.arrival()), asyncio.create_task(flight.arrival())
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert flight.in_the_air()
    work.may_end.set()
    await patient
    assert flight.result() == "done"


def run_on_asyncio(make: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine as trio does: by its function."""
    asyncio.run(make())


@pytest.mark.parametrize("run", [run_on_asyncio, trio.run], ids=["asyncio", "trio"])
def test_loop_that_ended_leaves_nothing_hanging(
    work: Work, run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waited in it, not beyond its patience, is gone; the work goes on, and the next loop gets the result."""
    flight = Flight(work, name="test")

    async def briefly() -> None:
        await flight.arrival(0.001)

    run(briefly)
    assert flight.in_the_air()
    assert not flight.landed()
    work.may_end.set()
    run(flight.arrival)
    assert flight.result() == "done"
    assert caplog.records == []


async def test_patience_of_a_thread_ends_before_the_work(work: Work) -> None:
    """Who waits for seconds waits no longer, and the work goes on."""
    flight = Flight(work, name="test")
    await asyncio.to_thread(flight.wait, 0.001)
    assert flight.in_the_air()
    assert not flight.landed()


def test_waiting_on_trio_takes_no_threads(work: Work) -> None:
    """However many wait, those of other work are free, and nobody waits for one beyond their patience."""
    flight = Flight(work, name="test")
    results: list[str] = []

    async def arrive() -> None:
        await flight.arrival()
        results.append(flight.result())

    async def together() -> None:
        before = threading.active_count()
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(arrive)
            await trio.testing.wait_all_tasks_blocked()
            assert threading.active_count() <= before
            work.may_end.set()

    trio.run(together)
    assert results == ["done"] * 100


def test_failure_reaches_everybody_with_a_traceback_of_their_own() -> None:
    """A thousand waiters do not write into one traceback."""

    def fail() -> None:
        raise LookupError("no such thing")

    flight = Flight(fail, name="test")
    flight.wait()
    lengths = []
    for _ in range(3):
        with pytest.raises(LookupError, match="no such thing") as caught:
            flight.result()
        lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1


def test_where_no_thread_can_be_had_the_work_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is while the interpreter ends."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    flight = Flight(lambda: "done", name="test")
    assert flight.landed()
    assert flight.result() == "done"


def test_forked_child_does_not_wait_for_a_thread_that_it_has_not(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork copies the flight and not the thread that was to end it."""
    flight = Flight(work, name="test")
    assert flight.in_the_air()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not flight.in_the_air()
