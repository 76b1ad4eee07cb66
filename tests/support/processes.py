"""What the kernel tells of a process that a test started."""

from __future__ import annotations

import contextlib
from pathlib import Path


def workers_of(pid: int) -> set[int]:
    """Return the children of a process that serve; Python's resource tracker is one that does not."""
    return {child for child in _children(pid) if "resource_tracker" not in command_of(child)}


def family_of(pid: int) -> set[int]:
    """Return a process and all that it started, and all that those started."""
    return {pid}.union(*map(family_of, _children(pid)))


def command_of(pid: int) -> str:
    """Return how a process was called, nothing when there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def environment_of(pid: int) -> str:
    """Return what is shown as the environment of a process."""
    return Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")


def memory_of(pid: int) -> bytes:
    """Return all that a process has in the memory that it writes to."""
    pieces = []
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for addresses, rights, *_ in (line.split() for line in maps):
            begin, end = (int(address, 16) for address in addresses.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                # Some of what is mapped has no page behind it.
                with contextlib.suppress(OSError):
                    pieces.append(memory.read(end - begin))
    return b"\n".join(pieces)


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in children.split()]
