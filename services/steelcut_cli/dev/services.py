"""Both services as processes of their own, as somebody would run them by hand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from steelcut_cli.dev import child_processes
from steelcut_cli.errors import Misuse, Refusal

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 12.0  # a little more than a service takes to finish what it is answering
HOST: Final = "127.0.0.1"
PORTS_TRIED: Final = 100

# Settings of the person at the terminal (AUTH_TOKEN_LIFETIME_SECONDS …) reach the services; these are ours.
_OURS: Final = frozenset(
    {
        *("AUTH_ISSUER", "AUTH_DATABASE_URL", "AUTH_OWNER_DATABASE_URL", "AUTH_ADMIN_DATABASE_URL"),
        *("AUTH_BOOTSTRAP_DATABASE_URL", "AUTH_MASTER_KEY", "AUTH_HOST", "AUTH_PORT", "AUTH_LOG_FORMAT"),
        *("AUTH_MASTER_KEY_KEYRING", "AUTH_PREVIOUS_MASTER_KEY", "AUTH_PREVIOUS_MASTER_KEY_KEYRING"),
        *("AUTH_TLS_CERTIFICATE", "AUTH_TLS_KEY", "AUTH_TLS_KEY_PASSWORD"),
        *("RESOURCE_TLS_CERTIFICATE", "RESOURCE_TLS_KEY", "RESOURCE_TLS_KEY_PASSWORD"),
        *("RESOURCE_ISSUER", "RESOURCE_BASE_URL", "RESOURCE_JWKS_URI", "RESOURCE_DATABASE_URL"),
        *("RESOURCE_OWNER_DATABASE_URL", "RESOURCE_PUBLISHER_DATABASE_URL"),
        *("RESOURCE_BOOTSTRAP_DATABASE_URL", "RESOURCE_HOST", "RESOURCE_PORT", "RESOURCE_LOG_FORMAT"),
    }
)


@dataclass(frozen=True, slots=True)
class Service:
    """One running service."""

    module: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise :class:`Refusal` with the last line of the log if the process has ended."""
        code = self.process.poll()
        if code is not None:
            how = (
                f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            )
            raise Refusal(f"{self.module} {how}; its last words: {last_line(self.log)} ({self.log})")

    def wait_until_ready(self) -> None:
        """Ask ``/readyz`` until it says yes. Raises :class:`Refusal` when it does not within 30 s."""
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(trust_env=False, timeout=2.0) as http:
            while time.monotonic() < deadline:
                self.check()
                try:
                    if http.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.03)
        raise Refusal(
            f"{self.module} was not ready after {READY_SECONDS:g} s: {last_line(self.log)} ({self.log})"
        )

    def stop(self) -> None:
        """Let it finish what it is answering, then end it."""
        child_processes.stop(self.process, (signal.SIGTERM, STOP_SECONDS))


def start(module: str, url: str, log: Path, environment: Mapping[str, str]) -> Service:
    """Start ``python -m MODULE`` with ``environment``; what it writes goes to ``log``."""
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in _OURS and not name.startswith("STEELCUT_")
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            child_processes.bound_to_parent([sys.executable, "-m", module], signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us alone: we stop them in order
            env={**kept, **environment},
        )
    return Service(module, url, log, process)


def choose_port(wanted: int | None, default: int, taken: int | None = None) -> int:
    """Return ``wanted``, or the first free port from ``default`` on.

    Raises :class:`Misuse` when ``wanted`` is busy; somebody who names a port has a reason.
    """
    if wanted is not None:
        if wanted == taken:
            raise Misuse(f"Both services were given the port {wanted}: name two.")
        if not _is_free(wanted):
            raise Misuse(f"Port {wanted} on {HOST} is busy: name another one, or stop what listens there.")
        return wanted
    for port in range(default, default + PORTS_TRIED):
        if port != taken and _is_free(port):
            return port
    raise Refusal(f"No port from {default} to {default + PORTS_TRIED - 1} on {HOST} is free.")


def last_line(log: Path) -> str:
    """Return the last line of a log, or a word for its absence."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "it wrote nothing"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As uvicorn does: a port whose last connections are still winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise Misuse(f"Port {port} may not be used by this user: name one from 1024 on.") from None
        except OSError:
            return False
    return True
