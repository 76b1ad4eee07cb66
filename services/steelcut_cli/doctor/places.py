"""Both databases, each looked at once by each URL that is given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import asyncpg

from steelcut_cli.connections import with_connection
from steelcut_cli.doctor import rights
from steelcut_cli.doctor.clock_reading import Reading
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from steelcut_cli.connections import Connection
    from steelcut_cli.doctor.environment import Environment

Service = Literal["auth", "resource"]
Result = TypeVar("Result")

# A database that takes a connection and then says nothing, as one that is paused does.
LOOK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Door:
    """One of the URLs by which somebody reaches a database, and the rights that its role must have.

    ``grants`` is the name of the statements in the migrations that give them; the owner has all of them by itself.
    """

    service: Service
    who: str
    variable: str
    grants: str | None

    @property
    def name(self) -> str:
        """What the check is called."""
        return f"{self.service} database, {self.who}"

    @property
    def package(self) -> str:
        """The migrations of the service."""
        return f"{self.service}_service.migrations"


DOORS: Final = (
    Door("auth", "run-time role", "AUTH_DATABASE_URL", "GRANTS"),
    Door("auth", "administrator", "AUTH_ADMIN_DATABASE_URL", "ADMIN_GRANTS"),
    Door("auth", "owner", "AUTH_OWNER_DATABASE_URL", None),
    Door("resource", "run-time role", "RESOURCE_DATABASE_URL", "GRANTS"),
    Door("resource", "publisher", "RESOURCE_PUBLISHER_DATABASE_URL", "ADMIN_GRANTS"),
    Door("resource", "owner", "RESOURCE_OWNER_DATABASE_URL", None),
)


@dataclass(frozen=True, slots=True)
class View:
    """What is seen through one door. ``revision`` is None in an empty database, "" where it may not be read."""

    role: str
    database: str
    is_superuser: bool
    owned: tuple[str, ...]
    defines: bool
    read_only: bool
    revision: str | None
    lacking: tuple[str, ...]
    beyond: tuple[str, ...]
    clock: Reading


@dataclass(frozen=True, slots=True)
class Views:
    """What is seen through every door that is open, and why the others are not."""

    seen: dict[Door, View]
    shut: dict[Door, str]

    def of(self, service: Service) -> dict[Door, View]:
        """Return what is seen of one database."""
        return {door: view for door, view in self.seen.items() if door.service == service}


def look(environment: Environment) -> Views:
    """Go through every door once; raises nothing."""
    seen: dict[Door, View] = {}
    shut: dict[Door, str] = {}
    for door in DOORS:
        url = environment.urls.get(door.variable)
        if url is None:
            continue
        try:
            seen[door] = ask(url, lambda connection: _view(connection, door))  # noqa: B023 - at once
        except Refusal as refusal:
            shut[door] = str(refusal)
    return Views(seen, shut)


def ask(url: SecretStr, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Do ``work``, which is short. Raises :class:`Refusal`, also when it takes ``LOOK_SECONDS``."""

    async def bounded(connection: Connection) -> Result:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await work(connection)
        except TimeoutError:
            # Its farewell would be waited for as well.
            connection.terminate()
            raise Refusal("PostgreSQL took the connection, and then did not answer.") from None

    return with_connection(url, bounded)


_ROLE = """
    SELECT current_user AS role, current_database() AS database,
           current_setting('transaction_read_only') = 'on' AS read_only,
           (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
           has_schema_privilege('public', 'CREATE') AS defines,
           ARRAY(SELECT relname::text FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                    AND pg_has_role(current_user, relowner, 'MEMBER')
                  ORDER BY relname) AS owned
"""


async def _view(connection: Connection, door: Door) -> View:
    row = await connection.fetchrow(_ROLE)
    assert row is not None  # noqa: S101 - a SELECT without FROM
    needed = rights.needed(door.package, door.grants) if door.grants else ()
    return View(
        role=row["role"],
        database=row["database"],
        is_superuser=row["is_superuser"],
        owned=tuple(row["owned"]),
        defines=row["defines"],
        read_only=row["read_only"],
        revision=await _revision(connection),
        lacking=await rights.lacking(connection, needed),
        beyond=await rights.beyond(connection, needed) if door.grants else (),
        clock=await _clock(connection),
    )


async def _revision(connection: Connection) -> str | None:
    try:
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    except asyncpg.InsufficientPrivilegeError:
        return ""
    return revision


async def _clock(connection: Connection) -> Reading:
    readings = []
    # The first answer comes late: the statement is prepared for it.
    for _ in range(3):
        begin = time.time()
        moment = await connection.fetchval("SELECT clock_timestamp()")
        readings.append(Reading.between(begin, time.time(), moment.timestamp()))
    return min(readings, key=lambda reading: reading.uncertainty)
