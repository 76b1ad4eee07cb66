"""One connection for administration, apart from the migrations: a command that makes none need not import Alembic."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import asyncpg

from steelcut.service.database.hosts import connect_to_one
from steelcut.service.database_urls import one_by_one
from steelcut.service.refusal import Refusal

CONNECT_SECONDS = 5.0


def database_of(url: str) -> str:
    """Return the database name in a database URL."""
    return unquote(urlsplit(one_by_one(url)[0]).path.lstrip("/"))


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """Connect for administration. Raises ``Refusal`` with a sentence and without the password."""
    try:
        return await connect_to_one(url, timeout=CONNECT_SECONDS)
    except asyncpg.TargetServerAttributeNotMatched:
        raise Refusal(
            "No host in the database URL is what its target_session_attrs asks for: name the primary too."
        ) from None
    except asyncpg.CannotConnectNowError:
        raise Refusal("PostgreSQL is starting, stopping or recovering: try again in a moment.") from None
    except asyncpg.TooManyConnectionsError:
        raise Refusal(
            f"PostgreSQL has no connection left for the role {role_name(url)}:"
            " close some, or raise max_connections or the CONNECTION LIMIT of the role or database."
        ) from None
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError):
        raise Refusal("PostgreSQL does not answer: check the host and port in the database URL.") from None
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise Refusal(f"PostgreSQL refuses the role {role_name(url)} or its password.") from None
    except asyncpg.InvalidCatalogNameError:
        raise Refusal(
            f"The database {database_of(url)} does not exist: create it, or set the bootstrap database URL."
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise Refusal(f"The database URL cannot be used ({type(error).__name__}).") from None


def role_name(url: str) -> str:
    """Return the user name in a database URL, to be shown."""
    return unquote(urlsplit(one_by_one(url)[0]).username or "(none)")
