"""Servers under the same load in turns: what disturbs one disturbs the other, and what counts is their ratio.

A ``Subject`` is a server to be started and what it is asked; ``measure_in_turns`` loads each in turn for two seconds
(ours, baseline, ours, baseline, …), and some such turns are a window; a ``Comparison`` of two of them has the ratio of
each pair of windows.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks import wrk
from benchmarks.consumption import consumption, machine_cpu_seconds
from benchmarks.cores import Cores, give_the_server_its_core
from benchmarks.statements import CountedDatabases, Statements

if TYPE_CHECKING:
    from benchmarks.traffic import Traffic
    from tools.programs import Program

# What a server with a database leaves for later, as a batch of audit events ten times a second, is done by then, and
# counted in its own turn.
SETTLE_SECONDS: Final = 0.4
# The standard error of a median, as a multiple of that of a mean, where what it is taken from is normally distributed.
_OF_MEDIAN: Final = math.sqrt(math.pi / 2)


@dataclass(frozen=True)
class Target:
    """A server that runs: where it is, whose consumption is its own, what it is asked, and its database if it has one.

    ``pids`` are its processes; those that descend from them need not be named.
    """

    url: str
    pids: Sequence[int]
    traffic: Traffic
    database: CountedDatabases | None = None


@dataclass(frozen=True)
class Subject:
    """What is measured: a name, and how to run it for the length of a block."""

    name: str
    start: Callable[[], AbstractAsyncContextManager[Target]]


@dataclass(frozen=True)
class Plan:
    """How often and how long; all seconds are whole numbers for wrk.

    The shorter the turns of which a window of ``seconds`` is made, the less it matters that the machine is faster now
    than a while later.
    """

    pairs: int = 5
    seconds: int = 10
    turn_seconds: int = 2
    warm_up_seconds: int = 2
    connections: int = wrk.CONNECTIONS

    @property
    def turns(self) -> Sequence[int]:
        """How long each turn of a window is, in seconds."""
        rest = self.seconds % self.turn_seconds
        return [self.turn_seconds] * (self.seconds // self.turn_seconds) + [rest] * (rest > 0)

    def duration(self, subjects: int) -> float:
        """Return how long this many subjects in turns take, in seconds, without their start."""
        window = self.seconds + len(self.turns) * SETTLE_SECONDS
        return subjects * (self.pairs * window + self.warm_up_seconds + SETTLE_SECONDS)


@dataclass(frozen=True)
class Bench:
    """What measures: the program, the division of the cores, and the plan."""

    wrk: Program
    cores: Cores | None
    plan: Plan


@dataclass(frozen=True)
class Window:
    """One load, and what the server and its database consumed for it, in seconds of processor time.

    ``strangers`` is how many cores were kept busy meanwhile by processes that have nothing to do with it. Clocks of
    processes and machine tick apart: of a single turn it may lie below zero, which evens out unless it is cut off.
    """

    load: wrk.Load
    cpu_seconds: float
    database_cpu_seconds: float = 0.0
    strangers: float = 0.0
    statements: Statements = field(default_factory=Statements)

    @classmethod
    def together(cls, turns: Sequence[Window]) -> Window:
        """Return the turns of one window as a whole."""
        return cls(
            wrk.Load.together([turn.load for turn in turns]),
            sum(turn.cpu_seconds for turn in turns),
            sum(turn.database_cpu_seconds for turn in turns),
            statistics.fmean([turn.strangers for turn in turns], [turn.load.seconds for turn in turns]),
            Statements.together([turn.statements for turn in turns]),
        )


@dataclass(frozen=True)
class Side:
    """A subject after its windows; ``resident_bytes`` before the first and after the last."""

    name: str
    windows: Sequence[Window]
    resident_bytes: tuple[int, int]

    @property
    def requests(self) -> int:
        """In all windows."""
        return sum(window.load.requests for window in self.windows)

    @property
    def failed(self) -> int:
        """How many of them failed, in all windows."""
        return sum(window.load.failed for window in self.windows)

    @property
    def per_second(self) -> float:
        """Requests per second, the median of the windows."""
        return self.median(lambda window: window.load.per_second)

    @property
    def cpu_us(self) -> float:
        """Processor time of the server per request, in microseconds, the median of the windows."""
        return self.median(lambda window: 1e6 * window.cpu_seconds / window.load.requests)

    @property
    def database_cpu_us(self) -> float:
        """Processor time of PostgreSQL per request, in microseconds, the median of the windows."""
        return self.median(lambda window: 1e6 * window.database_cpu_seconds / window.load.requests)

    @property
    def megabytes_per_second(self) -> float:
        """What was read of the answers, heads included, in 10⁶ bytes per second, the median of the windows."""
        return self.median(lambda window: window.load.bytes_read / window.load.seconds / 1e6)

    def median(self, figure: Callable[[Window], float]) -> float:
        """Return the median of a figure over the windows."""
        return statistics.median(figure(window) for window in self.windows)

    def per_request(self, count: Callable[[Statements], int]) -> float:
        """Return how many statements, or rows, there were for each request, over all windows."""
        return sum(count(window.statements) for window in self.windows) / self.requests

    def figures(self) -> dict[str, Any]:
        """Return all of it as JSON values: the medians, and each window."""
        return {
            "name": self.name,
            "per_second": self.per_second,
            "p50_seconds": self.median(lambda window: window.load.p50),
            "p99_seconds": self.median(lambda window: window.load.p99),
            "cpu_us": self.cpu_us,
            "database_cpu_us": self.database_cpu_us,
            "megabytes_per_second": self.megabytes_per_second,
            "queries_per_request": self.per_request(lambda statements: statements.reads),
            "rows_written_per_request": self.per_request(lambda statements: statements.rows_written),
            "strangers": self.median(lambda window: window.strangers),
            "resident_bytes": list(self.resident_bytes),
            "failed": self.failed,
            "windows": [asdict(window) for window in self.windows],
        }


@dataclass(frozen=True)
class Comparison:
    """One side beside another: window by window, as they took turns."""

    ours: Side
    other: Side

    @property
    def ratios(self) -> Sequence[float]:
        """Requests per second of ours as a share of the other's, of each pair."""
        pairs = zip(self.ours.windows, self.other.windows, strict=True)
        return [ours.load.per_second / other.load.per_second for ours, other in pairs]

    @property
    def ratio(self) -> float:
        """The median of the pairs."""
        return statistics.median(self.ratios)

    @property
    def give_or_take(self) -> float:
        """How far the ratio may be from that of endless pairs, in 95 of 100 runs."""
        return give_or_take(self.ratios)

    @property
    def cpu_ratio(self) -> float:
        """The same by processor time per request, which suffers less from strangers on the machine."""
        return self.other.cpu_us / self.ours.cpu_us


