"""What is fetched from the issuer, when, and how often."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import httpx
import pytest

from steelcut import jwks
from steelcut.errors import TemporarilyUnavailable
from steelcut.exchange import Exchange
from steelcut.jwks import KeySource, KeysUnavailable
from tests.guard.keys.issuer import (
    ISSUER,
    JWKS,
    KEY,
    METADATA,
    NEW_KEY,
    Clock,
    Issuer,
    answers,
    fails,
    settle,
)
from tests.support.issuer import url_of
from tests.support.system import listen
from tests.support.tokens import IssuerKey


async def test_keys_are_found_through_the_metadata(keys: KeySource, issuer: Issuer) -> None:
    """The issuer's name is enough: its metadata says where its keys are (RFC 8414 §3)."""
    key = await keys.key_async("key-1")
    assert key is not None
    assert key.verify(b"text", KEY.sign(b"text"))
    assert issuer.requests == [ISSUER + METADATA, ISSUER + JWKS]


def test_issuer_with_a_path_is_asked_at_the_right_place(issuer: Issuer) -> None:
    """The well-known segment goes between host and path (RFC 8414 §3.1)."""
    issuer.metadata["issuer"] = f"{ISSUER}/tenant"
    assert KeySource(f"{ISSUER}/tenant", exchange=Exchange(issuer)).key("key-1")
    assert issuer.requests[0] == f"{ISSUER}{METADATA}/tenant"


def test_given_jwks_uri_needs_no_discovery(issuer: Issuer) -> None:
    """An operator who says where the keys are is believed, on a private network too."""
    assert KeySource(ISSUER, jwks_uri="http://auth:8000/keys", exchange=Exchange(issuer)).key("key-1")
    assert issuer.requests == ["http://auth:8000/keys"]


def test_issuer_must_be_a_good_one() -> None:
    """A URL that may not name an issuer is refused when the program starts (RFC 8414 §2)."""
    with pytest.raises(ValueError, match="https"):
        KeySource("http://issuer.example")


async def test_known_key_costs_nothing_within_its_time(keys: KeySource, issuer: Issuer, clock: Clock) -> None:
    """Until four fifths of the max age are over no request goes to the issuer."""
    await keys.key_async("key-1")
    clock.now += 79
    assert not keys.is_due()
    for _ in range(100):
        assert await keys.key_async("key-1")
    assert issuer.fetches == 1


