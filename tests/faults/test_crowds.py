"""Ten thousand who want nothing, and a crowd whose secrets are dear to verify: who comes beside them is served."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import argon2
import pytest

from auth_service.transfer.writing import take
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.foreign import SECRET, ask, reading
from tests.support.plain_http import http_client
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import ACTOR, GRANT, Registered, as_owner, seed

pytestmark = [pytest.mark.slow, pytest.mark.long]

IDLE: Final = 10_000
# Of the test beside its end of each connection.
OTHER_FILES: Final = 200
# What an idle connection may take of the memory of the process.
IDLE_BYTES: Final = 16_000
# Much more than either needs, and much less than one who waits for the others.
SOON_SECONDS: Final = 2.0
# Every second one says so much, and no more.
BEGINNING: Final = b"POST /token HTTP/1.1\r\nHost: a\r\n"


@contextlib.contextmanager
def open_files(count: int) -> Iterator[None]:
    """Let this process have so many open files for the length of the block; skip where that is not permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"only {hard} files may be open (ulimit -Hn), and {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(replica: Replica, name: str) -> int:
    """Return a size in bytes from /proc: VmRSS is what is resident, VmHWM the most that ever was."""
    lines = Path(f"/proc/{replica.process.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


async def test_ten_thousand_idle_connections(databases: Databases) -> None:
    """Probes and clients are answered beside them, and each takes some kilobytes."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    limit = {"AUTH_MAX_CONNECTIONS": str(IDLE + OTHER_FILES)}
    # The service before our own limit is raised: it takes what it needs itself.
    async with auth_replicas(databases, master_key, 1, **limit) as (replica,):
        with open_files(IDLE + OTHER_FILES), contextlib.ExitStack() as crowd:
            assert (await replica.ask(client))[0] == 200
            before = memory(replica, "VmRSS")
            await asyncio.to_thread(_gather, crowd, replica.url)
            async with http_client(base_url=replica.url, timeout=SOON_SECONDS) as http:
                for _ in range(3):
                    assert (await http.get("/healthz")).status_code == 200
                    answer = await http.post("/token", data=GRANT, auth=client.basic)
                    assert answer.status_code == 200
            each = (memory(replica, "VmRSS") - before) / IDLE
            assert each < IDLE_BYTES
            # All of them are there: none was closed or refused to make room.
            assert _open_sockets(replica) >= IDLE
    print(f"an idle connection takes {each:.0f} bytes")  # noqa: T201 - shown by -rP


def _gather(crowd: contextlib.ExitStack, url: str) -> None:
    parts = urlsplit(url)
    for number in range(IDLE):
        one = crowd.enter_context(socket.create_connection((str(parts.hostname), int(parts.port or 0)), 10))
        if number % 2:
            one.send(BEGINNING)


def _open_sockets(replica: Replica) -> int:
    return len(list(Path(f"/proc/{replica.process.pid}/fd").iterdir()))


# As Steelcut-OAuth made them: by the defaults of argon2-cffi, some tenth of a second of a core and 64 MiB for each.
GUESSES: Final = 90
THREADS: Final = 2
WAITING: Final = 8
HASH_BYTES: Final = 64 * 1024 * 1024
BESIDE_BYTES: Final = 40 * 1024 * 1024


async def test_crowd_with_slow_hashes(databases: Databases) -> None:
    """Real argon2 of many guesses at once: a few are computed, the rest hears 503, and others are served meanwhile."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    stored = {"old": argon2.PasswordHasher().hash(SECRET)}
    await as_owner(databases.auth_admin, lambda c: take(c, ACTOR, "test", reading(stored), apply=True))
    bounds = {"AUTH_IMPORTED_SECRET_THREADS": str(THREADS), "AUTH_IMPORTED_SECRET_WAITING": str(WAITING)}
    async with (
        auth_replicas(databases, master_key, 1, **bounds) as (replica,),
        http_client(base_url=replica.url, timeout=60) as crowd,
        http_client(base_url=replica.url, timeout=SOON_SECONDS) as http,
    ):
        assert (await replica.ask(client))[0] == 200
        before = memory(replica, "VmRSS")
        guesses = [
            asyncio.create_task(ask(crowd, Registered("old", f"guess {number}"))) for number in range(GUESSES)
        ]
        beside = 0
        while not all(guess.done() for guess in guesses):
            assert (await http.get("/healthz")).status_code == 200
            assert (await ask(http, client)).status_code == 200
            beside += 1
        statuses = Counter(guess.result().status_code for guess in guesses)
        peak = memory(replica, "VmHWM") - before
        assert (await ask(http, Registered("old", SECRET))).status_code == 200
    assert set(statuses) == {401, 503}
    assert statuses[401] >= THREADS + WAITING
    assert beside > 1
    assert peak < THREADS * HASH_BYTES + BESIDE_BYTES
    print(f"{statuses}, {beside} others served meanwhile, {peak / 2**20:.0f} MiB")  # noqa: T201 - shown by -rP
