"""One token, kept for everybody: fetched once however many ask, renewed before it ends, forgotten when refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from steelcut.client.wire import Token
from steelcut.exchange import ClientError
from steelcut.flight import Flight, FlightLock

# What a token counts that does not say how long it lives.
DEFAULT_LIFETIME_SECONDS: Final = 300
# From here on in its life a token is renewed while it is used; a part that is drawn anew for each token, so that many
# clients that got theirs together do not come back together.
REFRESH_FROM, REFRESH_TO = 0.75, 0.85
# Before its end a token is used no more: it must still be good when it arrives. The lesser of the two.
MARGIN_SECONDS: Final = 10.0
MARGIN_PART: Final = 0.1
# A token so young that is refused would be followed by another that is refused.
MIN_REFUSED_AGE_SECONDS: Final = 5.0
# After a renewal that failed; the token at hand is used meanwhile.
RENEWAL_PAUSE_SECONDS: Final = 5.0

_log = logging.getLogger("steelcut.client")


@dataclass(frozen=True, slots=True)
class Held:
    """A token and its times, in epoch seconds: from when to when it can be used, and from when on to renew it."""

    token: Token = field(repr=False)
    obtained_at: float
    refresh_at: float
    usable_until: float

    @classmethod
    def of(cls, token: Token, *, asked_at: float, random: float) -> Held:
        """Return ``token`` with its times; ``random`` from 0 to 1. Asked for at ``asked_at``, it is not younger."""
        lifetime = DEFAULT_LIFETIME_SECONDS if token.expires_in is None else token.expires_in
        return cls(
            token if token.expires_in is None else replace(token, expires_at=asked_at + lifetime),
            asked_at,
            asked_at + lifetime * (REFRESH_FROM + (REFRESH_TO - REFRESH_FROM) * random),
            asked_at + lifetime - min(MARGIN_SECONDS, lifetime * MARGIN_PART),
        )


class Shelf(Protocol):
    """Where a token outlives the process."""

    def load(self) -> tuple[Token, float] | None:
        """Return a token and when it was asked for."""

    def store(self, token: Token, asked_at: float) -> None:
        """Keep a token in the place of any other."""

    def forget(self, token: Token) -> None:
        """Keep this token no longer, if it is the one."""


class TokenKeeper:
    """Keeps the token that ``fetch`` gets. Safe for threads, tasks and forked children.

    ``fetch`` blocks; it is called in a thread of its own, and so is what ``shelf`` does after the first look at it.
    ``clock`` in epoch seconds.
    """

    def __init__(
        self,
        fetch: Callable[[], Token],
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        shelf: Shelf | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._random = random
        self._shelf = shelf
        self._held: Held | None = None
        self._refused: Token | None = None
        self._flight: Flight[Held] | None = None
        # After a renewal that failed: from when to when none is tried, as long as there is a token.
        self._pause = (0.0, 0.0)
        self._lock = FlightLock()
        stored = self._stored()
        if stored is not None and clock() < stored.refresh_at:
            self._held = stored

    def has_token(self) -> bool:
        """Say whether a token is at hand, or on its way."""
        flight = self._flight
        return self._usable(self._clock()) is not None or (flight is not None and flight.in_the_air())

    def token(self) -> Generator[Flight[Held], None, Held]:
        """Return a usable token; yields the flight to wait for, if there is none at hand.

        Raises what ``fetch`` raises.
        """
        now = self._clock()
        held = self._usable(now)
        if held is not None:
            begins, ends = self._pause
            # A clock that was put back to before the pause is not in it.
            if now >= held.refresh_at and not begins <= now < ends:
                with self._lock():
                    self._take_off()
            return held
        with self._lock():
            # Again, because somebody else's flight may have landed meanwhile.
            held = self._usable(now)
            if held is not None:
                return held
            flight = self._take_off()
        yield flight
        return flight.result()

    def refused(self, held: Held) -> bool:
        """Forget a token that a resource refused; return whether another one is worth the trouble."""
        with self._lock():
            if self._held is not None and self._held is not held:
                return True
            if 0 <= self._clock() - held.obtained_at < MIN_REFUSED_AGE_SECONDS:
                return False
            self._held = None
            self._refused = held.token
            return True

    def _usable(self, now: float) -> Held | None:
        held = self._held
        return held if held is not None and now < held.usable_until else None

    def _take_off(self) -> Flight[Held]:
        if self._flight is None or not self._flight.in_the_air():
            self._flight = Flight(self._renew, name="steelcut-token")
        return self._flight

    def _renew(self) -> Held:
        stored = self._stored()
        if stored is not None and self._clock() < stored.refresh_at:
            return self._keep(stored)
        asked_at = self._clock()
        try:
            token = self._fetch()
        except Exception as error:
            held = self._left_after(error, stored)
            if held is None:
                raise
            return held
        held = self._keep(Held.of(token, asked_at=asked_at, random=self._random()))
        if self._shelf is not None:
            self._shelf.store(token, asked_at)
        return held

    def _left_after(self, error: Exception, stored: Held | None) -> Held | None:
        """Return the token that can be used on although a renewal failed, None when there is none."""
        now = self._clock()
        # What a function that returns the secret raises may show anything.
        cause = str(error) if isinstance(error, ClientError) else type(error).__name__
        asked_for = error.retry_after if isinstance(error, ClientError) else None
        self._pause = (now, now + max(RENEWAL_PAUSE_SECONDS, asked_for or 0))
        with self._lock():
            held = self._usable(now)
            if held is None and stored is not None and now < stored.usable_until:
                held = self._held = stored
        if held is not None:
            _log.warning("The access token could not be renewed, the present one is used on: %s", cause)
        return held

    def _keep(self, held: Held) -> Held:
        with self._lock():
            self._held = held
            self._pause = (0.0, 0.0)
        return held

    def _stored(self) -> Held | None:
        """Return the token on the shelf, unless it is the one that was refused."""
        if self._shelf is None:
            return None
        refused = self._refused
        if refused is not None:
            self._shelf.forget(refused)
        found = self._shelf.load()
        if found is None or (refused is not None and found[0].value == refused.value):
            return None
        token, asked_at = found
        if asked_at > self._clock():  # the clock was put back, so nobody knows how old it is
            return None
        return Held.of(token, asked_at=asked_at, random=self._random())
