"""What lives as long as the process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
from limits import parse

from auth_service.audit import AuditTrail
from auth_service.imported_secrets import DECOYS, ImportedSecrets
from auth_service.key_ring import KeyRing
from auth_service.key_rotation import KeyRotation
from auth_service.limits.counters import Counters, steady_clock
from auth_service.limits.guesses import Guesses
from auth_service.limits.quotas import Quota
from auth_service.master_key import MasterKey
from auth_service.queries import token as queries
from auth_service.queries.clients import may_administer
from auth_service.registry import Registry
from auth_service.token_counts import TokenCounts
from auth_service.upkeep import keep_on
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.background import beside
from steelcut.service.database.listen import listening
from steelcut.service.database.postgres import Database
from steelcut.service.database.schema import expected_schema
from steelcut.service.refusal import Refusal

if TYPE_CHECKING:
    from auth_service.settings import AuthSettings
    from steelcut.service.telemetry.logs import Logger

# When the keys are read again that could not be read.
AGAIN_SECONDS = 5.0


@dataclass(slots=True)
class Process:
    """One process of the authorization server. ``clock`` gives Unix time in seconds."""

    settings: AuthSettings
    log: Logger
    clock: Callable[[], float]
    database: Database
    # As the administrator; None in a process that only serves tokens.
    admin_database: Database | None
    registry: Registry
    imported_secrets: ImportedSecrets
    master_key: MasterKey
    key_ring: KeyRing
    audit: AuditTrail
    tokens: TokenCounts
    # None where failures are not limited.
    guesses: Guesses | None = None
    # None where tokens are not counted.
    quota: Quota | None = None
    scopes: tuple[str, ...] = ()
    # Set when keys or resources were changed by somebody, and at every new connection that listens.
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def refresh(self) -> None:
        """Read again what is published: the keys and the scopes."""
        async with self.database.connection() as connection:
            self.scopes = await queries.scopes(connection)
            self.imported_secrets.use_decoys(await queries.imported_hashes(connection, DECOYS))
            # Last: it may complain of one key when it has taken the others.
            await self.key_ring.refresh(connection)


@contextlib.asynccontextmanager
async def open_process(settings: AuthSettings, log: Logger) -> AsyncIterator[Process]:
    """Connect, unseal the keys and keep them fresh until the end. Raises ``Refusal``."""
    async with contextlib.AsyncExitStack() as stack:
        database = await Database.open(
            settings.database_url.get_secret_value(),
            application="auth service",
            pool_size=settings.database_pool_size,
            wait_seconds=settings.database_wait_seconds,
        )
        stack.push_async_callback(database.close)
        admin_database = await _administration(settings)
        if admin_database is not None:
            stack.push_async_callback(admin_database.close)
            await _check_rights(admin_database)
        master_key = MasterKey.from_settings(settings)
        url = settings.limits_url
        clock = steady_clock()
        counters = Counters.by_url(url.get_secret_value() if url else None, clock, log)
        stack.push_async_callback(counters.close)
        process = Process(
            settings=settings,
            log=log,
            clock=time.time,
            database=database,
            admin_database=admin_database,
            registry=Registry(
                database,
                max_age_seconds=settings.cache_max_age_seconds,
                stale_seconds=settings.stale_seconds,
                size=settings.cache_size,
                monotonic=time.monotonic,
            ),
            imported_secrets=ImportedSecrets.by_settings(settings, time.monotonic),
            master_key=master_key,
            key_ring=KeyRing(master_key, settings.key_timing, time.monotonic),
            audit=AuditTrail(database, log),
            tokens=TokenCounts(by_client=settings.metrics_by_client),
            guesses=_guesses(settings, counters, clock),
            quota=_quota(settings, counters, clock),
        )
        await _first_refresh(process)
        with contextlib.closing(process.imported_secrets):
            async with (
                process.audit.writing(),
                beside(_keep_fresh(process)),
                _hearing_of_changes(process),
                _rotating_keys(process),
                _keeping_up(process),
            ):
                yield process


def _guesses(settings: AuthSettings, counters: Counters, clock: Callable[[], float]) -> Guesses | None:
    if not settings.failures_allowed:
        return None
    return Guesses(
        counters,
        allowed=settings.failures_allowed,
        window_seconds=settings.failures_window_seconds,
        longest_seconds=settings.failures_longest_wait_seconds,
        # The replicas count together by it, and have it in common.
        key=settings.master_key.get_secret_value().encode(),
        clock=clock,
    )


def _quota(settings: AuthSettings, counters: Counters, clock: Callable[[], float]) -> Quota | None:
    if settings.quota_tokens is None:
        return None
    return Quota(counters, parse(settings.quota_tokens), settings.quota_mode, clock)


async def _administration(settings: AuthSettings) -> Database | None:
    """Connect as the administrator, where this process was given the means to."""
    if settings.admin_database_url is None:
        return None
    return await Database.open(
        settings.admin_database_url.get_secret_value(),
        application="auth service (administration)",
        role="administrator",
        pool_size=settings.database_pool_size,
        wait_seconds=settings.database_wait_seconds,
    )


async def _check_rights(administration: Database) -> None:
    # Where the schema is not there, its own check says so.
    with contextlib.suppress(asyncpg.UndefinedTableError, TemporarilyUnavailable):
        async with administration.connection() as connection:
            if not await may_administer(connection):
                raise Refusal(
                    "The role of AUTH_ADMIN_DATABASE_URL may not administer: it must be the administrator's, to which "
                    "`steelcut db upgrade` gives its rights."
                )


def _rotating_keys(process: Process) -> contextlib.AbstractAsyncContextManager[None]:
    settings = process.settings
    if process.admin_database is None or settings.key_rotation_days is None:
        return contextlib.nullcontext()
    rotation = KeyRotation(
        process.admin_database,
        master_key=process.master_key,
        algorithm=settings.signing_algorithm,
        timing=settings.key_timing,
        every=timedelta(days=settings.key_rotation_days),
        log=process.log,
    )
    return beside(rotation.run())


def _keeping_up(process: Process) -> contextlib.AbstractAsyncContextManager[None]:
    if process.admin_database is None:
        return contextlib.nullcontext()
    months = process.settings.audit_months_kept
    return beside(keep_on(process.admin_database, audit_months_kept=months, log=process.log))


async def _first_refresh(process: Process) -> None:
    with expected_schema("auth"):
        await process.refresh()
    if not process.key_ring.can_sign:
        process.log.warning("no signing key yet: run `steelcut keys create`")


def _hearing_of_changes(process: Process) -> contextlib.AbstractAsyncContextManager[None]:
    def resources_changed(_: str) -> None:
        process.registry.forget_all()
        process.changed.set()

    def missed() -> None:
        process.registry.missed()
        process.changed.set()

    settings = process.settings
    return listening(
        (settings.listen_database_url or settings.database_url).get_secret_value(),
        {
            "steelcut_clients": process.registry.forget,
            "steelcut_resources": resources_changed,
            "steelcut_keys": lambda _: process.changed.set(),
        },
        missed=missed,
        log=process.log,
    )


async def _keep_fresh(process: Process) -> None:
    often = pause = process.settings.refresh_seconds
    while True:
        with contextlib.suppress(TimeoutError):
            # Also where a cache age of 0 turns the caching of clients off.
            await asyncio.wait_for(process.changed.wait(), pause)
        process.changed.clear()
        pause = often
        try:
            await process.refresh()
        except Refusal as refusal:
            process.log.warning("a key cannot be used", reason=str(refusal))
        except (TemporarilyUnavailable, asyncpg.PostgresError) as error:
            reason = error.reason if isinstance(error, TemporarilyUnavailable) else type(error).__name__
            process.log.warning("keys not refreshed, the known ones stay for a while", reason=reason)
            pause = min(often, AGAIN_SECONDS)