async def test_refresh_before_its_time_keeps_nobody_waiting(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """In the last fifth of the max age the keys are fetched in the background, once."""
    await keys.key_async("key-1")
    issuer.keys.append(NEW_KEY.jwk())
    issuer.open.clear()
    clock.now += 81
    for _ in range(10):
        assert await keys.key_async("key-1")
    issuer.open.set()
    settle(keys)
    assert issuer.fetches == 2
    assert await keys.key_async("key-2")
    assert issuer.fetches == 2


async def test_key_that_was_withdrawn_is_not_used_past_its_time(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """When the max age is over, the first request waits for the new set, and an old key is gone with it."""
    await keys.key_async("key-1")
    issuer.keys = [NEW_KEY.jwk()]
    clock.now += 101
    assert await keys.key_async("key-1") is None


async def test_cold_start_of_a_thousand_requests_is_one_fetch(keys: KeySource, issuer: Issuer) -> None:
    """However many ask at once, one request goes to the issuer and all get its answer."""
    found = await asyncio.gather(*(keys.key_async("key-1") for _ in range(1000)))
    assert all(found)
    assert issuer.fetches == 1


async def test_flood_of_unknown_kids_is_one_fetch_per_cool_down(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """Ten thousand invented names cost the issuer one request, and the next one after the cool-down."""
    await keys.key_async("key-1")
    for number in range(10_000):
        clock.now += 29 / 10_000
        assert await keys.key_async(f"invented-{number}") is None
    assert issuer.fetches == 2
    clock.now += 2
    for number in range(100):
        await keys.key_async(f"again-{number}")
    assert issuer.fetches == 3
    assert await keys.key_async("key-1")


async def test_flood_at_a_cold_start_is_one_fetch(keys: KeySource, issuer: Issuer) -> None:
    """The fetch that brought the first keys counts as the one for the unknown name that caused it."""
    await asyncio.gather(*(keys.key_async(f"invented-{number}") for number in range(1000)))
    await asyncio.gather(*(keys.key_async(f"again-{number}") for number in range(1000)))
    assert issuer.fetches == 1


async def test_flood_that_keeps_coming_is_one_fetch_per_cool_down(keys: KeySource, issuer: Issuer) -> None:
    """However the requests of a flood meet the fetch, in its course or at its very end, it stays one."""
    await keys.key_async("key-1")

    async def drip(number: int) -> None:
        for _ in range(number % 40):
            await asyncio.sleep(0)
        await keys.key_async(f"invented-{number}")

    await asyncio.gather(*(drip(number) for number in range(2000)))
    assert issuer.fetches == 2


async def test_key_found_by_its_first_token_starts_no_cool_down(keys: KeySource, issuer: Issuer) -> None:
    """Only a name that the issuer does not know either makes the next one wait."""
    await keys.key_async("key-1")
    for number in range(2, 5):
        issuer.keys.append(IssuerKey.generate(kid=f"key-{number}").jwk())
        assert await keys.key_async(f"key-{number}")
    assert issuer.fetches == 4


async def test_flood_around_a_good_token_is_one_fetch_more(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """Of the invented names that met the fetch of a good token, and of those that follow, one is asked for."""
    issuer.open.clear()
    names = ["key-1", *(f"invented-{number}" for number in range(100))]
    waiting = []
    for name in names:
        clock.now += 0.001
        waiting.append(asyncio.create_task(keys.key_async(name)))
        await asyncio.sleep(0)
    issuer.open.set()
    await asyncio.gather(*waiting)
    await asyncio.gather(*(keys.key_async(f"again-{number}") for number in range(100)))
    assert issuer.fetches == 2


async def test_new_key_is_known_at_its_first_token(keys: KeySource, issuer: Issuer) -> None:
    """An unknown name causes one fetch, so that a new key works although the old set is still fresh."""
    await keys.key_async("key-1")
    issuer.keys.append(NEW_KEY.jwk())
    assert await keys.key_async("key-2")
    assert await keys.key_async("key-1")
    assert issuer.fetches == 2


async def test_new_key_is_known_at_its_first_token_amid_a_fetch(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """The answer under way is older than the key: those whose tokens come meanwhile, many or one, ask once more."""
    await keys.key_async("key-1")
    answered, go_on = threading.Event(), threading.Event()

    def hold_back() -> None:
        answered.set()
        assert go_on.wait(10)

    issuer.under_way = hold_back
    clock.now += 81
    assert await keys.key_async("key-1")  # starts a refresh in the background
    assert await asyncio.to_thread(answered.wait, 10)
    issuer.keys.append(NEW_KEY.jwk())
    clock.now += 0.001
    waiting = [asyncio.create_task(keys.key_async("key-2")) for _ in range(100)]
    await asyncio.sleep(0)
    go_on.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.fetches == 3


async def test_unreachable_issuer_is_asked_once_per_cool_down(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """Without any key everything is refused with 503, the issuer is not asked at each request, and it recovers."""
    issuer.instead = fails(httpx.ConnectError("refused"))
    for _ in range(100):
        with pytest.raises(KeysUnavailable, match="refused"):
            await keys.key_async("key-1")
    assert len(issuer.requests) == 1
    assert issubclass(KeysUnavailable, TemporarilyUnavailable)
    assert KeysUnavailable.status == 503
    assert not await keys.ready_async()
    issuer.instead = None
    clock.now += jwks.FAILURE_COOLDOWN_SECONDS
    assert await keys.ready_async()
    assert await keys.key_async("key-1")


async def test_failed_fetch_for_an_unknown_kid_is_not_repeated_at_once(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """A flood of invented names while the issuer is down stays one request, and known keys work."""
    await keys.key_async("key-1")
    issuer.instead = answers(500)
    for number in range(100):
        assert await keys.key_async(f"invented-{number}") is None
    clock.now += 1
    assert await keys.key_async("key-1")
    assert len(issuer.requests) == 3


async def test_slow_issuer_stops_nobody(
    keys: KeySource, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a known key waits for a slow issuer once and shortly, then not at all until its answer comes."""
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 0.05)
    await keys.key_async("key-1")
    issuer.open.clear()
    clock.now += 101
    async with asyncio.timeout(1):
        assert await keys.key_async("key-1")
        clock.now += 0.05
        for _ in range(1000):
            assert await keys.key_async("key-1")
    assert issuer.fetches == 1  # the second one hangs in the metadata
    issuer.keys = [NEW_KEY.jwk()]
    issuer.open.set()
    settle(keys)
    assert await keys.key_async("key-2")


def test_fetch_that_takes_too_long_is_given_up(reports: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer that takes connections and never answers ends in an error, not in a fetch that lives for ever."""
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.05)
    with closing(listen()) as silent:
        keys = KeySource(url_of(silent), report=reports.append)
        with pytest.raises(KeysUnavailable):
            keys.key("key-1")
        settle(keys)
    assert len(reports) == 1
    assert "did not finish its answer within 0.05 seconds" in reports[0]


async def test_fetch_that_never_ends_is_overtaken(keys: KeySource, issuer: Issuer, clock: Clock) -> None:
    """Whatever keeps a fetch from ending, a new one is made one day, and what the old one brings is passed over."""
    await keys.key_async("key-1")
    issuer.open.clear()
    clock.now += 81
    assert await keys.key_async("key-1")
    lost = keys._fetch
    clock.now += jwks.LOST_SECONDS
    issuer.keys = [NEW_KEY.jwk()]
    overtaken, issuer.open = issuer.open, threading.Event()
    issuer.open.set()
    assert await keys.key_async("key-2")
    issuer.keys = [KEY.jwk()]
    overtaken.set()
    assert lost is not None
    assert lost.flight is not None
    lost.flight.wait()
    assert await keys.key_async("key-2")


async def test_caller_who_goes_away_takes_no_fetch_with_him(keys: KeySource, issuer: Issuer) -> None:
    """A cancelled request does not cancel the fetch that others wait for."""
    issuer.open.clear()
    impatient = asyncio.create_task(keys.key_async("key-1"))
    patient = asyncio.create_task(keys.key_async("key-1"))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    issuer.open.set()
    assert await patient
    assert issuer.fetches == 1


async def test_known_is_another_object_when_the_keys_are_others_alone(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """A refresh that brings the same keys, in whatever order and dress, leaves what was derived from them."""
    issuer.keys = [KEY.jwk(), NEW_KEY.jwk()]
    await keys.key_async("key-1")
    first = keys.known
    issuer.keys = [NEW_KEY.jwk(use="sig"), KEY.jwk(x5t="other")]
    clock.now += 101
    await keys.key_async("key-1")
    assert keys.known is first
    assert issuer.fetches == 2
    issuer.keys = [NEW_KEY.jwk()]
    clock.now += 101
    await keys.key_async("key-1")
    assert keys.known is not first


async def test_same_kid_with_another_key_is_another_set(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """The name alone does not make a key: a new key under an old name replaces the old one."""
    await keys.key_async("key-1")
    first = keys.known
    other = IssuerKey.generate()
    issuer.keys = [other.jwk()]
    clock.now += 101
    key = await keys.key_async("key-1")
    assert key is not None
    assert key.verify(b"text", other.sign(b"text"))
    assert not key.verify(b"text", KEY.sign(b"text"))
    assert keys.known is not first
