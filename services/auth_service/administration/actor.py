"""Who makes a change, and from where: what the audit log keeps of it."""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """``name`` is ``client:<client_id>`` over HTTP and ``cli:<user>@<host>`` from a terminal."""

    name: str
    address: str = ""
    trace_id: str = ""


def terminal_actor() -> Actor:
    """Return the person at this terminal, as the operating system names them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        user = "unknown"
    return Actor(f"cli:{user}@{socket.gethostname()}")
