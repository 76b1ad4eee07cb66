"""Steelcut as it is measured: an embedded PostgreSQL that counts its statements, and both services."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from benchmarks import population
from benchmarks.pairs import Subject, Target
from benchmarks.processes import Fleet, fleet
from benchmarks.statements import CountedDatabases, count_statements, counted
from benchmarks.traffic import LINE, Traffic, form
from steelcut.service.database.connecting import database_of
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Templates
from tests.support.system import RESOURCE, Registered, as_owner

if TYPE_CHECKING:
    from tools.programs import Program

_Prepare = Callable[[], Awaitable[Traffic]]
_Start = Callable[[], AbstractAsyncContextManager[Target]]
GRANT_FORM = "grant_type=client_credentials"


@dataclass
class Steelcut:
    """The running system, and what can be asked of it as subjects; each ``start`` only prepares what it asks."""

    wrk: Program
    postgres: EmbeddedPostgres
    fleet: Fleet
    folder: Path
    _files: dict[str, Path] = field(default_factory=dict)

    def token(self) -> Subject:
        """Return ``POST /token`` of one client, again and again."""
        return Subject("POST /token, one client", self._of_auth(self._asking))

    def token_numbered(self) -> Subject:
        """Return the same, by requests of which none is like the one before."""

        async def asking() -> Traffic:
            return asking_as(self.fleet.client).numbered(self.folder)

        return Subject("POST /token, a header changes", self._of_auth(asking))

    def token_of_many(self) -> Subject:
        """Return ``POST /token``, every request that of another client out of 100,000: more than are kept in memory."""
        return Subject("POST /token, 100,000 clients", self._of_auth(self._asking_as_many))

    def document(self) -> Subject:
        """Return the protected GET with the same token."""
        return Subject("GET document, same token", self._of_resource(self._fetching))

    def document_numbered(self) -> Subject:
        """Return the same, by requests of which none is like the one before."""

        async def fetching() -> Traffic:
            return (await self._fetching()).numbered(self.folder)

        return Subject("GET document, a header changes", self._of_resource(fetching))

    def document_by_new_tokens(self) -> Subject:
        """Return the protected GET, every request with a token that is not remembered."""
        return Subject("GET document, new token", self._of_resource(self.by_new_tokens))

    def document_unchanged(self) -> Subject:
        """Return the protected GET of who has the document already, answered by 304."""
        return Subject("GET document, 304", self._of_resource(self._fetching_again))

    def document_of(self, size: int) -> Subject:
        """Return the protected GET of a document of ``size`` bytes."""

        async def fetching() -> Traffic:
            name = f"of-{size}-bytes"
            await population.publish_document(self.fleet.databases, name, size)
            return Traffic(f"/{RESOURCE}/{name}", headers={"Authorization": await self.fleet.bearer()})

        return Subject(f"GET document of {size:,} bytes", self._of_resource(fetching))

    def forward_auth(self) -> Subject:
        """Return ``GET /verify``, which a proxy asks."""

        async def asking() -> Traffic:
            path = f"/verify?resource={RESOURCE}&scope=read"
            return Traffic(path, headers={"Authorization": await self.fleet.bearer()})

        return Subject("GET /verify", self._of_resource(asking))

    async def by_new_tokens(self) -> Traffic:
        """Return protected GETs with more tokens than are remembered, one after the other."""
        if "tokens" not in self._files:
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                asking = asking_as(self.fleet.client)
                found = await population.many_tokens(self.wrk, self.fleet.auth, asking, Path(scratch))
            self._files["tokens"] = self._file("tokens", found)
        return Traffic(f"/{RESOURCE}", headers={"Authorization": LINE}, lines=self._files["tokens"])

    async def public_key(self) -> Mapping[str, str]:
        """Return the key that tokens are signed with, as a JWK (RFC 7517)."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.fleet.auth}/.well-known/jwks.json")
        keys: list[dict[str, str]] = answer.raise_for_status().json()["keys"]
        return keys[0]

    async def postgresql_version(self) -> str:
        """Return the version of its PostgreSQL."""
        return str(await as_owner(self.postgres.dsn(), lambda c: c.fetchval("SHOW server_version")))

    @property
    def identifier(self) -> str:
        """The audience of the tokens."""
        return f"{self.fleet.resource}/{RESOURCE}"

    async def _asking(self) -> Traffic:
        return asking_as(self.fleet.client)

    async def _asking_as_many(self) -> Traffic:
        if "clients" not in self._files:
            superuser = self.postgres.dsn(database_of(self.fleet.databases.auth.owner))
            credentials = await population.many_clients(superuser, self.fleet.client)
            self._files["clients"] = self._file("clients", credentials)
        return form("POST", "/token", GRANT_FORM, {"Authorization": LINE}, self._files["clients"])

    async def _fetching(self) -> Traffic:
        return Traffic(f"/{RESOURCE}", headers={"Authorization": await self.fleet.bearer()})

    async def _fetching_again(self) -> Traffic:
        bearer = await self.fleet.bearer()
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(self.identifier, headers={"Authorization": bearer})
        tag = answer.raise_for_status().headers["etag"]
        return Traffic(f"/{RESOURCE}", headers={"Authorization": bearer, "If-None-Match": tag}, status=304)

    def _of_auth(self, traffic: _Prepare) -> _Start:
        return self._start(self.fleet.auth, self.fleet.auth_pid, self.fleet.databases.auth.owner, traffic)

    def _of_resource(self, traffic: _Prepare) -> _Start:
        owner = self.fleet.databases.resource.owner
        return self._start(self.fleet.resource, self.fleet.resource_pid, owner, traffic)

    def _start(self, url: str, pid: int, owner: str, prepare: _Prepare) -> _Start:
        @contextlib.asynccontextmanager
        async def start() -> AsyncIterator[Target]:
            yield Target(url, [pid], await prepare(), self.databases(database_of(owner)))

        return start

    def databases(self, *names: str) -> CountedDatabases:
        """Return databases of its PostgreSQL, as a target has them."""
        return counted(self.postgres, *names)

    def _file(self, name: str, lines: list[str]) -> Path:
        file = self.folder / name
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file


def asking_as(client: Registered) -> Traffic:
    """Return token requests of one client."""
    header = client.basic._auth_header  # noqa: SLF001 - httpx has no other name for it
    return form("POST", "/token", GRANT_FORM, {"Authorization": header})


@contextlib.asynccontextmanager
async def steelcut(wrk: Program) -> AsyncIterator[Steelcut]:
    """Run a fresh PostgreSQL, which keeps what it is told, and both services, in processes that inherit our cores."""
    with tempfile.TemporaryDirectory() as directory:
        folder = _entered_by_all(directory)
        with EmbeddedPostgres(folder / "postgres") as postgres:
            await count_statements(postgres)
            templates = Templates(postgres)
            await asyncio.to_thread(templates.migrate)
            async with fleet(await templates.clone()) as running:
                yield Steelcut(wrk, postgres, running, folder)


def _entered_by_all(directory: str) -> Path:
    """Let in who PostgreSQL runs as under root: nobody."""
    folder = Path(directory)
    folder.chmod(0o755)
    return folder
