"""The code before the last migration of each service, out of the repository's history, runs on the newest schema."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson
import pytest

from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases
from tests.support.issuer import TinyIssuer
from tests.support.replicas import Replica, auth_replicas, resource_replicas
from tests.support.system import RESOURCE, Registered, listen, seed, serving
from tests.support.waiting import until

pytestmark = pytest.mark.long

ROOT: Final = Path(__file__).parents[2]
CODE: Final = ("services", "shared")
HEARD_SECONDS: Final = 5.0


def git(*arguments: str) -> str:
    """Return what git says; skip the test where there is no history to ask."""
    if shutil.which("git") is None:
        pytest.skip("without git there is no old code")
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"there is no old code: {done.stderr.strip()}")
    return done.stdout.strip()


def code_before_the_last_migration(service: str, folder: Path) -> str:
    """Unpack the newest code that knows nothing of the newest revision; return the path by which Python finds it."""
    migrations = f"services/{service}_service/migrations/versions"
    last = git("log", "-1", "--diff-filter=A", "--format=%H", "--", migrations)
    if not last:
        pytest.skip("the history does not reach back to a migration")
    archive = folder / "old.zip"
    git("archive", "--output", str(archive), f"{last}~1", *CODE)
    shutil.unpack_archive(archive, folder / "old")
    return os.pathsep.join(str(folder / "old" / part) for part in CODE)


async def run_old(path: str, *arguments: str, environment: dict[str, str]) -> str:
    """Run a Python program by the old code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


async def test_old_auth_service(databases: Databases, tmp_path: Path) -> None:
    """It issues tokens, and administers, beside the new one: what one makes, the other serves."""
    path = code_before_the_last_migration("auth", tmp_path)
    where = await run_old(path, "-c", "import auth_service; print(auth_service.__file__)", environment={})
    assert where.startswith(str(tmp_path)), "the old code is not the one that runs"
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    async with (
        auth_replicas(databases, master_key, 1, PYTHONPATH=path) as (old,),
        auth_replicas(databases, master_key, 1) as (new,),
    ):
        environment = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin}
        made = await run_old(
            path,
            *("-m", "steelcut_cli", "clients", "create", "Made by old code", "--grant", f"{RESOURCE}=read"),
            "--json",
            environment=environment,
        )
        shown = orjson.loads(made)
        other = Registered(shown["client_id"], shown["client_secret"])
        for replica in (old, new):
            for one in (client, other):
                status, answer = await replica.ask(one)
                assert status == 200, answer
        await run_old(
            path, "-m", "steelcut_cli", "clients", "disable", other.client_id, environment=environment
        )
        for replica in (old, new):
            assert (await replica.ask(other))[0] == 401


async def test_old_resource_service(databases: Databases, tmp_path: Path) -> None:
    """It serves and publishes documents beside the new one: what one publishes, the other serves."""
    path = code_before_the_last_migration("resource", tmp_path)
    listener = listen()
    issuer = TinyIssuer(listener)
    base = "http://127.0.0.1:8001"
    reader = {"Authorization": f"Bearer {issuer.token(f'{base}/{RESOURCE}')}"}
    publisher = {"Authorization": f"Bearer {issuer.token(f'{base}/{RESOURCE}', scope='write')}"}
    async with (
        serving(issuer, listener),
        resource_replicas(databases, issuer.url, base, 1, PYTHONPATH=path) as (old,),
        resource_replicas(databases, issuer.url, base, 1) as (new,),
    ):
        for one, other in ((old, new), (new, old)):
            content = orjson.dumps({"published by": one.url})
            kind = {"Content-Type": "application/json"}
            put = await one.http.put(f"/{RESOURCE}", content=content, headers={**publisher, **kind})
            assert put.is_success, put.text

            async def served(replica: Replica = other, content: bytes = content) -> bool:
                return (await replica.http.get(f"/{RESOURCE}", headers=reader)).content == content

            await until(served, HEARD_SECONDS)
