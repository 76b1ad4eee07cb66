"""What lives as long as the process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import httpx

from resource_service import queries
from steelcut.errors import TemporarilyUnavailable
from steelcut.jwks import KeySource
from steelcut.service.postgres import Database
from steelcut.service.refusal import Refusal
from steelcut.verifier import Verifier

if TYPE_CHECKING:
    from resource_service.settings import ResourceSettings
    from steelcut.service.logs import Logger

# httpx takes a proxy from the environment; what is on this machine is never behind one.
_NO_PROXY: dict[str, httpx.AsyncBaseTransport | None] = {"all://127.0.0.1": None, "all://localhost": None}


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the resource server."""

    settings: ResourceSettings
    database: Database
    keys: KeySource
    verifier: Verifier


@contextlib.asynccontextmanager
async def open_process(settings: ResourceSettings, log: Logger) -> AsyncIterator[Process]:
    """Connect to the database and start to fetch the issuer's keys. Raises ``Refusal``.

    The issuer need not be there yet: until its keys are known every token is answered with 503.
    """
    database = await Database.open(
        settings.database_url.get_secret_value(),
        application="resource service",
        pool_size=settings.database_pool_size,
        wait_seconds=settings.database_wait_seconds,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await _check_schema(database)
        client = await stack.enter_async_context(httpx.AsyncClient(mounts=_NO_PROXY))
        keys = KeySource(
            client,
            issuer=settings.issuer,
            jwks_uri=settings.jwks_uri,
            unknown_kid_cooldown_seconds=settings.jwks_cooldown_seconds,
            clock=time.monotonic,
            report=lambda reason: log.warning("the issuer's keys were not fetched", reason=reason),
        )
        stack.push_async_callback(keys.aclose)
        verifier = Verifier(
            keys, issuer=settings.issuer, leeway_seconds=settings.leeway_seconds, clock=time.time
        )
        await keys.ready()
        yield Process(settings, database, keys, verifier)


async def _check_schema(database: Database) -> None:
    try:
        async with database.connection() as connection:
            await queries.resource_exists(connection, "")
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        raise Refusal(
            "The resource database has not the schema of this version: run `steelcut db upgrade`."
        ) from None
    except asyncpg.InsufficientPrivilegeError:
        raise Refusal(
            "The run-time role may not read the resource database: run `steelcut db upgrade`."
        ) from None
    except TemporarilyUnavailable:
        raise Refusal("PostgreSQL went away during the start: start again when it is back.") from None
