"""Schema and roles of one service's database: Alembic under an advisory lock, then the grants.

A service's ``migrations`` package holds ``env.py``, ``versions/`` with plain SQL, and ``GRANTS``: the statements
that say what its run-time role may do, with ``{role}`` in the place of the role's quoted name. ``ADMIN_GRANTS`` says
the same of the third role: the administrator of the auth database, the publisher of the resource database.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SqlAlchemyConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from steelcut.service.database.connecting import connect, database_of, role_name
from steelcut.service.database_urls import one_by_one
from steelcut.service.refusal import Refusal

# Any constant does, as long as every process that migrates uses the same one.
_LOCK = "SELECT pg_advisory_xact_lock(7359064921)"
_SESSION_LOCK = "SELECT pg_advisory_lock(7359064921)"


class MigrationError(Refusal):
    """The database cannot be brought to the state that the code needs; the message says what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseAccess:
    """Who reaches one service's database, as URLs.

    The owner, the run-time role, the administrator (who changes rows and defines nothing; of the resource database,
    the publisher), and who may make them.
    """

    owner: str
    runtime: str
    admin: str | None = None
    bootstrap: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The URLs of all roles that use the database, the owner first."""
        return (self.owner, self.runtime, *([self.admin] if self.admin else []))


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision a database is at (None: empty) beside the newest one that this code knows.

    ``is_newer``: this code does not know the one it is at, since a newer version made it.
    """

    current: str | None
    head: str
    is_newer: bool = False

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do."""
        return self.current == self.head


def upgrade(access: DatabaseAccess, package: str) -> SchemaState:
    """Make roles and database when ``access.bootstrap`` is given, migrate to head, grant the run-time role.

    Running it again changes nothing. Must not be called from a running event loop. Raises ``MigrationError``.
    """
    asyncio.run(_prepare(access))
    # Before anything is done: what follows would take the rights away that a newer version gave.
    found = state(access.owner, package)
    if found.is_newer:
        raise MigrationError(
            f"The schema is at revision {found.current}, which this version does not know: a newer one made it, and"
            " upgrades it. Schema and rights are as they were."
        )
    try:
        command.upgrade(_config(package, access.owner), "head")
        asyncio.run(_grant(access, package))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != asyncpg.InsufficientPrivilegeError.sqlstate:
            raise
        raise _not_the_owner(access.owner) from None
    except asyncpg.InsufficientPrivilegeError:
        raise _not_the_owner(access.owner) from None
    return state(access.owner, package)


def upgrade_sql(package: str) -> str:
    """Return the SQL of every migration, for a database administrator who applies it by hand."""
    output = io.StringIO()
    command.upgrade(_config(package, None, output), "head", sql=True)
    lines = [output.getvalue()]
    third: str = getattr(import_module(package), "ADMIN_VARIABLE", "admin")
    for variable, name in (("role", "GRANTS"), (third, "ADMIN_GRANTS")):
        statements = [f"{statement.format(role=f':{variable}')};" for statement in _grants(package, name)]
        lines += [f"-- psql -v {variable}=NAME", *statements] if statements else []
    return "\n".join([*lines, ""])


def state(owner_url: str, package: str) -> SchemaState:
    """Read the revision that the database is at. Raises ``MigrationError`` when it cannot be reached."""
    scripts = ScriptDirectory.from_config(_config(package, None))
    head = scripts.get_current_head()
    assert head is not None  # noqa: S101 - both services have migrations
    current = asyncio.run(_current_revision(owner_url))
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaState(current, head, is_newer=current is not None and current not in known)


def revisions(package: str) -> tuple[str, ...]:
    """Return the revisions that this code knows, the newest first."""
    scripts = ScriptDirectory.from_config(_config(package, None))
    return tuple(script.revision for script in scripts.walk_revisions())


def run_env() -> None:
    """Do the work of a service's ``env.py``, which Alembic executes."""
    if context.is_offline_mode():
        # Named, because the default style doubles every "%", which would break the functions.
        context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    asyncio.run(_migrate(context.config.attributes["url"]))


