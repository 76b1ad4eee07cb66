"""More requests than one process can answer: how long those wait that it accepts, and what its memory does.

Usage: python -m benchmarks.overload [--waiting 250] [--connections 320] [--seconds 5]

Each bound (AUTH_MAX_WAITING_REQUESTS) is measured by itself. wrk floods the token endpoint from many connections,
each of which asks again as soon as it is answered, be it by 503: harder than callers who wait for the second that
Retry-After asks for. Probes ask now and then, and when they are refused as late as they are told to: first with
nobody else there, then amid the flood; of those only what is granted counts. As root the probes run ahead of wrk, so
that they measure the server and not how long they wait for a core themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import cores, wrk
from benchmarks.command import FAULTS, say, sentence, to_its_end
from benchmarks.consumption import consumption
from benchmarks.pairs import strangers_cpu_seconds
from benchmarks.processes import Seeded, seeded
from benchmarks.steelcut_system import asking_as
from benchmarks.table import Row, show
from benchmarks.traffic import Traffic
from steelcut.service.settings import DEFAULT_WAITING
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Templates
from tests.support.waiting import until
from tests.support.wire import Wire
from tools.programs import Program, find

# Ten times as many as keep one process busy.
CONNECTIONS: Final = 10 * wrk.CONNECTIONS
# Few, that they are no load; and many, since few of them are granted.
PROBES_ALONE: Final = 4
PROBES_AMID: Final = 8
PAUSE_SECONDS: Final = 0.01
# So long the flood may take to have all of its connections.
BEGIN_SECONDS: Final = 30
MEMORY_SECONDS: Final = 0.5
MOMENT_SECONDS: Final = 1.0
BEYOND_SECONDS: Final = 3
AHEAD: Final = -10
# The targets: of the 99th percentile without a flood, and of memory in MiB.
TIMES: Final = 3.0
GROWTH_MIB: Final = 5.0
MIB: Final = 2**20
_DESCRIPTION: Final = (
    "How long the accepted wait amid a flood, beside how long they do without one; and memory."
)


@dataclass
class Probed:
    """How long answers took, in seconds."""

    granted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    alive: list[float] = field(default_factory=list)


def percentile(times: Sequence[float], percent: float) -> float:
    """Return what so many in a hundred did not exceed; of nothing infinity, which meets no target."""
    return sorted(times)[math.ceil(percent / 100 * len(times)) - 1] if times else math.inf


@contextlib.asynccontextmanager
async def probing(url: str, traffic: Traffic, probes: int) -> AsyncIterator[Probed]:
    """Ask for tokens, and whether the process lives, for the length of the block."""
    probed = Probed()
    fields = {"Host": "127.0.0.1", **traffic.headers, "Content-Length": str(len(traffic.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    token = f"{traffic.method} {traffic.path} HTTP/1.1\r\n{head}\r\n{traffic.body}".encode()
    health = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    ended = asyncio.Event()

    async def probe(request: bytes, taken: list[float]) -> None:
        async with Wire.open(url) as wire:
            # Not counted, because the connection has to be accepted first.
            await wire.send(health)
            await wire.answer()
            while not ended.is_set():
                begin = time.perf_counter()
                await wire.send(request)
                answer = await wire.answer()
                if answer is None or answer.status not in {200, 503}:
                    raise wrk.LoadError(f"a probe was answered by {answer}")
                seconds = time.perf_counter() - begin
                if answer.status == 200:
                    taken.append(seconds)
                    pause = PAUSE_SECONDS
                else:
                    probed.refused.append(seconds)
                    pause = float(answer.header("retry-after") or 0)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), pause)

    async with asyncio.TaskGroup() as group:
        for _ in range(probes):
            group.create_task(probe(token, probed.granted))
        group.create_task(probe(health, probed.alive))
        with ahead():
            try:
                yield probed
            finally:
                ended.set()


@contextlib.contextmanager
def ahead() -> Iterator[None]:
    """Let this process go before the others where it may."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, AHEAD)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


@dataclass(frozen=True)
class Flood:
    """What is sent, and for how long."""

    wrk: Program
    connections: int
    seconds: int


