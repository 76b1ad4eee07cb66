"""The bare applications of ``benchmarks.bare`` as subjects."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson

from benchmarks.pairs import Subject, Target
from benchmarks.processes import free_port, running
from benchmarks.traffic import Traffic

# What a baseline is told, and what it is asked; found when it is started, since they may depend on what runs then.
Prepared = Callable[[], Awaitable[tuple[Mapping[str, Any], Traffic]]]


def bare(name: str, kind: str, prepare: Prepared) -> Subject:
    """Return the bare application ``kind`` under the name ``name``."""

    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[Target]:
        needs, traffic = await prepare()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "benchmarks.bare", kind, str(port)]
        async with running(command, url, given=orjson.dumps(needs)) as pid:
            yield Target(url, [pid], traffic)

    return Subject(name, start)