def role_of(url: str) -> tuple[str, str]:
    """Return the user name and password in a database URL."""
    parts = urlsplit(one_by_one(url)[0])
    if not parts.username or parts.password is None:
        raise MigrationError("a database URL must carry a user and a password: postgresql://user:password@…")
    return unquote(parts.username), unquote(parts.password)


async def _migrate(url: str) -> None:
    async def connected() -> Any:
        return await connect(url)

    # The URL is asyncpg's to read, so that multi-host URLs and TLS options mean the same as in the services.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connected, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate_in_transaction)
        await connection.commit()
    await engine.dispose()


def _migrate_in_transaction(connection: SqlAlchemyConnection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        connection.exec_driver_sql(_LOCK)
        context.run_migrations()


async def _prepare(access: DatabaseAccess) -> None:
    if access.bootstrap is None:
        return
    connection = await connect(access.bootstrap)
    try:
        # For the session: a database is not made inside a transaction. Closing the connection lets go of it.
        await connection.execute(_SESSION_LOCK)
        for url in access.roles:
            await _make_role(connection, *role_of(url))
        await _make_database(connection, database_of(access.owner), role_of(access.owner)[0])
    except asyncpg.InsufficientPrivilegeError:
        raise MigrationError(
            f"The role {role_name(access.bootstrap)} may not create roles and databases: it needs CREATEROLE and"
            " CREATEDB."
        ) from None
    finally:
        await connection.close()


async def _make_role(connection: asyncpg.Connection[asyncpg.Record], name: str, password: str) -> None:
    exists = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name)
    verb = "ALTER" if exists else "CREATE"
    # Utility statements take no parameters: the server itself quotes what goes in.
    statement = await connection.fetchval(
        "SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L',"
        " $1::text, $2::text, $3::text)",
        verb,
        name,
        password,
    )
    await connection.execute(statement)


async def _make_database(connection: asyncpg.Connection[asyncpg.Record], name: str, owner: str) -> None:
    if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
        return
    if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        statement = await connection.fetchval(
            "SELECT format('GRANT %I TO CURRENT_USER WITH SET TRUE', $1::text)", owner
        )
        await connection.execute(statement)
    statement = await connection.fetchval(
        "SELECT format('CREATE DATABASE %I OWNER %I', $1::text, $2::text)", name, owner
    )
    await connection.execute(statement)


async def _grant(access: DatabaseAccess, package: str) -> None:
    connection = await connect(access.owner)
    database = database_of(access.owner)
    try:
        async with connection.transaction():
            await connection.execute(_LOCK)
            name = await connection.fetchval("SELECT quote_ident($1)", database)
            await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            await _grant_role(connection, access.runtime, name, _grants(package))
            if access.admin is not None:
                await _grant_role(connection, access.admin, name, _grants(package, "ADMIN_GRANTS"))
    finally:
        await connection.close()


async def _grant_role(
    connection: asyncpg.Connection[asyncpg.Record], url: str, database: str, grants: tuple[str, ...]
) -> None:
    """Give a role exactly ``grants``: what it had before is taken first."""
    name, _ = role_of(url)
    role = await connection.fetchval("SELECT quote_ident($1)", name)
    try:
        await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
    except asyncpg.UndefinedObjectError:
        raise MigrationError(
            f"The role {name} does not exist: create it, or set the bootstrap database URL."
        ) from None
    await connection.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
    for statement in grants:
        await connection.execute(statement.format(role=role))


async def _current_revision(owner_url: str) -> str | None:
    connection = await connect(owner_url)
    try:
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    except asyncpg.InsufficientPrivilegeError:
        raise _not_the_owner(owner_url) from None
    else:
        return revision
    finally:
        await connection.close()


def _not_the_owner(url: str) -> MigrationError:
    return MigrationError(
        f"The role {role_name(url)} does not own the tables of {database_of(url)}: the owner database URL must be that"
        " of the owner, not of the run-time role or another."
    )


def _grants(package: str, name: str = "GRANTS") -> tuple[str, ...]:
    grants: tuple[str, ...] = getattr(import_module(package), name, ())
    return grants


def _config(package: str, url: str | None, output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output is not None else Config()
    config.set_main_option("script_location", str(files(package)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config