async def measure(ours: Seeded, division: cores.Cores | None, flood: Flood, waiting: int) -> list[Row]:
    """Measure one bound."""
    traffic = asking_as(ours.client)
    script = traffic.script()
    begin, of_strangers = time.monotonic(), strangers_cpu_seconds()
    async with ours.auth_service(AUTH_MAX_WAITING_REQUESTS=str(waiting)) as pid:
        cores.give_the_server_its_core(division, [pid])
        busy = await wrk.run(flood.wrk, ours.auth, script, seconds=flood.seconds, count_statuses=True)
        async with probing(ours.auth, traffic, PROBES_ALONE) as alone:
            await asyncio.sleep(flood.seconds)
        end = time.monotonic() + 3 * flood.seconds
        load = asyncio.create_task(
            wrk.run(
                flood.wrk,
                ours.auth,
                script,
                # Longer than the probes, of which none must be answered after it.
                seconds=3 * flood.seconds + BEYOND_SECONDS,
                connections=flood.connections,
                count_statuses=True,
            )
        )
        await _connected(pid, flood.connections)
        # A moment may be crowded: what is measured is the crowd that stays.
        await asyncio.sleep(MOMENT_SECONDS)
        resident = []
        async with probing(ours.auth, traffic, PROBES_AMID) as amid:
            while time.monotonic() < end:
                resident.append(consumption([pid]).resident_bytes / MIB)
                await asyncio.sleep(MEMORY_SECONDS)
        strangers = (strangers_cpu_seconds() - of_strangers) / (time.monotonic() - begin)
        subject = f"at most {waiting} wait"
        busy_others = Row(subject, "cores that others kept busy", strangers)
        return [*rows(subject, busy, await load, alone, amid, resident), busy_others]


async def _connected(pid: int, connections: int) -> None:
    """Wait until the flood has all of its connections: a server accepts one of them in each turn of its event loop."""

    async def all_are_there() -> bool:
        return len(os.listdir(f"/proc/{pid}/fd")) > connections  # noqa: PTH208 - no path of the disk's

    await until(all_are_there, BEGIN_SECONDS)


def rows(
    subject: str, busy: wrk.Load, load: wrk.Load, alone: Probed, amid: Probed, resident: Sequence[float]
) -> list[Row]:
    """Return the figures of one bound; ``resident`` is the memory amid the flood, in MiB."""
    granted = load.statuses.get(200, 0) / load.seconds
    unloaded = percentile(alone.granted, 99)
    half = len(resident) // 2
    return [
        Row(
            subject,
            f"tokens of {wrk.CONNECTIONS} connections",
            busy.statuses.get(200, 0) / busy.seconds,
            "/s",
        ),
        Row(subject, "answered amid the flood", load.per_second, "/s"),
        Row(subject, "tokens amid the flood", granted, "/s"),
        Row(subject, "p99 of a token alone", 1e3 * unloaded, "ms"),
        Row(subject, "p50 of a token amid the flood", 1e3 * percentile(amid.granted, 50), "ms"),
        Row(subject, "p99 of a token amid the flood", 1e3 * percentile(amid.granted, 99), "ms"),
        Row(
            subject, "the same beside alone", percentile(amid.granted, 99) / unloaded, "times", at_most=TIMES
        ),
        Row(subject, "probes that were granted", len(amid.granted) / len([*amid.granted, *amid.refused]), ""),
        Row(subject, "p99 of /healthz amid the flood", 1e3 * percentile(amid.alive, 99), "ms"),
        Row(subject, "memory, the most of the first half", max(resident[:half]), "MiB"),
        Row(
            subject, "its growth after that", max(resident) - max(resident[:half]), "MiB", at_most=GROWTH_MIB
        ),
    ]


async def _measure_all(
    postgres: EmbeddedPostgres, flood: Flood, waitings: Sequence[int], division: cores.Cores | None
) -> list[Row]:
    templates = Templates(postgres)
    await asyncio.to_thread(templates.migrate)
    ours = await seeded(await templates.clone())
    return [row for waiting in waitings for row in await measure(ours, division, flood, waiting)]


def main() -> int:
    """Measure, show, and fail when a target is missed or nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=_DESCRIPTION)
    parser.add_argument("--waiting", default=str(DEFAULT_WAITING), help="bounds, with commas between")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="connections of the flood")
    parser.add_argument(
        "--seconds", type=int, default=5, help="length of each load; of the flood three times"
    )
    options = parser.parse_args()
    try:
        flood = Flood(find("wrk"), options.connections, options.seconds)
        waitings = [int(each) for each in options.waiting.split(",")]
        with tempfile.TemporaryDirectory() as directory, cores.divided() as division:
            # Under root the server runs as nobody, who must come in.
            Path(directory).chmod(0o755)
            with EmbeddedPostgres(Path(directory) / "postgres") as postgres:
                rows = asyncio.run(_measure_all(postgres, flood, waitings, division))
    except FAULTS as fault:
        say(sentence(fault))
        return 1
    show(f"A flood of {options.connections} connections", rows)
    return 1 if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(to_its_end(main))
