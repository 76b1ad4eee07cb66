"""One process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from steelcut_cli.errors import Refusal


class AlreadyInUse(Refusal):
    """Another living process holds what this one needs."""


def lock(path: Path) -> IO[str]:
    """Hold the file ``path`` for this process until the returned file is closed.

    The file names the holder's process id. The kernel frees the lock when the process ends, however it ends.
    Raises :class:`AlreadyInUse` if another process, or this one, holds it.
    """
    path.touch(mode=0o600)
    file = path.open("r+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = file.read().strip()
        file.close()
        raise AlreadyInUse(f"{path.parent} is in use by process {holder or 'unknown'}.") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
