"""What has to be done now and then in the auth database: the months of the audit log, and answers kept for repeats.

Done by the processes that have the administrator's role; at the database it is done by one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from auth_service.queries import audit, idempotency
from steelcut.errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection, Database
    from steelcut.service.telemetry.logs import Logger

EVERY_SECONDS = 3600.0
# Months are made and dropped under locks that are not waited for long; the work itself may take a while.
MAINTAIN_SECONDS = 60.0


async def keep_up(connection: Connection, audit_months_kept: int) -> Sequence[str]:
    """Do it once; return which audit events were dropped, in words."""
    dropped = await audit.maintain(connection, audit_months_kept, MAINTAIN_SECONDS)
    await idempotency.forget_answers(connection, idempotency.KEPT_SECONDS)
    return dropped


async def keep_on(database: Database, *, audit_months_kept: int, log: Logger) -> None:
    """Do it at once and every hour until cancelled; ``database`` is reached as the administrator."""
    while True:
        try:
            async with database.connection() as connection:
                dropped = await keep_up(connection, audit_months_kept)
        except TemporarilyUnavailable as error:
            log.warning("upkeep of the database put off for an hour", reason=error.reason)
        except asyncpg.PostgresError as error:
            log.warning("upkeep of the database put off for an hour", reason=type(error).__name__)
        else:
            for events in dropped:
                log.info("audit events dropped", events=events, kept_months=audit_months_kept)
        await asyncio.sleep(EVERY_SECONDS)
