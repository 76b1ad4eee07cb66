"""A process from its start on: until it is ready, its first request, and its memory before and after many tokens."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import wrk
from benchmarks.consumption import consumption
from benchmarks.growth.operations import document, warm_client
from benchmarks.load import load
from benchmarks.steelcut_system import GRANT_FORM
from benchmarks.table import Row
from benchmarks.traffic import LINE, form

if TYPE_CHECKING:
    from benchmarks.growth.sizes import Grown
    from tools.programs import Program

STARTS: Final = 5
READY_SECONDS: Final = 1.5
FIRST_REQUEST_MS: Final = 20.0
RESIDENT_MB: Final = 90.0
# The memory is read so many times. From the first time on it may not grow: by then, after 100,000 of a million tokens,
# each cache has met its bound or its age, and every path has been walked.
SAMPLES: Final = 10
# Two bytes for each token of a whole run: what was kept of each would be far more.
GROWTH_MB: Final = 1.8
# Fewer than are kept in memory; each is read again every five seconds, by the age of the cache.
CALLERS: Final = 1_000
CONNECTIONS: Final = 8
# Until what waits is written.
_REST_SECONDS: Final = 1.0
# How long wrk loads at once; a short run, which a second would carry beyond its end, a second.
_SECONDS: Final = 5
_MANY: Final = 500_000

# Until ready in seconds, the first request in milliseconds, and MB at rest.
_Start = tuple[float, float, float]


async def starts(systems: Sequence[Grown]) -> AsyncIterator[Row]:
    """Start both services of each size several times, the sizes in turns, by their default settings."""
    seen: defaultdict[str, list[_Start]] = defaultdict(list)
    for _ in range(STARTS):
        for system in systems:
            services, size = system.services, system.size.name
            async with contextlib.AsyncExitStack() as stack:
                seen[f"auth_service, {size}"].append(
                    await _start(stack, services.auth_service(), services.auth, system, warm_client)
                )
                # Its first request brings a token of the other one, and makes it read the keys there.
                seen[f"resource_service, {size}"].append(
                    await _start(stack, services.resource_service(), services.resource, system, document)
                )
    for name, values in seen.items():
        ready, first, resident = (statistics.median(column) for column in zip(*values, strict=True))
        yield Row(name, "start to ready", ready, "s", at_most=READY_SECONDS)
        yield Row(name, "first request", first, "ms", at_most=FIRST_REQUEST_MS)
        yield Row(name, "resident at rest", resident, "MB", at_most=RESIDENT_MB)


async def _start(
    stack: contextlib.AsyncExitStack,
    service: AbstractAsyncContextManager[int],
    url: str,
    system: Grown,
    requests: Callable[[Grown], Awaitable[Iterator[bytes]]],
) -> _Start:
    begin = time.perf_counter()
    pid = await stack.enter_async_context(service)
    ready = time.perf_counter() - begin
    await asyncio.sleep(_REST_SECONDS)
    resident = _resident(pid)
    first = await load(url, await requests(system), count=1)
    return ready, first.percentile(1), resident


@dataclass(frozen=True)
class Memory:
    """What is resident of a process, in MB, after so many tokens: the first before any."""

    samples: Sequence[tuple[int, float]]

    @property
    def growth(self) -> float:
        """How much was added since the second sample."""
        return self.samples[-1][1] - self.samples[1][1]

    def rows(self) -> Sequence[Row]:
        """Return it as rows of a table."""
        shown = (self.samples[0], self.samples[1], self.samples[-1])
        figures = [
            Row("auth_service", f"resident after {count:,} tokens", value, "MB") for count, value in shown
        ]
        last = Row(
            "auth_service", f"growth since {shown[1][0]:,} tokens", self.growth, "MB", at_most=GROWTH_MB
        )
        return [*figures, last]


async def memory(program: Program, system: Grown, tokens: int, folder: Path) -> Memory:
    """Have ``tokens`` issued to a thousand clients, by wrk; raises ``LoadError`` when a request fails."""
    lines = folder / "credentials"
    lines.write_text("\n".join(system.credentials[:CALLERS]) + "\n", encoding="utf-8")
    script = form("POST", "/token", GRANT_FORM, {"Authorization": LINE}, lines).script()
    services = system.services
    async with services.auth_service() as pid:
        issued, samples = 0, []
        for part in range(SAMPLES + 1):
            while issued < tokens * part // SAMPLES:
                seconds = _SECONDS if tokens >= _MANY else 1
                done = await wrk.run(
                    program,
                    services.auth,
                    script,
                    seconds=seconds,
                    connections=CONNECTIONS,
                    sent_before=issued,
                )
                if done.failed:
                    raise wrk.LoadError(f"{done.failed} token requests failed")
                issued += done.requests
            await asyncio.sleep(_REST_SECONDS)
            samples.append((issued, _resident(pid)))
    return Memory(samples)


def _resident(pid: int) -> float:
    return consumption([pid]).resident_bytes / 1e6
