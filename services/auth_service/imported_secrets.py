"""Secrets that came with a client from another server: their slow hashes, verified off the event loop.

A slow hash costs up to seconds of a core, and anybody may send a wrong secret. So few are computed at once, few wait,
and what was right once is remembered: from its second request on a client with an imported secret costs what any
other does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from cachetools import TTLCache

from auth_service import foreign_hashes
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.telemetry.counting import Durations

if TYPE_CHECKING:
    from auth_service.settings import AuthSettings

# How many hashes stand in for those of clients that have none: some, as one might be dearer than most.
DECOYS = 16
_NICENESS = 5


class ImportedSecrets:
    """Verifies imported secrets in a few threads, and remembers those that were right.

    What is remembered is a digest of client, secret and stored hash under a key that only this process has and
    never shows: a secret that is replaced, expired or revoked is forgotten by that alone.
    """

    def __init__(
        self,
        *,
        threads: int,
        waiting: int,
        remembered: int,
        remembered_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        """Compute in ``threads``, let ``waiting`` more wait, and remember at most ``remembered`` for their time."""
        self._pool = ThreadPoolExecutor(threads, "slow-hash", _step_back)
        self._places = threads + waiting
        self._in_flight: dict[bytes, asyncio.Future[bool]] = {}
        self._remembered: TTLCache[bytes, None] = TTLCache(remembered, remembered_seconds, timer=monotonic)
        self._key = secrets.token_bytes(32)
        self._decoys: Sequence[str] = ()
        # Of each slow hash, waiting for a thread included.
        self.hash_seconds = Durations()

    @property
    def in_flight(self) -> int:
        """How many are computed or wait."""
        return len(self._in_flight)

    @property
    def most_in_flight(self) -> int:
        """How many may be computed or wait."""
        return self._places

    @classmethod
    def by_settings(cls, settings: AuthSettings, monotonic: Callable[[], float]) -> ImportedSecrets:
        """Take every number from ``settings``."""
        return cls(
            threads=settings.imported_secret_threads,
            waiting=settings.imported_secret_waiting,
            remembered=settings.cache_size,
            remembered_seconds=settings.imported_secret_remembered_seconds,
            monotonic=monotonic,
        )

    def remembers(self, client_id: str, unverified_secret: str, stored_hash: str) -> bool:
        """Tell whether exactly this was verified before: no await, no slow hash."""
        return self._recall(self._digest(client_id, unverified_secret, stored_hash))

    async def verify(self, client_id: str, unverified_secret: str, stored_hash: str) -> bool:
        """Compare a presented secret with a stored hash.

        However many requests ask the same at once, one hash is computed. Raises ``TemporarilyUnavailable`` when too
        many others wait already, or the machine cannot do it now.
        """
        digest = self._digest(client_id, unverified_secret, stored_hash)
        if self._recall(digest):
            return True
        answer = self._in_flight.get(digest)
        if answer is None:
            if len(self._in_flight) >= self._places:
                raise TemporarilyUnavailable("too many imported secrets wait to be verified")
            loop = asyncio.get_running_loop()
            answer = loop.run_in_executor(self._pool, foreign_hashes.verify, unverified_secret, stored_hash)
            self._in_flight[digest] = answer
            answer.add_done_callback(partial(self._answered, digest, time.perf_counter()))
        try:
            # Shielded: a caller who hangs up takes the answer from nobody else.
            return await asyncio.shield(answer)
        except Exception as error:  # noqa: BLE001 - it runs other people's C
            # argon2 without memory, for one. Its message could hold anything.
            raise TemporarilyUnavailable(
                f"an imported secret could not be verified: {type(error).__name__}"
            ) from None

    def use_decoys(self, hashes: Sequence[str]) -> None:
        """Take some imported hashes that exist; ``decoy_for`` chooses among them."""
        self._decoys = hashes

    def decoy_for(self, client_id: str) -> str | None:
        """Return a hash to verify in vain where the client has no imported secret, None when nobody has one.

        Always the same for one id, so that asking twice tells no more than asking once.
        """
        if not self._decoys:
            return None
        number = int.from_bytes(hmac.digest(self._key, client_id.encode(), "sha256")[:8], "big")
        return self._decoys[number % len(self._decoys)]

    def close(self) -> None:
        """Drop what waits. What is being computed ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _digest(self, client_id: str, unverified_secret: str, stored_hash: str) -> bytes:
        # None of the three can hold a NUL.
        return hmac.digest(self._key, f"{client_id}\0{unverified_secret}\0{stored_hash}".encode(), "sha256")

    def _recall(self, digest: bytes) -> bool:
        if digest not in self._remembered:
            return False
        # Its time begins anew: a client that comes regularly never waits again.
        self._remembered[digest] = None
        return True

    def _answered(self, digest: bytes, began: float, answer: asyncio.Future[bool]) -> None:
        self.hash_seconds.add(time.perf_counter() - began)
        del self._in_flight[digest]
        if not answer.cancelled() and answer.exception() is None and answer.result():
            self._remembered[digest] = None


def _step_back() -> None:
    """Let the event loop go first where both want the same core; on Linux a thread has a niceness of its own."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
