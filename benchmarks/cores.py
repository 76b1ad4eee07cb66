"""Who runs where: the measured server on a core of its own, wrk, PostgreSQL and this program on the others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.consumption import family


@dataclass(frozen=True)
class Cores:
    """Numbers of cores: ``server`` for what is measured, ``others`` for who measures and for the database."""

    server: int
    others: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> Self | None:
        """Return a division of the cores that this process may use, None where there are fewer than two."""
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        if len(allowed) < 2:
            return None
        server = max(allowed)
        return cls(server, frozenset(allowed - {server}))

    @property
    def note(self) -> str:
        """Who is where, in words."""
        others = ", ".join(str(core) for core in sorted(self.others))
        return f"the server on core {self.server}; wrk and PostgreSQL on core {others}"


NOTHING_PINNED = (
    "nothing is pinned, since there are fewer than two cores: the server shares its core with what loads it, and the"
    " ratios are too kind to the slower side"
)


@contextlib.contextmanager
def divided() -> Iterator[Cores | None]:
    """Keep this program, and whatever it starts in the block, off the core of the server."""
    cores = Cores.of_this_machine()
    if cores is None:
        yield None
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.others)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, before)


def give_the_server_its_core(cores: Cores | None, pids: Iterable[int]) -> None:
    """Pin these processes, what descends from them and all threads, to the core of the server; and what they start."""
    if cores is None:
        return
    for pid in family(pids):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores.server})
