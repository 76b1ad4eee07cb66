"""One piece of work in the air, however many wait for it.

A token is fetched, or a key set, for everybody who asks meanwhile: threads, tasks, tasks of other event loops. The
work is done in a thread of its own, so that it belongs to none of them: who gives up or is cancelled takes nothing
from the others, and a loop that ends leaves nothing hanging.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """A call of ``work`` that started when the flight was made."""

    __slots__ = ("_future", "_process", "_work")

    def __init__(self, work: Callable[[], T], *, name: str) -> None:
        """Start ``work`` in a thread called ``name``."""
        self._work = work
        self._process = os.getpid()
        self._future: Future[T] = Future()
        self._future.set_running_or_notify_cancel()
        # A daemon: a program that has nothing else to do need not wait for a token that nobody will use.
        thread = threading.Thread(target=self._fly, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be had, as while the interpreter ends
            self._fly()

    def _fly(self) -> None:
        try:
            result = self._work()
        except BaseException as fault:  # noqa: BLE001 - it is raised where the result is asked for
            self._future.set_exception(fault)
        else:
            self._future.set_result(result)

    def in_the_air(self) -> bool:
        """Say whether the work is still being done; in a forked child it is not, whatever it was in the parent."""
        # The process first: in a forked child a thread that is not there may hold the lock of the future.
        return self._process == os.getpid() and not self._future.done()

    def landed(self) -> bool:
        """Say whether ``result`` has an answer."""
        return self._future.done()

    def result(self) -> T:
        """Return what ``work`` returned, or raise what it raised. Only after ``landed``."""
        fault = self._future.exception(timeout=0)
        if fault is not None:
            # Raised at many places: each is to see its own way here, and not those of all the others.
            raise fault.with_traceback(None)
        return self._future.result(timeout=0)

    def wait(self, seconds: float | None = None) -> None:
        """Block until the work is done, or for ``seconds``."""
        with contextlib.suppress(TimeoutError):
            self._future.exception(timeout=seconds)

    async def arrival(self, seconds: float | None = None) -> None:
        """Wait until the work is done, or for ``seconds``, on asyncio or trio."""
        if self._future.done():
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            await self._arrival_on_trio(math.inf if seconds is None else seconds)
            return
        arrived = loop.create_future()

        def tell(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and who waited with it
                loop.call_soon_threadsafe(_set, arrived)

        self._future.add_done_callback(tell)
        await asyncio.wait({arrived}, timeout=seconds)

    async def _arrival_on_trio(self, seconds: float) -> None:
        import trio  # noqa: PLC0415 - who runs on it has it

        arrived, token = trio.Event(), trio.lowlevel.current_trio_token()

        def tell(_: Future[T]) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(arrived.set)

        self._future.add_done_callback(tell)
        with trio.move_on_after(seconds):
            await arrived.wait()


class FlightLock:
    """Holds together what starts flights and what they bring, when called: ``with lock():``."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}

    def __call__(self) -> threading.RLock:
        """Return the lock of this process: in a forked child, a thread that is not there may hold that of the parent.

        It is reentrant, because a flight that gets no thread is flown where it started.
        """
        return self._locks.setdefault(os.getpid(), threading.RLock())


def _set(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
