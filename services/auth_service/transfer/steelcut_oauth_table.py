"""Reads the table of Steelcut-OAuth from its PostgreSQL; changes nothing there."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg

from auth_service.administration.errors import Invalid
from auth_service.transfer.steelcut_oauth import Row
from steelcut.service.database_urls import one_by_one

_CONNECT_SECONDS = 10.0


async def rows(url: str, table: str) -> list[Row]:
    """Return all rows of ``table`` in the order in which they lie there: Steelcut-OAuth looks at the first.

    ``url`` may leave the password to PGPASSWORD or a password file, as asyncpg finds them. ``table`` may name its
    schema, with a dot between. Raises ``Invalid`` with a sentence, and without the password.
    """
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    try:
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            server_settings={"default_transaction_read_only": "on", "application_name": "steelcut import"},
        )
        try:
            # As text, whatever they are: nobody's constraint says that a client_id is a varchar.
            found = await connection.fetch(
                "SELECT grant_type::text, client_id::text, client_secret::text, resource::text"  # noqa: S608 - quoted
                f" FROM {quoted} ORDER BY ctid"
            )
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError):
        raise Invalid(
            f"The PostgreSQL of Steelcut-OAuth at {urlsplit(one_by_one(url)[0]).hostname} does not answer."
        ) from None
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise Invalid("The PostgreSQL of Steelcut-OAuth refuses this role or its password.") from None
    except asyncpg.InvalidCatalogNameError:
        raise Invalid("There is no such database on the PostgreSQL of Steelcut-OAuth.") from None
    except asyncpg.InsufficientPrivilegeError:
        raise Invalid(f"This role may not read the table {table[:100]!a}: it needs SELECT.") from None
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError):
        raise Invalid(
            f"{table[:100]!a} is no table with the columns grant_type, client_id, client_secret and resource: name it "
            "with --table."
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise Invalid(f"The table of Steelcut-OAuth cannot be read ({type(error).__name__}).") from None
    return [Row(**row) for row in found]
