"""The start of a service: what ends it, and what is said when it cannot be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest

pytestmark = pytest.mark.slow

SECONDS = 20.0
# Nobody listens at port 1.
NOWHERE = "postgresql://a:b@127.0.0.1:1/x"
SETTINGS = {
    "AUTH_DATABASE_URL": NOWHERE,
    "AUTH_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
    "AUTH_PORT": "0",
    "RESOURCE_DATABASE_URL": NOWHERE,
    "RESOURCE_PORT": "0",
}


@contextlib.asynccontextmanager
async def starting(
    service: str, *arguments: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a service, in a process group of its own as a shell does, and end it in any case."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", service, *arguments),
        env={**os.environ, **SETTINGS, **variables},
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize(
    ("service", "workers", "number"),
    [
        ("auth_service", 1, signal.SIGINT),
        ("resource_service", 1, signal.SIGTERM),
        ("auth_service", 2, signal.SIGTERM),
        ("resource_service", 2, signal.SIGINT),
    ],
)
async def test_start_that_waits_for_its_database_ends_at_a_signal(
    service: str, workers: int, number: signal.Signals
) -> None:
    """At once, with status 0 as a service that serves, and without a word of it."""
    async with starting(service, f"--workers={workers}") as process, asyncio.timeout(SECONDS):
        assert process.stdout is not None
        waiting = 0
        while waiting < workers:
            waiting += b"Waiting for application startup" in await process.stdout.readline()
        # As Ctrl-C does it: to all of them. SIGTERM is for the one that an orchestrator knows.
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
        said = await process.stdout.read()
        assert await process.wait() == 0
    assert b'"error"' not in said
    assert b"Traceback" not in said
    assert b"retry" not in said
