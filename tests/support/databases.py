"""Databases for tests: migrated once per run, then cloned for each test that changes something."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from steelcut.service.database.connecting import database_of
from steelcut.service.database.migrations import DatabaseAccess, upgrade
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres

AUTH_MIGRATIONS = "auth_service.migrations"
RESOURCE_MIGRATIONS = "resource_service.migrations"

# Who changes rows and defines nothing.
THIRD_ROLE = {"auth": "admin", "resource": "publisher"}


@dataclass(frozen=True)
class Databases:
    """The two databases of one system."""

    auth: DatabaseAccess
    resource: DatabaseAccess

    @property
    def auth_admin(self) -> str:
        """The URL of the administrator of the auth database."""
        assert self.auth.admin is not None
        return self.auth.admin

    def through(self, port: int) -> Databases:
        """Return the same with a way for the services alone, by another port; who administers goes straight."""
        return Databases(
            auth=replace(self.auth, runtime=with_port(self.auth.runtime, port)),
            resource=replace(self.resource, runtime=with_port(self.resource.runtime, port)),
        )

    @property
    def publisher(self) -> str:
        """The URL of the publisher of the resource database."""
        assert self.resource.admin is not None
        return self.resource.admin


def port_of(url: str) -> int:
    """Return the port of the one host in a database URL of the tests."""
    port = urlsplit(url).port
    assert port is not None
    return port


def with_port(url: str, port: int) -> str:
    """Return a database URL of the tests with another port."""
    return url.replace(f":{port_of(url)}/", f":{port}/")


@dataclass
class Templates:
    """Both schemas, made by the real migrations and then only copied."""

    postgres: EmbeddedPostgres
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _kept: asyncpg.Connection[asyncpg.Record] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def migrate(self) -> None:
        """Make roles, template databases and schemas."""
        upgrade(self._access("auth", "auth_template"), AUTH_MIGRATIONS)
        upgrade(self._access("resource", "resource_template"), RESOURCE_MIGRATIONS)

    async def clone(self) -> Databases:
        """Copy both templates under names of their own."""
        number = next(self._numbers)
        auth, resource = f"auth_{number}", f"resource_{number}"
        async with self._administrator() as connection:
            for name, template in ((auth, "auth_template"), (resource, "resource_template")):
                service = template.removesuffix("_template")
                roles = ", ".join(f"{service}_{role}" for role in ("runtime", THIRD_ROLE[service]))
                await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
                await connection.execute(
                    f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;"
                    f"ALTER DATABASE {name} OWNER TO {service}_owner;"
                    f"GRANT CONNECT ON DATABASE {name} TO {roles}"
                )
        return Databases(
            auth=replace(self._access("auth", auth), bootstrap=None),
            resource=replace(self._access("resource", resource), bootstrap=None),
        )

    async def drop(self, databases: Databases) -> None:
        """Remove what ``clone`` made; whoever is still connected is cut off."""
        async with self._administrator() as connection:
            for access in (databases.auth, databases.resource):
                await connection.execute(f"DROP DATABASE IF EXISTS {database_of(access.owner)} WITH (FORCE)")

    @asynccontextmanager
    async def at_hand(self) -> AsyncIterator[None]:
        """Copy and remove, within, over one connection and as cheaply as can be: most tests do both."""
        self._kept = await asyncpg.connect(self.postgres.dsn())
        try:
            try:
                # The kernel copies, where it can between these files: a third less work.
                await self._kept.execute("SET file_copy_method = clone")
                await self.drop(await self.clone())
            except asyncpg.PostgresError:
                await self._kept.execute("RESET ALL")
            yield
        finally:
            await self._kept.close()
            self._kept = None

    @asynccontextmanager
    async def _administrator(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        if self._kept is not None:
            async with self._turn:
                yield self._kept
            return
        connection = await asyncpg.connect(self.postgres.dsn())
        try:
            yield connection
        finally:
            await connection.close()

    def _access(self, service: str, database: str) -> DatabaseAccess:
        return DatabaseAccess(
            owner=self._url(f"{service}_owner", database),
            runtime=self._url(f"{service}_runtime", database),
            admin=self._url(f"{service}_{THIRD_ROLE[service]}", database),
            bootstrap=self.postgres.dsn(),
        )

    def _url(self, role: str, database: str) -> str:
        parts = urlsplit(self.postgres.dsn())
        place = f"{role}:{role}-password@{parts.hostname}:{parts.port}"
        return urlunsplit((parts.scheme, place, f"/{database}", "", ""))
