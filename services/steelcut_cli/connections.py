"""One connection for one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import asyncpg
from pydantic import SecretStr

from auth_service.administration.errors import AdministrationError
from auth_service.settings import AuthAdministrationSettings
from resource_service.errors import DocumentError
from steelcut.service.database.connecting import connect
from steelcut.service.refusal import Refusal as ServiceRefusal
from steelcut_cli.errors import Refusal
from steelcut_cli.settings import read

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Result = TypeVar("Result")


def with_connection(url: SecretStr, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Connect to ``url``, do ``work`` and return what it returns.

    Raises :class:`Refusal` when PostgreSQL is not there, refuses, or has no schema yet. Must not be called from a
    running event loop.
    """
    try:
        return asyncio.run(_connected(url, work))
    except (ServiceRefusal, AdministrationError, DocumentError) as error:
        raise Refusal(str(error)) from None
    except asyncpg.UndefinedTableError:
        raise Refusal("The database has no schema yet: run `steelcut db upgrade`.") from None
    except asyncpg.UndefinedColumnError:
        raise Refusal("The schema is of another version: run `steelcut db upgrade`.") from None
    except asyncpg.InsufficientPrivilegeError:
        raise Refusal(
            "The role in the database URL may not do this: AUTH_ADMIN_DATABASE_URL takes the administrator's URL, "
            "RESOURCE_PUBLISHER_DATABASE_URL the publisher's; `steelcut db upgrade` gives both their rights."
        ) from None
    except asyncpg.DataError:
        raise Refusal("An argument holds characters that no name has.") from None
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        # What asyncpg says when the end comes between two messages.
        asyncpg.InternalClientError,
        # How it says that it is being stopped to whom it is just answering.
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
    ):
        raise Refusal(
            "The connection to PostgreSQL was lost; whether the change was made is unknown."
        ) from None
    except asyncpg.PostgresError as error:
        # Not its message, which may quote rows.
        raise Refusal(f"PostgreSQL refused ({type(error).__name__}, SQLSTATE {error.sqlstate}).") from None


def administer(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Do ``work`` on the auth database as its administrator, by AUTH_ADMIN_DATABASE_URL.

    Raises :class:`Refusal` as ``with_connection`` does, and :class:`Misuse` without a usable URL.
    """
    return with_connection(read(AuthAdministrationSettings).admin_database_url, work)


async def _connected(url: SecretStr, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    connection = await connect(url.get_secret_value())
    try:
        return await work(connection)
    finally:
        await connection.close()
