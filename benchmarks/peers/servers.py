"""The peers as subjects: how each is run, and what each does for a token."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson

from benchmarks.pairs import Subject, Target
from benchmarks.processes import free_port, running
from benchmarks.steelcut_system import GRANT_FORM, asking_as
from benchmarks.traffic import form
from tools.node_packages import NODE

if TYPE_CHECKING:
    from benchmarks.steelcut_system import Steelcut

# Of a worker of gunicorn, each with its connection to the database.
THREADS: Final = 8
_HERE: Final = Path(__file__).resolve().parent
_RESOURCE: Final = "https://documents.example.com/a"


@dataclass(frozen=True)
class Work:
    """What a server does for one token, apart from what is counted: unequal work is no comparison."""

    runs_on: str
    secret_check: str
    token: str


WORK: Final[Mapping[str, Work]] = {
    "Steelcut": Work(
        "uvicorn, one worker; PostgreSQL",
        "SHA-256, salted, of a secret of 256 bits",
        "JWT, ES256, audited in batches",
    ),
    "oidc-provider": Work("Node, one process; in memory", "compared as it is, in memory", "JWT, ES256"),
    "Authlib": Work(
        f"Flask, gunicorn, one worker of {THREADS} threads; PostgreSQL", "compared as it is", "random, a row"
    ),
    "django-oauth-toolkit": Work(
        f"gunicorn, one worker of {THREADS} threads; PostgreSQL",
        "PBKDF2 of Django's strength, its default",
        "random, a row",
    ),
    "django-oauth-toolkit, plain": Work(
        f"gunicorn, one worker of {THREADS} threads; PostgreSQL", "compared as it is", "random, a row"
    ),
}


# What a peer in Python is made of, itself first.
_OF_AUTHLIB: Final = ("authlib", "flask", "sqlalchemy", "psycopg", "gunicorn")
_OF_DJANGO: Final = ("django-oauth-toolkit", "django", "psycopg", "gunicorn")
_PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "Authlib": _OF_AUTHLIB,
    "django-oauth-toolkit, plain": _OF_DJANGO,
    "django-oauth-toolkit": _OF_DJANGO,
}
_TELL_VERSIONS: Final = (
    "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
)


@dataclass(frozen=True)
class Installed:
    """Where the peers were installed: a Python that finds them, and a folder with Node's packages."""

    python: Path
    node: Path

    def versions(self, peer: str) -> Mapping[str, str]:
        """Return the versions of what a peer is made of, itself first. Raises ``RuntimeError`` where it is missing."""
        try:
            if peer == "oidc-provider":
                package = self.node / "node_modules" / peer / "package.json"
                told = orjson.loads(package.read_bytes())["version"]
                return {peer: told, "Node": _said(str(NODE), "--version").removeprefix("v")}
            packages = _PACKAGES[peer]
            said = _said(str(self.python), "-c", _TELL_VERSIONS, *packages)
            return dict(zip(packages, said.split(), strict=True))
        except (OSError, subprocess.SubprocessError) as fault:
            raise RuntimeError(f"{peer} is not installed: {fault}") from fault


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def peers(steelcut: Steelcut, installed: Installed) -> list[Subject]:
    """Return every peer, with a client of the same id and secret as ours."""
    return [
        Subject("oidc-provider", lambda: _oidc_provider(steelcut, installed)),
        Subject("Authlib", lambda: _gunicorn(steelcut, installed, "authlib_server")),
        Subject(
            "django-oauth-toolkit, plain",
            lambda: _gunicorn(steelcut, installed, "django_server", hashed=False),
        ),
        Subject("django-oauth-toolkit", lambda: _gunicorn(steelcut, installed, "django_server", hashed=True)),
    ]


def _told(steelcut: Steelcut) -> dict[str, Any]:
    client = steelcut.fleet.client
    return {"client_id": client.client_id, "client_secret": client.secret, "resource": _RESOURCE}


@contextlib.asynccontextmanager
async def _oidc_provider(steelcut: Steelcut, installed: Installed) -> AsyncIterator[Target]:
    # Node looks for packages beside the file and above it.
    script = shutil.copy(_HERE / "oidc_provider" / "server.mjs", installed.node)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(NODE), str(script)]
    given = orjson.dumps({**_told(steelcut), "port": port})
    async with running(command, url, {"NODE_ENV": "production"}, given=given) as pid:
        asking = asking_as(steelcut.fleet.client)
        body = f"{GRANT_FORM}&scope=read"
        yield Target(url, [pid], form("POST", "/token", body, asking.headers))


@contextlib.asynccontextmanager
async def _gunicorn(
    steelcut: Steelcut, installed: Installed, module: str, **more: bool
) -> AsyncIterator[Target]:
    name = "_".join((module, *(f"{option}_{value}".lower() for option, value in more.items())))
    connection = await asyncpg.connect(steelcut.postgres.dsn())
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    dsn = steelcut.postgres.dsn(name)
    if module == "authlib_server":
        # As SQLAlchemy names its drivers.
        dsn = dsn.replace("postgresql://", "postgresql+psycopg://")
    told = {**_told(steelcut), "database": dsn, "threads": THREADS, **more}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(installed.python), "-m", "gunicorn", f"benchmarks.peers.{module}:application"),
        *("--workers", "1", "--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "30"),
        *("--bind", f"127.0.0.1:{port}", "--timeout", "120"),
    ]
    environment = {"PEER": orjson.dumps(told).decode()}
    async with running(command, url, environment) as pid:
        yield Target(url, [pid], asking_as(steelcut.fleet.client), steelcut.databases(name))
