"""`steelcut import` of 10,000 clients, from each source, as a person runs it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from benchmarks.table import Row
from tests.support.databases import Databases, Templates
from tests.support.foreign import argon2_hash, django_pbkdf2, hydra_pbkdf2

CLIENTS = 10_000
TARGET_SECONDS = 10.0
RESOURCES = 20
_BASE_URL = "https://api.example.com"
_SCOPES = ("read", "write")


@dataclass(frozen=True)
class Source:
    """A source: what the file holds, and the words of the command behind its name."""

    content: Callable[[], bytes]
    words: tuple[str, ...]


def _resource(number: int) -> str:
    return f"api-{number % RESOURCES}"


def _hydra() -> bytes:
    hashed = hydra_pbkdf2()
    return orjson.dumps(
        [
            {
                "client_id": f"client-{number}",
                "client_name": f"Client {number}",
                "client_secret": hashed,
                "scope": " ".join(_SCOPES),
                "audience": [f"{_BASE_URL}/{_resource(number)}"],
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "client_secret_basic",
            }
            for number in range(CLIENTS)
        ]
    )


def _django() -> bytes:
    hashed = django_pbkdf2()
    return orjson.dumps(
        [
            {
                "model": "oauth2_provider.application",
                "pk": number,
                "fields": {
                    "client_id": f"client-{number}",
                    "client_secret": hashed,
                    "client_type": "confidential",
                    "authorization_grant_type": "client-credentials",
                    "name": f"Client {number}",
                },
            }
            for number in range(CLIENTS)
        ]
    )


def _json_lines() -> bytes:
    hashed = argon2_hash()
    lines: list[dict[str, Any]] = [{"type": "format", "format": "steelcut-clients", "version": 1}]
    lines += [
        {"type": "resource", "name": name, "identifier": f"{_BASE_URL}/{name}", "scopes": _SCOPES}
        for name in map(_resource, range(RESOURCES))
    ]
    lines += [
        {
            "type": "client",
            "client_id": f"client-{number}",
            "name": f"Client {number}",
            "grants": {_resource(number): _SCOPES},
            "secrets": [{"hash": hashed}],
        }
        for number in range(CLIENTS)
    ]
    return b"\n".join(map(orjson.dumps, lines))


SOURCES: Mapping[str, Source] = {
    "hydra": Source(_hydra, ("--create-resources", _BASE_URL)),
    "django-oauth-toolkit": Source(_django, ("--grant", "api-0=read,write", "--create-resources", _BASE_URL)),
    "json-lines": Source(_json_lines, ()),
}


async def measure(templates: Templates, directory: Path) -> AsyncIterator[Row]:
    """Run each import on a database of its own, from the start of the command to its end."""
    databases = await templates.clone()
    await _fill_old_table(databases)
    old = {"STEELCUT_OAUTH_DATABASE_URL": databases.resource.owner}
    yield await _timed("steelcut-oauth", ("--create-resources", _BASE_URL), databases, old)
    for name, source in SOURCES.items():
        file = directory / name
        file.write_bytes(source.content())
        yield await _timed(name, (str(file), *source.words), await templates.clone(), {})


async def _fill_old_table(databases: Databases) -> None:
    """Lay the table of Steelcut-OAuth beside: any database that is not the auth database will do."""
    connection = await asyncpg.connect(databases.resource.owner)
    try:
        await connection.execute(
            "CREATE TABLE stored_tokens (grant_type text, client_id text, client_secret text, resource text)"
        )
        hashed = argon2_hash()
        rows = [("client_credentials", f"client-{n}", hashed, _resource(n)) for n in range(CLIENTS)]
        await connection.copy_records_to_table("stored_tokens", records=rows)
    finally:
        await connection.close()


async def _timed(name: str, words: tuple[str, ...], databases: Databases, environment: dict[str, str]) -> Row:
    command = (sys.executable, "-m", "steelcut_cli", "import", name, *words, "--strict", "--apply")
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"AUTH_ADMIN_DATABASE_URL": databases.auth_admin, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    seconds = time.perf_counter() - begin
    connection = await asyncpg.connect(databases.auth.owner)
    taken = await connection.fetchval("SELECT count(*) FROM clients")
    await connection.close()
    if process.returncode or taken != CLIENTS:
        raise RuntimeError(f"steelcut import {name} took {taken} clients: {said.decode()[-500:]}")
    return Row(f"steelcut import {name}", f"{CLIENTS:,} clients", seconds, "s", at_most=TARGET_SECONDS)
