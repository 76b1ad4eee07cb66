"""What happens around one request to a protected resource: one generator, whatever kind of client drives it."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import httpx

from steelcut.client.challenge import bearer_challenge
from steelcut.client.endpoint import EndpointFinder
from steelcut.client.keeper import Held, TokenKeeper
from steelcut.client.reach import Reach, same_origin
from steelcut.client.retries import Attempts, Pause, Retries
from steelcut.exchange import Unreachable, retry_after_seconds
from steelcut.flight import Flight

T = TypeVar("T")

# What comes next: send this and tell the response, or wait for that.
Step = httpx.Request | Flight[Any] | Pause
Steps = Generator[Step, Any, None]

# RFC 9110 §9.2.2: sent twice, they do what they do once.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Statuses by which a resource says that it has not done what it was asked for, and will. A gateway's 502 and 504 do
# not say so.
LATER: Final = frozenset({429, 503})


class Flow:
    """Gives requests their token, and sends them again when that helps."""

    __slots__ = ("_finder", "_keeper", "_reach", "_retries")

    def __init__(self, keeper: TokenKeeper, finder: EndpointFinder, retries: Retries, reach: Reach) -> None:
        self._keeper = keeper
        self._finder = finder
        self._retries = retries
        self._reach = reach

    def steps(self, request: httpx.Request) -> Steps:
        """Yield what to do next, until the last response that was told is the one for the caller.

        Whoever sends the requests may throw :class:`Unreachable` in. Raises ``ValueError`` for a URL that must not
        see the token, and what comes of asking for one.
        """
        self._reach.check(request.url)
        replayable = isinstance(request.stream, httpx.ByteStream)
        attempts = self._retries.begin()
        may_look, replaced = replayable, False
        while True:
            held: Held | None = None
            request.headers.pop("Authorization", None)
            if not (may_look and self._must_look_first()):
                held = yield from self._keeper.token()
                request.headers["Authorization"] = f"Bearer {held.token.value}"
            try:
                response: httpx.Response = yield request
            except Unreachable:
                pause = self._pause(request, attempts, None) if replayable else None
                if pause is None:
                    raise
                yield pause
                continue
            if held is None and self._challenges(request, response):
                may_look = False
                continue
            if held is not None and not replaced and _is_refusal(request, response):
                # Also when this request cannot be sent again: the next one is to have another token.
                if not self._keeper.refused(held) or not replayable:
                    return
                replaced = True
                continue
            pause = self._pause(request, attempts, response) if replayable else None
            if pause is None:
                return
            yield pause

    def _must_look_first(self) -> bool:
        """Say whether only the resource's challenge can tell whom to ask for a token."""
        return self._finder.depends_on_resource and not self._finder.is_known and not self._keeper.has_token()

    def _challenges(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Say whether a request without a token was answered with the demand for one, and note what it says."""
        if response.status_code != 401 or not _is_own(request, response):
            return False
        challenge = _challenge(response)
        if challenge is not None:
            self._finder.hint(challenge.get("resource_metadata"))
        return challenge is not None

    def _pause(
        self, request: httpx.Request, attempts: Attempts, response: httpx.Response | None
    ) -> Pause | None:
        if request.method not in IDEMPOTENT:
            return None
        if response is None:
            seconds = attempts.pause()
        elif response.status_code in LATER:
            seconds = attempts.pause(
                retry_after_seconds(response.headers.get("Retry-After", ""), now=time.time())
            )
        else:
            return None
        return None if seconds is None else Pause(seconds, self._retries)


def told(steps: Steps, response: httpx.Response) -> Step | None:
    """Return the step that follows upon ``response``, None when it is the one for the caller."""
    try:
        return steps.send(response)
    except StopIteration:
        return None


def wait_for(work: Generator[Flight[Held], None, T]) -> T:
    """Do ``work``, blocking where it waits."""
    try:
        while True:
            next(work).wait()
    except StopIteration as end:
        result: T = end.value
        return result


async def wait_for_async(work: Generator[Flight[Held], None, T]) -> T:
    """Do ``work`` on asyncio or trio."""
    try:
        while True:
            await next(work).arrival()
    except StopIteration as end:
        result: T = end.value
        return result


def _is_own(request: httpx.Request, response: httpx.Response) -> bool:
    """Say whether the response comes from where the request went, and not from where a redirect led."""
    return same_origin(response.request.url, request.url)


def _is_refusal(request: httpx.Request, response: httpx.Response) -> bool:
    """Say whether the resource finds the token no good (RFC 6750 §3.1)."""
    if response.status_code != 401 or not _is_own(request, response):
        return False
    return (_challenge(response) or {}).get("error") == "invalid_token"


def _challenge(response: httpx.Response) -> dict[str, str] | None:
    return bearer_challenge(response.headers.get("WWW-Authenticate", ""))
