"""A real Redis, where Debian's package is there."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.system import listen
from tests.support.waiting import until

REDIS = shutil.which("redis-server")


@asynccontextmanager
async def running_redis(directory: Path, *options: str) -> AsyncIterator[str]:
    """Run a server of one's own and give its URL; skips the test where there is no program."""
    if REDIS is None:
        pytest.skip("redis-server is not installed: on Debian, apt-get install redis-server")
    with listen() as free:
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        *(REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)),
        *options,
        stdout=asyncio.subprocess.DEVNULL,
    )

    async def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        await until(answers, 10)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        await server.wait()
