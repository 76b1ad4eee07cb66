"""An issuer's public keys, kept at hand: fetched over HTTP, cached, and never lost to a bad answer.

The protected request must not wait for the issuer: a key that is known is used, refreshed in the background
before its time is over (RFC 9111 §5.2.2.1), and kept when the refresh fails.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import httpx

from steelcut import discovery
from steelcut.errors import TemporarilyUnavailable
from steelcut.jose import Malformed, read_object
from steelcut.jwk import VerificationKey, read_key_set

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RESPONSE_BYTES: Final = 256 * 1024
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
# After a failed fetch; the issuer being down must not mean a fetch per request.
FAILURE_COOLDOWN_SECONDS: Final = 2.0

_MAX_AGE: Final = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?(\d{1,10})', re.IGNORECASE)
_NOT_STORED: Final = re.compile(r"(?:^|,)\s*no-(?:store|cache)\b", re.IGNORECASE)
# Compressed, a small answer could unfold into a large one.
_REQUEST_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


class KeysUnavailable(TemporarilyUnavailable):
    """No key of the issuer is known, so no token can be judged: refuse for now (RFC 6750 has no such error)."""


class KeySource:
    """The public keys of one issuer, for one event loop.

    ``generation`` grows whenever the set of keys becomes another; what was derived from the keys before, a
    cache of verified tokens for one, is to be thrown away then.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        issuer: str,
        jwks_uri: str | None = None,
        unknown_kid_cooldown_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Keep the keys of ``issuer``, over ``client``; nothing is fetched before the first question.

        Without ``jwks_uri`` the issuer's metadata (RFC 8414) is asked for it; a given one is taken as it is.
        ``clock`` is monotonic, in seconds. ``report`` is told why a fetch failed, in one short line.
        Raises ``ValueError`` when ``issuer`` cannot name an issuer.
        """
        self.generation = 0
        self._client = client
        self._issuer = discovery.check_issuer(issuer)
        self._jwks_uri = jwks_uri
        self._cooldown = unknown_kid_cooldown_seconds
        self._clock = clock
        self._report = report
        self._keys: Mapping[str, VerificationKey] = {}
        self._failure = "never fetched"
        self._refresh_at = self._fresh_until = self._retry_at = self._unknown_kid_at = float("-inf")
        self._flight: asyncio.Task[None] | None = None
        self._flight_started = 0.0

    async def key(self, kid: str) -> VerificationKey | None:
        """Return the key that the issuer calls ``kid``, or None when it has no such key.

        An unknown ``kid`` causes one fetch, and then none for the cool-down: a flood of invented ones costs
        the issuer nothing. Raises ``KeysUnavailable`` when no key is known at all.
        """
        fetched = await self._bring_up_to_date(kid)
        key = self._keys.get(kid)
        if key is None and not fetched and self._may_ask_for_unknown():
            await self._fetched(kid)
            fetched = True
            key = self._keys.get(kid)
        if key is None and fetched:
            # By those who waited for a fetch only: refused ones must not push the moment further away.
            self._cool_down()
        if not self._keys:
            raise KeysUnavailable(f"no key of the issuer is known: {self._failure}")
        return key

    def is_due(self) -> bool:
        """Say whether ``refresh_if_due`` has anything to do; cheap enough to ask at every request."""
        return self._clock() >= self._refresh_at

    async def refresh_if_due(self) -> bool:
        """Start a refresh when the keys are old, and wait for it (briefly) only when they are too old.

        Returns whether it waited. A failed refresh changes nothing but the moment of the next one.
        """
        return await self._bring_up_to_date(None)

    async def ready(self) -> bool:
        """Say whether a key is known, after trying to get one when there is none."""
        await self.refresh_if_due()
        return bool(self._keys)

    async def aclose(self) -> None:
        """Give up the fetch in flight, if there is one."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait({self._flight})

    async def _bring_up_to_date(self, kid: str | None) -> bool:
        now = self._clock()
        if now < self._refresh_at:
            return False
        if now < self._fresh_until:
            self._start(now, None)
            return False
        await self._fetched(kid)
        return True

    def _may_ask_for_unknown(self) -> bool:
        now = self._clock()
        return self._in_flight() or (now >= self._unknown_kid_at and now >= self._retry_at)

    def _cool_down(self) -> None:
        self._unknown_kid_at = self._clock() + self._cooldown

    def _in_flight(self) -> bool:
        return self._flight is not None and not self._flight.done()

    def _start(self, now: float, kid: str | None) -> None:
        """Start a fetch on behalf of who asked for ``kid``, unless one is in flight."""
        if not self._in_flight():
            self._flight_started = now
            self._flight = asyncio.get_running_loop().create_task(self._fetch(kid))

    async def _fetched(self, kid: str | None) -> None:
        """Wait for the fetch in flight, but no longer than ``WAIT_SECONDS`` from its start.

        The fetch goes on when those who wait are cancelled or give up.
        """
        now = self._clock()
        self._start(now, kid)
        patience = self._flight_started + WAIT_SECONDS - now
        if self._flight is not None and patience > 0:
            await asyncio.wait({self._flight}, timeout=patience)

    async def _fetch(self, kid: str | None) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                uri = self._jwks_uri or await self._discover()
                body, max_age = await self._get(uri)
            keys = read_key_set(body)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the keys that are known stay good
            self._failed(fault)
        else:
            self._succeeded(keys, max_age)
            if kid is not None and kid not in keys:
                # At once, before those who waited go on: between the two another unknown one may come.
                self._cool_down()

    def _succeeded(self, keys: Mapping[str, VerificationKey], max_age: float) -> None:
        now = self._clock()
        self._fresh_until = now + max_age
        self._refresh_at = now + max_age * EARLY_REFRESH
        if keys != self._keys:
            self._keys = keys
            self.generation += 1

    def _failed(self, fault: Exception) -> None:
        self._retry_at = self._refresh_at = self._clock() + FAILURE_COOLDOWN_SECONDS
        # The text of httpx's own errors may hold what the other side sent.
        self._failure = str(fault) if isinstance(fault, Malformed) else type(fault).__name__
        if self._report is not None:
            self._report(self._failure)

    async def _discover(self) -> str:
        """Return the issuer's ``jwks_uri``, asked for anew each time since it may move (RFC 8414 §3)."""
        body, _ = await self._get(discovery.well_known(self._issuer, discovery.AUTHORIZATION_SERVER))
        metadata = read_object(body)
        # RFC 8414 §3.3: identical, or the document is somebody else's.
        if metadata.get("issuer") != self._issuer:
            raise Malformed("the metadata names another issuer")
        jwks_uri = metadata.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise Malformed("the metadata names no jwks_uri")
        try:
            return discovery.check_jwks_uri(jwks_uri, self._issuer)
        except ValueError as error:
            raise Malformed(str(error)) from None

    async def _get(self, uri: str) -> tuple[bytes, float]:
        """Return the bounded body behind ``uri`` and for how many seconds it is fresh."""
        async with self._client.stream(
            "GET", uri, headers=_REQUEST_HEADERS, follow_redirects=False, timeout=FETCH_SECONDS
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise Malformed(f"the issuer answered {response.status_code}")
            body = bytearray()
            # Raw, so that nothing is unpacked: an answer that is compressed all the same is no JSON.
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    raise Malformed(f"the issuer's answer is larger than {MAX_RESPONSE_BYTES} bytes")
            return bytes(body), max_age(response.headers)


def max_age(headers: httpx.Headers) -> float:
    """Return for how many seconds an answer is fresh (RFC 9111 §4.2), within our own bounds."""
    cache_control = headers.get("Cache-Control", "")
    if _NOT_STORED.search(cache_control):
        return UNCACHEABLE_SECONDS
    stated = _MAX_AGE.search(cache_control)
    seconds = int(stated[1]) if stated else DEFAULT_MAX_AGE_SECONDS
    age = headers.get("Age", "")
    if age.isascii() and age.isdigit():
        seconds -= int(age[:10])
    return min(max(seconds, MIN_MAX_AGE_SECONDS), MAX_MAX_AGE_SECONDS)
