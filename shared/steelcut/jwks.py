"""An issuer's public keys, kept at hand: fetched over HTTP, cached, and never lost to a bad answer.

The protected request must not wait for the issuer: a key that is known is used, refreshed in the background
before its time is over (RFC 9111 §5.2.2.1), and kept when the refresh fails.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from steelcut import discovery
from steelcut.errors import TemporarilyUnavailable
from steelcut.exchange import ClientError, Exchange, UnexpectedAnswer
from steelcut.flight import Flight, FlightLock
from steelcut.jose import Malformed
from steelcut.jwk import VerificationKey, read_key_set
from steelcut.metadata import SHORTEST_SECONDS, issuer_metadata, jwks_uri_of
from steelcut.steps import Steps, Wait, run, run_async

# How long an answer counts when it does not say, and the bounds of what it may say.
DEFAULT_MAX_AGE_SECONDS: Final = 300
MIN_MAX_AGE_SECONDS: Final = 1
MAX_MAX_AGE_SECONDS: Final = 3600
# What an answer counts that asks not to be cached at all: a fetch per request is not to be had.
UNCACHEABLE_SECONDS: Final = 30
# From this part of the max age on, a request that needs a key starts a refresh and does not wait for it.
EARLY_REFRESH: Final = 0.8
# One fetch, discovery included, may take so long; a request that needs it waits for less.
FETCH_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 1.0
# A fetch that has not ended by now, whatever keeps it, is given up for a new one.
LOST_SECONDS: Final = 4 * FETCH_SECONDS
# After a failed fetch; the issuer being down must not mean a fetch per request.
FAILURE_COOLDOWN_SECONDS: Final = 2.0

_MAX_AGE: Final = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?(\d{1,10})', re.IGNORECASE)
_NOT_STORED: Final = re.compile(r"(?:^|,)\s*no-(?:store|cache)\b", re.IGNORECASE)


class KeysUnavailable(TemporarilyUnavailable):
    """No key of the issuer is known, so no token can be judged: refuse for now (RFC 6750 has no such error)."""


@dataclass(slots=True, eq=False)
class _Fetch:
    """A fetch, and the name of the key for whose sake it was started, if it was for one."""

    started: float
    kid: str | None
    flight: Flight[None] | None = None
    landed: bool = False

    def in_the_air(self, now: float) -> bool:
        return (
            not self.landed
            and now < self.started + LOST_SECONDS
            and self.flight is not None
            and self.flight.in_the_air()
        )


class KeySource:
    """The public keys of one issuer, for all threads and event loops of the process; needs no closing.

    ``known`` holds the keys by ``kid``. It is never changed but replaced, when the issuer's keys have become others:
    what was derived from it, a cache of verified tokens for one, is good for as long as ``known`` is the same object.
    """

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str | None = None,
        exchange: Exchange | None = None,
        unknown_kid_cooldown_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Keep the keys of ``issuer``, reached by ``exchange``; nothing is fetched before the first question.

        Without ``jwks_uri`` the issuer's metadata is asked for it (RFC 8414, or else its OpenID configuration); a given
        one is taken as it is. ``clock`` is monotonic, in seconds. ``report`` is told why a fetch failed, in one short
        line, from whatever thread fetched; without it the logger ``steelcut`` is.
        Raises ``ValueError`` when ``issuer`` cannot name an issuer.
        """
        self.known: Mapping[str, VerificationKey] = {}
        self._issuer = discovery.check_issuer(issuer)
        self._jwks_uri = jwks_uri
        self._exchange = exchange or Exchange()
        self._exchange.prepare()
        self._cooldown = unknown_kid_cooldown_seconds
        self._clock = clock
        self._report = report or self._log
        self._failure = "never fetched"
        self._fetched_at: float | None = None
        # How often a fetch brought nothing.
        self.failed_fetches: int = 0
        self._refresh_at = self._fresh_until = self._retry_at = self._unknown_kid_at = float("-inf")
        self._fetch: _Fetch | None = None
        self._lock = FlightLock()

    def key(self, kid: str) -> VerificationKey | None:
        """Return the key that the issuer calls ``kid``, or None when it has no such key.

        An unknown ``kid`` causes one fetch, and then none for the cool-down: a flood of invented ones costs
        the issuer nothing. While keys are fetched anyway, it waits for that fetch and causes one more if need be.
        Raises ``KeysUnavailable`` when no key is known at all.
        """
        run(self.steps(kid))
        return self.known.get(kid)

    async def key_async(self, kid: str) -> VerificationKey | None:
        """Return what ``key`` returns, on asyncio or trio."""
        await run_async(self.steps(kid))
        return self.known.get(kid)

    def ready(self) -> bool:
        """Say whether a key is known, after trying (briefly) to get one when there is none."""
        run(self.steps(None))
        return bool(self.known)

    async def ready_async(self) -> bool:
        """Say what ``ready`` says, on asyncio or trio."""
        await run_async(self.steps(None))
        return bool(self.known)

    def age(self) -> float | None:
        """Return how long ago the keys were fetched, in seconds; None when they never were."""
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    def is_due(self) -> bool:
        """Say whether ``steps`` have anything to do for known keys; cheap enough to ask at every request."""
        return self._clock() >= self._refresh_at

    def steps(self, kid: str | None) -> Steps[None]:
        """Bring ``known`` up to date, so that the key called ``kid`` is in it if the issuer has it.

        For ``steelcut.steps.run`` and ``run_async``, or a ``yield from`` in other steps. A refresh is started when the
        keys are old, and waited for (briefly) only when they are too old. A failed one changes nothing but the moment
        of the next one. Raises ``KeysUnavailable`` when ``kid`` is asked for and no key is known at all.
        """
        came_at = self._clock()
        fetch = yield from self._refresh(kid, came_at)
        if kid is None:
            return
        # What was in the air before may bring what the issuer had before the key: then one more is needed.
        while kid not in self.known and (fetch is None or (fetch.landed and fetch.started < came_at)):
            fetch = self._join(kid, self._may_be_asked_for)
            if fetch is None:
                break
            yield from self._landing(fetch, came_at)
        if not self.known:
            raise KeysUnavailable(f"no key of the issuer is known: {self._failure}")

    def _refresh(self, kid: str | None, came_at: float) -> Steps[_Fetch | None]:
        """Fetch what is due, and return the fetch that had to be waited for."""
        if came_at < self._refresh_at:
            return None
        if came_at < self._fresh_until:
            self._join(None, self._is_old)
            return None
        fetch = self._join(kid, self._is_old)
        if fetch is not None:
            yield from self._landing(fetch, came_at)
        return fetch

    def _landing(self, fetch: _Fetch, came_at: float) -> Steps[None]:
        """Wait: not beyond ``WAIT_SECONDS`` from the start of the fetch, which goes on alone, nor from ``came_at``."""
        patience = min(fetch.started, came_at) + WAIT_SECONDS - self._clock()
        if fetch.flight is not None and patience > 0:
            yield Wait(fetch.flight, patience)

    def _is_old(self, _kid: str | None, now: float) -> bool:
        return now >= self._refresh_at

    def _may_be_asked_for(self, kid: str | None, now: float) -> bool:
        return kid not in self.known and now >= self._unknown_kid_at and now >= self._retry_at

    def _join(self, kid: str | None, is_needed: Callable[[str | None, float], bool]) -> _Fetch | None:
        """Return the fetch in the air, or else one that is started for the sake of ``kid`` if it ``is_needed``."""
        with self._lock():
            now = self._clock()
            fetch = self._fetch
            if fetch is None or not fetch.in_the_air(now):
                # Asked under the lock: the fetch that made it needless may have landed a moment ago.
                if not is_needed(kid, now):
                    return None
                fetch = self._fetch = _Fetch(now, kid)
                fetch.flight = Flight(partial(self._fly, fetch), name="steelcut-keys")
            return fetch

    def _fly(self, fetch: _Fetch) -> None:
        try:
            keys, seconds = self._get()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the keys that are known stay good
            # The text of other errors may hold what the other side sent.
            failure = str(fault) if isinstance(fault, Malformed | ClientError) else type(fault).__name__
            self._land(fetch, None, 0.0, failure)
            self._report(failure)
        else:
            self._land(fetch, keys, seconds, "")

    def _land(
        self, fetch: _Fetch, keys: Mapping[str, VerificationKey] | None, seconds: float, failure: str
    ) -> None:
        """Put in force what a fetch brought, all at once: whoever comes next starts another or does not."""
        with self._lock():
            fetch.landed = True
            if self._fetch is not fetch:  # given up, and overtaken
                return
            now = self._clock()
            if keys is None:
                self._failure = failure
                self.failed_fetches += 1
                self._retry_at = self._refresh_at = now + FAILURE_COOLDOWN_SECONDS
            else:
                if keys != self.known:
                    self.known = keys
                self._fetched_at = now
                self._fresh_until = now + seconds
                self._refresh_at = now + seconds * EARLY_REFRESH
            # By the fetch alone, who is refused later must not push the moment further away; and only by its own name:
            # those who joined it may have a key that the issuer got after it had answered.
            if fetch.kid is not None and fetch.kid not in self.known:
                self._unknown_kid_at = now + self._cooldown

    def _get(self) -> tuple[Mapping[str, VerificationKey], float]:
        """Return the issuer's keys, and for how many seconds they are fresh."""
        deadline = time.monotonic() + FETCH_SECONDS
        # Asked for anew each time, since it may move (RFC 8414 §3).
        uri = self._jwks_uri or jwks_uri_of(
            issuer_metadata(self._exchange, self._issuer, timeout=FETCH_SECONDS)
        )
        answer = self._exchange.send("GET", uri, timeout=max(deadline - time.monotonic(), SHORTEST_SECONDS))
        if answer.status != 200:
            raise UnexpectedAnswer(f"{uri} gave no keys (status {answer.status}).")
        try:
            return read_key_set(answer.body), max_age(answer.headers)
        except Malformed as fault:
            raise UnexpectedAnswer(f"{uri} gave no keys: {fault}.") from None

    def _log(self, failure: str) -> None:
        logging.getLogger("steelcut").warning(
            "The keys of %s were not fetched: %s", self._issuer, failure.rstrip(".")
        )


def max_age(headers: Mapping[str, str]) -> float:
    """Return for how many seconds an answer is fresh (RFC 9111 §4.2), within our own bounds.

    The names of ``headers`` are in lower case.
    """
    cache_control = headers.get("cache-control", "")
    if _NOT_STORED.search(cache_control):
        return UNCACHEABLE_SECONDS
    stated = _MAX_AGE.search(cache_control)
    seconds = int(stated[1]) if stated else DEFAULT_MAX_AGE_SECONDS
    age = headers.get("age", "")
    if age.isascii() and age.isdigit():
        seconds -= int(age[:10])
    return min(max(seconds, MIN_MAX_AGE_SECONDS), MAX_MAX_AGE_SECONDS)
