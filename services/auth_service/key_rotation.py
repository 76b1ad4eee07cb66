"""Rotation without anybody's help: the replicas that may administer take the steps that are due.

Each of them asks the database now and then; whoever has the lock takes the step, so it is taken once. What is due is
decided from the rows alone: nothing is remembered here, and a replica that is killed in the middle has done nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from auth_service.administration.actor import Actor
from auth_service.administration.errors import AdministrationError
from auth_service.administration.keys import rotate_keys
from steelcut.errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from auth_service.administration.keys import Rotation
    from auth_service.key_life import KeyTiming
    from auth_service.master_key import MasterKey
    from auth_service.signing_keys import SigningAlgorithm
    from steelcut.service.database.postgres import Database
    from steelcut.service.telemetry.logs import Logger

# An operator, or another replica, may have changed the plan meanwhile.
LONGEST_WAIT_SECONDS = 60.0
# Several replicas that wait for the same moment come one after the other.
SHORTEST_WAIT_SECONDS = 1.0


class KeyRotation:
    """Lets each key sign for ``every``; ``database`` is reached as the administrator."""

    def __init__(
        self,
        database: Database,
        *,
        master_key: MasterKey,
        algorithm: SigningAlgorithm,
        timing: KeyTiming,
        every: timedelta,
        log: Logger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Do nothing yet; ``sleep`` takes seconds."""
        self._database = database
        self._master_key = master_key
        self._algorithm = algorithm
        self._timing = timing
        self._every = every
        self._log = log
        self._sleep = sleep
        self._actor = Actor(f"rotation:{socket.gethostname()}")

    async def run(self) -> None:
        """Take step after step until cancelled, whatever the database does."""
        while True:
            try:
                wait = await self.step()
            except AdministrationError as refusal:
                self._log.error("keys are not rotated", reason=str(refusal))
                wait = LONGEST_WAIT_SECONDS
            except TemporarilyUnavailable as error:
                self._log.warning("keys are not rotated, tried again soon", reason=error.reason)
                wait = LONGEST_WAIT_SECONDS
            except asyncpg.PostgresError as error:
                self._log.error("keys are not rotated", reason=type(error).__name__)
                wait = LONGEST_WAIT_SECONDS
            await self._sleep(wait)

    async def step(self) -> float:
        """Do what is due, unless another replica is at it; return in how many seconds to ask again."""
        async with self._database.connection() as connection:
            rotation = await rotate_keys(
                connection,
                self._actor,
                self._master_key,
                self._algorithm,
                self._timing,
                every=self._every,
                unattended=True,
            )
        if rotation is None:
            return SHORTEST_WAIT_SECONDS
        for step in rotation.done:
            self._log.info("signing key rotation", action=step.action, kid=step.kid)
        return _seconds_until_next(rotation)


def _seconds_until_next(rotation: Rotation) -> float:
    if not rotation.coming:
        return LONGEST_WAIT_SECONDS
    wait = (rotation.coming[0].at - rotation.at).total_seconds()
    return min(max(wait, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
