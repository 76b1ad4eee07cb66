"""One connection for administration, apart from the migrations: a command that makes none need not import Alembic."""

from __future__ import annotations

import re
import socket
import ssl
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from steelcut.service.database.hosts import connect_to_one
from steelcut.service.database_urls import one_by_one
from steelcut.service.refusal import Refusal

CONNECT_SECONDS = 5.0
DEFAULT_PORT = 5432


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
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError) as error:
        raise Refusal(
            explain(error, url, "the database URL")
            or f"PostgreSQL does not answer at {places(url)}: check the host and port in the database URL."
        ) from None
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise Refusal(f"PostgreSQL refuses the role {role_name(url)} or its password.") from None
    except asyncpg.InvalidCatalogNameError:
        raise Refusal(
            f"The database {database_of(url)} does not exist: create it, or set the bootstrap database URL."
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise Refusal(
            explain(error, url, "the database URL")
            or f"The database URL cannot be used ({type(error).__name__})."
        ) from None


def explain(error: Exception, url: str, what: str) -> str | None:
    """Return what is wrong in ``url``, which a sentence calls ``what``; None where the error does not tell."""
    if isinstance(error, socket.gaierror):
        return f"The host in {what} is not found: {places(url)}."
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", None) or error.reason or type(error).__name__
        return (
            f"TLS with PostgreSQL at {places(url)} fails ({reason}): look at the host, at sslrootcert, sslcert and"
            f" sslkey in {what}."
        )
    # So asyncpg says it, by no type of its own.
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return f"PostgreSQL at {places(url)} speaks no TLS, which sslmode in {what} asks for."
    if isinstance(error, asyncpg.ClientConfigurationError) and "root certificate" in str(error):
        return f"Set sslrootcert in {what}: without a file of authorities sslmode can verify nothing."
    if isinstance(error, asyncpg.UndefinedObjectError | asyncpg.CantChangeRuntimeParamError):
        # Its message is in the server's language; the name is between quotes in most of them.
        named = re.search(r'["«„“](?P<name>\w+)["»“”]', str(error))
        parameter = f"parameter {named['name']}" if named else "parameter behind the ?"
        return f"PostgreSQL at {places(url)} does not take the {parameter} of {what}: leave it out."
    return None


def places(url: str) -> str:
    """Return the hosts and ports in a database URL, to be shown."""
    return ", ".join(map(_place, one_by_one(url)))


def _place(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["this machine"])[-1]
    return f"{unquote(host)}:{parts.port or DEFAULT_PORT}"


def role_name(url: str) -> str:
    """Return the user name in a database URL, to be shown."""
    return unquote(urlsplit(one_by_one(url)[0]).username or "(none)")