def give_or_take(ratios: Sequence[float]) -> float:
    """Return how far their median may be from that of endless ones, in 95 of 100 runs; infinite for a single one."""
    if len(ratios) < 2:
        return math.inf
    return 2 * _OF_MEDIAN * statistics.stdev(ratios) / math.sqrt(len(ratios))


async def measure_in_turns(bench: Bench, *subjects: Subject) -> list[Side]:
    """Start the subjects, load each in turn as often as the plan says, and return what was seen of each, in order.

    Raises ``LoadError`` when a request fails or is answered by another status than its traffic expects.
    """
    async with AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(subject.start()) for subject in subjects]
        loads = [
            _Loads(bench, subject.name, target) for subject, target in zip(subjects, targets, strict=True)
        ]
        for load in loads:
            await load.warm_up()
        for _ in range(bench.plan.pairs):
            for seconds in bench.plan.turns:
                for load in loads:
                    await load.take_turn(seconds)
            for load in loads:
                load.end_window()
        return [load.side() for load in loads]


async def measure_pairs(bench: Bench, ours: Subject, other: Subject) -> Comparison:
    """Measure two subjects in turns. Raises as ``measure_in_turns`` does."""
    first, second = await measure_in_turns(bench, ours, other)
    return Comparison(first, second)


class _Loads:
    """The loads of one subject: turn by turn, and the windows that they are."""

    def __init__(self, bench: Bench, name: str, target: Target) -> None:
        self._bench = bench
        self._name = name
        self._target = target
        self._script = target.traffic.script()
        self._sent = 0
        self._turns: list[Window] = []
        self._windows: list[Window] = []
        self._resident_before = 0
        give_the_server_its_core(bench.cores, target.pids)

    async def warm_up(self) -> None:
        """Load it for a moment, and see that every answer is the one that is measured."""
        load = await self._load(self._bench.plan.warm_up_seconds, count_statuses=True)
        expected = self._target.traffic.status
        if set(load.statuses) != {expected}:
            raise wrk.LoadError(
                f"{self._name} answered by {dict(load.statuses)}, and not by {expected} alone"
            )
        await self._settle()
        self._resident_before = consumption(self._target.pids).resident_bytes

    async def take_turn(self, seconds: int) -> None:
        """Load it for so long."""
        database = self._target.database
        statements = await database.statements() if database else Statements()
        of_database = consumption([database.pid]).cpu_seconds if database else 0.0
        of_server = consumption(self._target.pids).cpu_seconds
        begin, of_strangers = time.monotonic(), strangers_cpu_seconds()
        load = await self._load(seconds)
        await self._settle()
        self._turns.append(
            Window(
                load,
                consumption(self._target.pids).cpu_seconds - of_server,
                consumption([database.pid]).cpu_seconds - of_database if database else 0.0,
                (strangers_cpu_seconds() - of_strangers) / (time.monotonic() - begin),
                (await database.statements()).since(statements) if database else statements,
            )
        )

    def end_window(self) -> None:
        """Make a window of the turns since the last one."""
        self._windows.append(Window.together(self._turns))
        self._turns.clear()

    def side(self) -> Side:
        """Return what was seen."""
        after = consumption(self._target.pids).resident_bytes
        return Side(self._name, self._windows, (self._resident_before, after))

    async def _settle(self) -> None:
        if self._target.database is not None:
            await asyncio.sleep(SETTLE_SECONDS)

    async def _load(self, seconds: float, *, count_statuses: bool = False) -> wrk.Load:
        load = await wrk.run(
            self._bench.wrk,
            self._target.url,
            self._script,
            seconds=seconds,
            connections=self._bench.plan.connections,
            sent_before=self._sent,
            count_statuses=count_statuses,
        )
        self._sent += load.requests
        if load.failed or not load.requests:
            raise wrk.LoadError(
                f"{self._name}: {load.failed} of {load.requests} requests failed: {dict(load.errors)}"
            )
        return load


def strangers_cpu_seconds() -> float:
    """Return the processor time, in seconds, of all that has nothing to do with us since the machine was started."""
    # All that takes part descends from this process: wrk, the servers, PostgreSQL.
    return machine_cpu_seconds() - consumption([os.getpid()]).cpu_seconds
