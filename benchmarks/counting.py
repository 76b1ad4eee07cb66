"""What a request of a client that is known costs besides time: statements of PostgreSQL, and waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Generator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from fastapi import FastAPI

from benchmarks.load import load, token_request
from benchmarks.table import Row
from steelcut.service.database.connecting import database_of
from tests.support.system import DOCUMENT, RESOURCE, System, running_system

if TYPE_CHECKING:
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from tests.support.databases import Databases

REQUESTS = 1000


class _Waits:
    """Awaits something and counts how often it really waited, which is when the event loop does something else."""

    def __init__(self, work: Awaitable[None]) -> None:
        self.count = 0
        self._work = work

    def __await__(self) -> Generator[Any, None, None]:
        for waiting in self._work.__await__():
            self.count += 1
            yield waiting


async def waits(app: FastAPI, request: httpx.Request) -> int:
    """Return how often ``app`` waits while it answers ``request``; reading the body and answering never do."""
    status = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.content, "more_body": False}

    async def send(message: Any) -> None:
        status.append(message.get("status"))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": (request.url.host, request.url.port),
        "state": {},
        "app": app,
    }
    counted = _Waits(app(scope, receive, send))
    await counted
    if status[0] != httpx.codes.OK:
        raise RuntimeError(f"answered by {status[0]}")
    return counted.count


async def measure(postgres: EmbeddedPostgres, databases: Databases) -> AsyncIterator[Row]:
    """Count on a system within this process, after each request was made once."""
    names = [database_of(databases.auth.owner), database_of(databases.resource.owner)]
    await _log_statements(postgres, names)
    async with running_system(databases) as system, httpx.AsyncClient(trust_env=False) as http:
        auth = httpx.BasicAuth(system.client.client_id, system.client.secret)
        form = {"grant_type": "client_credentials"}
        token = (await http.post(system.token_url, data=form, auth=auth)).json()["access_token"]
        fetch = http.build_request("GET", system.document_url, headers={"Authorization": f"Bearer {token}"})
        if (await http.send(fetch)).content != DOCUMENT:
            raise RuntimeError("the document was not served")
        ask = http.build_request("POST", system.token_url, data=form)
        ask.headers["Authorization"] = auth._auth_header  # noqa: SLF001 - httpx has no other name for it
        yield Row("POST /token", "waits per request", await waits(system.auth_app, ask))
        yield Row("GET document", "waits per request", await waits(system.resource_app, fetch))
        for row in await _statements(postgres, system, token, names):
            yield row


async def _log_statements(postgres: EmbeddedPostgres, names: list[str]) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        for name in names:
            await connection.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
    finally:
        await connection.close()


async def _statements(postgres: EmbeddedPostgres, system: System, token: str, names: list[str]) -> list[Row]:
    """Count what both services had PostgreSQL do meanwhile, also on their own account, such as noting use."""
    rows = []
    fetch = f"GET /{RESOURCE} HTTP/1.1\r\nHost: {urlsplit(system.resource_base).netloc}\r\n"
    for what, url, request in (
        ("POST /token", system.issuer, token_request(system.client)),
        ("GET document", system.resource_base, f"{fetch}Authorization: Bearer {token}\r\n\r\n".encode()),
    ):
        begin = postgres.log.stat().st_size
        await load(url, request, count=REQUESTS)
        lines = postgres.log.read_bytes()[begin:].decode(errors="replace").splitlines()
        count = sum(
            any(f"@{name} " in line for name in names) and (" execute " in line or "statement: " in line)
            for line in lines
        )
        rows.append(Row(what, "statements per request", count / REQUESTS))
    return rows
