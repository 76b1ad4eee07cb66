"""A disk that can be full: a file system in memory, of a few megabytes, for a tablespace of PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system."""

    def __init__(self, place: Path) -> None:
        """Use ``small_disk``."""
        self.place = place
        self._filling = place / "filling"

    def fill(self) -> None:
        """Leave no room at all."""
        octets = bytes(65_536)
        with self._filling.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(octets):
                pass

    def make_room(self) -> None:
        """Take away what fills it."""
        self._filling.unlink()


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one at ``place`` for the length of the block, for PostgreSQL's user; skip where that is not permitted."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that is to be full")
    place.mkdir()
    nobody = pwd.getpwnam("nobody")
    options = f"size={megabytes}m,mode=0700,uid={nobody.pw_uid},gid={nobody.pw_gid}"
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mount.returncode:
        pytest.skip(f"the small disk that is to be full cannot be mounted here: {mount.stderr.strip()}")
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
