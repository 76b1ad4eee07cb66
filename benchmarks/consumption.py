"""What processes consumed, as Linux counts it in ``/proc``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class _Stat:
    """A line of ``/proc/PID/stat`` (proc_pid_stat(5)), as far as it matters here."""

    parent: int
    cpu_seconds: float
    resident_bytes: int

    @classmethod
    def of(cls, pid: int) -> Self:
        # The name, in parentheses, may hold anything; the state is field 3.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        # 14 to 17: user and system time of its own, then of the children that have ended.
        ticks = sum(int(field) for field in fields[11:15])
        return cls(int(fields[1]), ticks * _TICK_SECONDS, int(fields[21]) * _PAGE_BYTES)


@dataclass(frozen=True)
class Consumption:
    """Processor time since their start, in seconds, and resident memory now, in bytes, of some processes.

    Memory that several of them share counts once for each.
    """

    cpu_seconds: float
    resident_bytes: int


def consumption(roots: Iterable[int]) -> Consumption:
    """Return what these processes and all that descend from them consumed, also those that have ended meanwhile."""
    stats = _family(roots).values()
    return Consumption(sum(stat.cpu_seconds for stat in stats), sum(stat.resident_bytes for stat in stats))


def family(roots: Iterable[int]) -> set[int]:
    """Return these processes, as far as they are still there, and all that descend from them."""
    return set(_family(roots))


def _family(roots: Iterable[int]) -> dict[int, _Stat]:
    stats = {}
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()):
        try:
            stats[pid] = _Stat.of(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    children = defaultdict(list)
    for pid, stat in stats.items():
        children[stat.parent].append(pid)
    waiting, found = list(roots), {}
    while waiting:
        pid = waiting.pop()
        if pid in stats and pid not in found:
            found[pid] = stats[pid]
            waiting += children[pid]
    return found


def machine_cpu_seconds() -> float:
    """Return the processor time that the machine consumed since its start, in seconds."""
    return busy_ticks(Path("/proc/stat").read_text(encoding="utf-8")) * _TICK_SECONDS


def busy_ticks(stat: str) -> int:
    """Return the ticks of ``/proc/stat`` in which the machine was neither idle nor waiting for a disk.

    Those of interrupts are among them: what the kernel does there, as receiving by loopback, may be counted to the
    process that it interrupts as well, and would then be missing of the whole. So is what others on the same host
    took from a virtual machine (``steal``).
    """
    fields = stat.partition("\n")[0].split()
    user, nice, system, interrupts, soft_interrupts, steal = (
        int(fields[place]) for place in (1, 2, 3, 6, 7, 8)
    )
    return user + nice + system + interrupts + soft_interrupts + steal
