"""Secrets are taken out of the environment: what a process has read it need not leave there for others to read.

Whatever a process starts inherits its environment, a crash reporter sends it along, and ``/proc/PID/environ`` shows it
to everybody who runs as the same user.
"""

from __future__ import annotations

import ctypes
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from steelcut.service.settings import ServiceSettings

# Of one `.env` for all, a service is given what others read: it wipes that as well. A path, as in NAME_FILE, stays.
_SECRETS_OF_THE_HOUSE: Final = re.compile(
    r"(AUTH|RESOURCE|STEELCUT)_(\w+_)?(DATABASE_URL|LIMITS_URL|MASTER_KEY|PASSWORD|SECRET)", re.IGNORECASE
)


def wipe(settings_class: type[ServiceSettings]) -> None:
    """Remove every secret of ``settings_class``, and of the rest of the house, from the environment of this process."""
    own = settings_class.secret_variables()
    names = {
        name
        for name in os.environ
        if name.upper() in own or _SECRETS_OF_THE_HOUSE.fullmatch(name) is not None
    }
    _write_over(frozenset(map(os.fsencode, names)))
    for name in names:
        del os.environ[name]


def _write_over(names: frozenset[bytes]) -> None:
    """Put zeros in the place of the values that the process was started with.

    To remove a variable only forgets where it stands. The block itself, which the kernel shows as
    ``/proc/PID/environ``, would keep it until the end.
    """
    try:
        entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    except (OSError, ValueError):
        # A C library without the symbol that POSIX names: nothing to be done there.
        return
    number = 0
    while address := entries[number]:
        name, _, value = ctypes.string_at(address).partition(b"=")
        if name in names:
            ctypes.memset(address + len(name) + 1, 0, len(value))
        number += 1
