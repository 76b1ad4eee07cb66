"""Several processes at one address: alike in what they know, replaced when they die, ended together."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from auth_service.administration.clients import disable_client
from resource_service.settings import ResourceSettings
from steelcut.service.process.serving import run
from tests.support.plain_http import http_client
from tests.support.processes import command_of, workers_of
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import ACTOR, GRANT, Registered, System
from tests.support.waiting import until

pytestmark = pytest.mark.slow

WORKERS = 2
SECONDS = 20.0


@pytest.fixture
async def service(system: System) -> AsyncIterator[Replica]:
    """An auth service of two workers."""
    async with auth_replicas(system.databases, system.master_key, 1, AUTH_WORKERS=str(WORKERS)) as replicas:
        yield replicas[0]


def _is_there(pid: int) -> bool:
    return bool(command_of(pid))


async def statuses(service: Replica, client: Registered) -> set[int]:
    """Ask for tokens over connections of their own, enough for every worker to have some; return what was answered."""

    async def ask() -> int:
        async with http_client(timeout=10) as http:
            answer = await http.post(f"{service.url}/token", data=GRANT, auth=client.basic)
        return answer.status_code

    return set(await asyncio.gather(*(ask() for _ in range(24))))


async def test_life_of_workers(service: Replica, system: System) -> None:
    """One that is killed has a successor, a change reaches all of them, and SIGTERM ends them, with exit status 0."""
    client = await system.register("Asks workers")
    assert await statuses(service, client) == {200}
    before = workers_of(service.process.pid)
    assert len(before) == WORKERS

    killed = before.pop()
    os.kill(killed, signal.SIGKILL)

    async def replaced() -> bool:
        now = workers_of(service.process.pid)
        return killed not in now and len(now) == WORKERS

    await until(replaced, SECONDS)
    assert await statuses(service, client) == {200}

    await system.as_admin(lambda c: disable_client(c, ACTOR, client.client_id))

    async def refused_by_all() -> bool:
        return await statuses(service, client) == {401}

    await until(refused_by_all, 5)

    workers = workers_of(service.process.pid)
    service.process.terminate()
    assert await asyncio.wait_for(service.process.wait(), SECONDS) == 0
    assert not any(map(_is_there, workers))


async def test_workers_do_not_outlive_a_parent_that_was_killed(service: Replica) -> None:
    """A kill -9 says goodbye to nobody: the workers notice, and free the address."""
    workers = workers_of(service.process.pid)
    service.process.kill()

    async def gone() -> bool:
        return not any(map(_is_there, workers))

    await until(gone, SECONDS)


async def test_start_that_is_refused_ends_the_parent_too(system: System) -> None:
    """With the status of a single process, and without trying for ever."""
    environment = {
        **os.environ,
        "AUTH_DATABASE_URL": system.databases.auth.owner,
        "AUTH_MASTER_KEY": system.master_key,
        "AUTH_PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auth_service", "--workers", str(WORKERS)),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 3
    assert b"owner" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5", "257"])
def test_number_that_is_none_is_refused(
    number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that names the variable."""
    monkeypatch.setenv("RESOURCE_DATABASE_URL", "postgresql://nobody@127.0.0.1/nothing")
    with pytest.raises(SystemExit) as end:
        run("resource_service", "resource_service.app:create_app", ResourceSettings, ["--workers", number])
    assert end.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("resource_service: RESOURCE_WORKERS: ")


def test_open_files_are_taken() -> None:
    """However few the shell has left: each connection of a caller is one."""
    program = (
        "import resource; from steelcut.service.process.workers import take_open_files; take_open_files();"
        " print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -S -n 64 && exec "$0" -c "$1"', sys.executable, program],
        check=True,
        capture_output=True,
        text=True,
    )
    soft, hard = ran.stdout.split()
    assert soft == hard != "64"
