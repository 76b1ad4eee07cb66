"""Processes of our own: they do not outlive us, and they stop when asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

# Runs between fork and exec of the real command, as a program of its own: `preexec_fn` is unsafe (and warns) as
# soon as the parent has threads. The second test closes the gap in which the parent dies before prctl is called.
_LAUNCHER = """
import ctypes, os, sys
PR_SET_PDEATHSIG = 1
parent, death_signal, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
if os.getppid() != int(parent):
    sys.exit(1)
os.execv(command[0], command)
"""


def bound_to_parent(command: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """Return ``command`` so wrapped that the kernel sends it ``death_signal`` when its parent dies.

    ``command[0]`` is a path. "Parent" is the thread that starts the command, so start it from one that lives on.
    Only Linux has the mechanism (prctl(2), PR_SET_PDEATHSIG); elsewhere the command comes back as it is.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
    return [*launcher, str(os.getpid()), str(int(death_signal)), *command]


def stop(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> int:
    """Send each signal of ``steps`` in turn, waiting its seconds for the end; SIGKILL follows. Return the exit code."""
    for number, seconds in steps:
        if process.poll() is not None:
            break
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    if process.poll() is None:
        process.kill()
    return process.wait()


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let no SIGINT or SIGTERM break off what must be finished, such as stopping a child; deliver them afterwards."""
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
