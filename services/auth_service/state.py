"""What lives as long as the process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from auth_service import queries
from auth_service.key_ring import KeyRing
from auth_service.master_key import MasterKey
from auth_service.registry import Registry
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.postgres import Database
from steelcut.service.refusal import Refusal

if TYPE_CHECKING:
    from auth_service.settings import AuthSettings
    from steelcut.service.logs import Logger


@dataclass(slots=True)
class Process:
    """One process of the authorization server. ``clock`` gives Unix time in seconds."""

    settings: AuthSettings
    log: Logger
    clock: Callable[[], float]
    database: Database
    registry: Registry
    key_ring: KeyRing
    scopes: tuple[str, ...] = ()

    async def refresh(self) -> None:
        """Read again what is published: the keys and the scopes."""
        async with self.database.connection() as connection:
            await self.key_ring.refresh(connection)
            self.scopes = await queries.scopes(connection)


@contextlib.asynccontextmanager
async def open_process(settings: AuthSettings, log: Logger) -> AsyncIterator[Process]:
    """Connect, unseal the keys and keep them fresh until the end. Raises ``Refusal``."""
    database = await Database.open(
        settings.database_url.get_secret_value(),
        application="auth service",
        pool_size=settings.database_pool_size,
        wait_seconds=settings.database_wait_seconds,
    )
    try:
        process = Process(
            settings=settings,
            log=log,
            clock=time.time,
            database=database,
            registry=Registry(
                database,
                max_age_seconds=settings.cache_max_age_seconds,
                size=settings.cache_size,
                monotonic=time.monotonic,
            ),
            key_ring=KeyRing(MasterKey.from_base64(settings.master_key.get_secret_value())),
        )
        await _first_refresh(process)
        keeper = asyncio.create_task(_keep_fresh(process))
        try:
            yield process
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
    finally:
        await database.close()


async def _first_refresh(process: Process) -> None:
    try:
        await process.refresh()
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        raise Refusal(
            "The auth database has not the schema of this version: run `steelcut db upgrade`."
        ) from None
    except asyncpg.InsufficientPrivilegeError:
        raise Refusal(
            "The run-time role may not read the auth database: run `steelcut db upgrade`."
        ) from None
    except TemporarilyUnavailable:
        raise Refusal("PostgreSQL went away during the start: start again when it is back.") from None
    if not process.key_ring.can_sign:
        process.log.warning("no signing key yet: run `steelcut keys create`")


async def _keep_fresh(process: Process) -> None:
    # At least a second apart, also where a cache age of 0 turns the caching of clients off.
    period = max(process.settings.cache_max_age_seconds, 1.0)
    while True:
        await asyncio.sleep(period)
        try:
            await process.refresh()
        except TemporarilyUnavailable as error:
            process.log.warning("keys not refreshed, the known ones stay", reason=error.reason)
        except (Refusal, asyncpg.PostgresError) as error:
            reason = str(error) if isinstance(error, Refusal) else type(error).__name__
            process.log.warning("keys not refreshed, the known ones stay", reason=reason)
