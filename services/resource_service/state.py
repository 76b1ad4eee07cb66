"""What lives as long as the process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import asyncpg

from resource_service import queries
from resource_service.document_cache import DocumentCache
from resource_service.timed_verifier import TimedVerifier
from steelcut.errors import TemporarilyUnavailable
from steelcut.exchange import ClientError
from steelcut.guard import Guard
from steelcut.jwks import KeySource
from steelcut.service.database.listen import listening
from steelcut.service.database.postgres import Database
from steelcut.service.database.schema import expected_schema
from steelcut.service.refusal import Refusal
from steelcut.trust import TrustedIssuer

if TYPE_CHECKING:
    from resource_service.settings import ResourceSettings
    from steelcut.service.telemetry.logs import Logger

# How many documents one process receives at once; beyond that PUT is answered with 503.
MAX_UPLOADS: Final = 64
# How many guards are kept, each some hundred bytes.
MAX_GUARDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the resource server."""

    settings: ResourceSettings
    database: Database
    documents: DocumentCache
    # As the publisher; None in a process that only serves documents.
    publisher: Database | None
    keys: KeySource
    verifier: TimedVerifier
    # By the name of a resource.
    guard: Callable[[str], Guard]
    # Each document on its way is in memory until it is stored.
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_UPLOADS))


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
        publisher = await _publisher(settings)
        if publisher is not None:
            stack.push_async_callback(publisher.close)
            await _check_rights(publisher)
        try:
            keys = KeySource(
                settings.issuer,
                jwks_uri=settings.jwks_uri,
                unknown_kid_cooldown_seconds=settings.jwks_cooldown_seconds,
                clock=time.monotonic,
                report=lambda reason: log.warning("the issuer's keys were not fetched", reason=reason),
            )
        except ClientError as error:
            # The authorities that TLS trusts cannot be read.
            raise Refusal(str(error)) from None
        verifier = TimedVerifier(
            TrustedIssuer(settings.issuer, keys=keys),
            audience=None,  # each document is a resource of its own
            leeway_seconds=settings.leeway_seconds,
            clock=time.time,
        )
        cache = DocumentCache(
            database,
            max_bytes=settings.cache_bytes,
            max_age_seconds=settings.cache_max_age_seconds,
            stale_seconds=settings.stale_seconds,
            monotonic=time.monotonic,
        )
        await keys.ready_async()
        async with _hearing_of_changes(settings, cache, log):
            yield Process(settings, database, cache, publisher, keys, verifier, _guards(settings, verifier))


def _hearing_of_changes(
    settings: ResourceSettings, cache: DocumentCache, log: Logger
) -> contextlib.AbstractAsyncContextManager[None]:
    def changed(path: str) -> None:
        resource, _, key = path.partition("/")
        cache.forget(resource, key)

    return listening(
        (settings.listen_database_url or settings.database_url).get_secret_value(),
        {"steelcut_documents": changed},
        missed=cache.missed,
        log=log,
    )


def _guards(settings: ResourceSettings, verifier: TimedVerifier) -> Callable[[str], Guard]:
    """Return what gives the guard of a resource; those in use are at hand, though any name may be asked for."""

    @lru_cache(MAX_GUARDS)
    def guard(resource: str) -> Guard:
        return Guard(verifier=verifier, audience=settings.identifier(resource))

    return guard


async def _publisher(settings: ResourceSettings) -> Database | None:
    """Connect as the publisher, where this process was given the means to."""
    if settings.publisher_database_url is None:
        return None
    return await Database.open(
        settings.publisher_database_url.get_secret_value(),
        application="resource service (publishing)",
        role="publisher",
        pool_size=settings.database_pool_size,
        wait_seconds=settings.database_wait_seconds,
    )


async def _check_rights(publisher: Database) -> None:
    try:
        async with publisher.connection() as connection:
            may_publish = await queries.may_publish(connection)
    except (asyncpg.UndefinedTableError, TemporarilyUnavailable):
        may_publish = False
    if not may_publish:
        raise Refusal(
            "The publisher role may not write documents: run `steelcut db upgrade`, which gives it its rights."
        )


async def _check_schema(database: Database) -> None:
    with expected_schema("resource"):
        async with database.connection() as connection:
            await queries.resource_exists(connection, "")
