"""Good tokens pass with their claims, times are judged to the second, and remembered tokens stay judged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from steelcut.errors import InvalidToken, TemporarilyUnavailable
from steelcut.jose import MAX_TOKEN_CHARACTERS
from steelcut.jwk import VerificationKey, read_key
from steelcut.jwks import KeysUnavailable
from steelcut.steps import Steps
from steelcut.trust import TrustedIssuer
from steelcut.verifier import Verifier
from tests.support.tokens import IssuerKey, good_claims

ISSUER = "https://issuer.example"
AUDIENCE = "https://api.example/documents"
NOW = 1_900_000_000.0
KEY = IssuerKey.generate()
LEEWAY = 30


class Keys:
    """Keys without an issuer behind them; counts the questions."""

    def __init__(self, *keys: IssuerKey) -> None:
        self.asked = 0
        self.due = False
        self.known: Mapping[str, VerificationKey] = {}
        self.set(*keys)

    def set(self, *keys: IssuerKey) -> None:
        """Publish other keys."""
        read = [read_key(key.jwk()) for key in keys]
        self.known = {key.kid: key for key in read if key is not None}

    def is_due(self) -> bool:
        """Say what the test wants."""
        return self.due

    def steps(self, kid: str | None) -> Steps[None]:  # noqa: ARG002 - as a verifier calls it
        """Count."""
        yield from ()
        self.asked += 1
        self.due = False


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def verifier_of(keys: Keys, **options: Any) -> Verifier:
    """Return a verifier for the tokens of ISSUER, of many resources."""
    return Verifier(TrustedIssuer(ISSUER, keys=keys), audience=None, **options)


@pytest.fixture
def keys() -> Keys:
    """The issuer's keys."""
    return Keys(KEY)


@pytest.fixture
def clock() -> Clock:
    """The clock."""
    return Clock()


@pytest.fixture
def verifier(keys: Keys, clock: Clock) -> Verifier:
    """A verifier for the issuer's tokens that remembers three."""
    return verifier_of(keys, leeway_seconds=LEEWAY, clock=clock, cache_size=3)


def token(**changes: Any) -> str:
    """Return a signed token with changed claims."""
    return KEY.token(good_claims(ISSUER, AUDIENCE, NOW, **changes))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_good_token_gives_its_claims(algorithm: str, clock: Clock) -> None:
    """All three algorithms verify, and the claims come out as the issuer put them in."""
    key = IssuerKey.generate(algorithm)
    verifier = verifier_of(Keys(key), clock=clock)
    signed = good_claims(ISSUER, AUDIENCE, NOW, scope="read write", jti="token-1", tenant={"id": 7})
    claims = await verifier.verify_async(key.token(signed), audience=AUDIENCE)
    assert (claims.issuer, claims.subject, claims.client_id) == (ISSUER, "client-1", "client-1")
    assert claims.audience == (AUDIENCE,)
    assert claims.scopes == {"read", "write"}
    assert (claims.issued_at, claims.expires_at, claims.token_id) == (NOW, NOW + 600, "token-1")
    assert claims.raw == signed


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "AT+JWT"},
        {"typ": "application/at+jwt"},
        {"typ": "Application/AT+JWT"},
        {"cty": "anything"},
        {"unknown": [1, {"two": 3}]},
        {"jku": "http://127.0.0.1:1/", "x5u": 5, "x5c": "no list", "jwk": {"kty": "oct", "k": "AAAA"}},
    ],
    ids=str,
)
async def test_header_may_say_more(verifier: Verifier, header: dict[str, Any]) -> None:
    """Other spellings of the type pass, and what is not understood and not critical is ignored (RFC 7515 §4)."""
    await verifier.verify_async(KEY.token(good_claims(ISSUER, AUDIENCE, NOW), **header), audience=AUDIENCE)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["https://other.example", AUDIENCE, "urn:x"]},
        {"sub": "someone else"},
        {"sub": "Жанна"},
        {"scope": "read read"},
        {"scope": "!#[]~ read"},
        {"iat": NOW - 0.5, "exp": NOW + 0.5},
        {"nbf": NOW},
        {"roles": None, "aud2": ["x"]},
    ],
    ids=str,
)
async def test_claims_may_be_of_every_allowed_form(verifier: Verifier, claims: dict[str, Any]) -> None:
    """What RFC 7519 and RFC 9068 allow is accepted, although our own issuer writes it otherwise."""
    await verifier.verify_async(token(**claims), audience=AUDIENCE)


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": NOW - LEEWAY + 1, "iat": NOW - 100}, True),
        ({"exp": NOW - LEEWAY, "iat": NOW - 100}, False),
        ({"iat": NOW + LEEWAY, "exp": NOW + 600}, True),
        ({"iat": NOW + LEEWAY + 1, "exp": NOW + 600}, False),
        ({"nbf": NOW + LEEWAY}, True),
        ({"nbf": NOW + LEEWAY + 1}, False),
        ({"iat": NOW, "exp": NOW}, False),
        ({"iat": NOW, "exp": NOW - 1}, False),
    ],
    ids=str,
)
async def test_times_are_judged_to_the_second(
    verifier: Verifier,
    claims: dict[str, Any],
    good: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """`exp`, `iat` and `nbf` count with the leeway and not a second more (RFC 7519 §4.1)."""
    if good:
        await verifier.verify_async(token(**claims), audience=AUDIENCE)
    else:
        with pytest.raises(InvalidToken):
            await verifier.verify_async(token(**claims), audience=AUDIENCE)


@pytest.mark.parametrize("leeway", [-1, 60.5, float("nan")])
def test_leeway_is_bounded(keys: Keys, leeway: float) -> None:
    """Nobody can configure a clock that forgives more than a minute (RFC 9068 §4)."""
    with pytest.raises(ValueError, match="leeway"):
        verifier_of(keys, leeway_seconds=leeway)


async def test_longest_token_passes(verifier: Verifier) -> None:
    """A token of exactly the largest size is read."""
    room = MAX_TOKEN_CHARACTERS - len(token(x=""))
    long = token(x="y" * (room * 3 // 4))
    assert MAX_TOKEN_CHARACTERS - 4 <= len(long) <= MAX_TOKEN_CHARACTERS
    await verifier.verify_async(long, audience=AUDIENCE)


async def test_remembered_token_costs_no_signature(verifier: Verifier, keys: Keys) -> None:
    """The second request with a token asks for no key and gives the same claims."""
    good = token()
    first = await verifier.verify_async(good, audience=AUDIENCE)
    assert await verifier.verify_async(good, audience=AUDIENCE) is first
    assert keys.asked == 1


async def test_remembered_token_expires(verifier: Verifier, clock: Clock, keys: Keys) -> None:
    """A token that was good a moment ago is refused at its hour, and forgotten."""
    good = token()
    await verifier.verify_async(good, audience=AUDIENCE)
    clock.now = NOW + 600 + LEEWAY - 1
    await verifier.verify_async(good, audience=AUDIENCE)
    clock.now += 1
    with pytest.raises(InvalidToken, match="expired"):
        await verifier.verify_async(good, audience=AUDIENCE)
    assert not verifier._remembered
    assert keys.asked == 1


async def test_remembered_token_is_still_for_its_audience_alone(verifier: Verifier) -> None:
    """That a token was accepted for one resource opens no other one."""
    good = token()
    await verifier.verify_async(good, audience=AUDIENCE)
    with pytest.raises(InvalidToken, match="another audience"):
        await verifier.verify_async(good, audience="https://api.example/other")
    both = token(aud=[AUDIENCE, "https://api.example/other"])
    await verifier.verify_async(both, audience=AUDIENCE)
    await verifier.verify_async(both, audience="https://api.example/other")


async def test_memory_ends_with_the_keys(verifier: Verifier, keys: Keys) -> None:
    """When the issuer withdraws a key, a token that it signed is refused at its next use."""
    good = token()
    await verifier.verify_async(good, audience=AUDIENCE)
    keys.set(IssuerKey.generate(kid="key-2"))
    with pytest.raises(InvalidToken, match="no such key"):
        await verifier.verify_async(good, audience=AUDIENCE)
    assert not verifier._remembered


async def test_remembered_token_brings_old_keys_up_to_date(verifier: Verifier, keys: Keys) -> None:
    """A token in constant use does not keep the keys from being refreshed."""
    good = token()
    await verifier.verify_async(good, audience=AUDIENCE)
    keys.due = True
    await verifier.verify_async(good, audience=AUDIENCE)
    await verifier.verify_async(good, audience=AUDIENCE)
    assert keys.asked == 2


async def test_keys_that_change_under_a_check_are_not_remembered_against(clock: Clock) -> None:
    """A token that was checked with keys that are gone by then is not remembered under the new ones."""

    class Changing(Keys):
        """Keys that change while a token is checked."""

        def steps(self, kid: str | None) -> Steps[None]:
            yield from super().steps(kid)
            signing = self.known[KEY.kid]

            def verify_then_change(*_: Any) -> None:
                self.set(IssuerKey.generate(kid="key-2"))

            self.known = {KEY.kid: replace(signing, _check=verify_then_change)}

    verifier = verifier_of(Changing(KEY), clock=clock)
    await verifier.verify_async(token(), audience=AUDIENCE)
    assert list(verifier._trusts[ISSUER].keys.known) == ["key-2"]
    (remembered,) = verifier._remembered
    assert verifier._recall(remembered) is None


async def test_memory_is_bounded_and_keeps_what_is_used(verifier: Verifier, keys: Keys) -> None:
    """Of more tokens than there is room for, the one longest out of use is forgotten."""
    tokens = [token(jti=str(number)) for number in range(3)]
    for good in tokens:
        await verifier.verify_async(good, audience=AUDIENCE)
    await verifier.verify_async(tokens[0], audience=AUDIENCE)
    await verifier.verify_async(token(jti="one more"), audience=AUDIENCE)
    assert len(verifier._remembered) == 3
    asked = keys.asked
    await verifier.verify_async(tokens[0], audience=AUDIENCE)
    assert keys.asked == asked
    await verifier.verify_async(tokens[1], audience=AUDIENCE)
    assert keys.asked == asked + 1


async def test_refused_tokens_take_no_room(verifier: Verifier) -> None:
    """A flood of forgeries pushes no good token out of the memory."""
    good = token()
    await verifier.verify_async(good, audience=AUDIENCE)
    attacker = IssuerKey.generate()
    for number in range(100):
        forged = attacker.token(good_claims(ISSUER, AUDIENCE, NOW, jti=str(number)))
        with pytest.raises(InvalidToken):
            await verifier.verify_async(forged, audience=AUDIENCE)
    assert len(verifier._remembered) == 1


async def test_memory_holds_no_token(verifier: Verifier) -> None:
    """What is remembered is a digest: nobody reads a usable token out of the process's memory of them."""
    good = token()
    await verifier.verify_async(good, audience=AUDIENCE)
    (digest,) = verifier._remembered
    assert len(digest) == 32
    assert good.encode() not in repr(verifier._remembered).encode()


async def test_memory_can_be_turned_off(keys: Keys, clock: Clock) -> None:
    """With a size of zero every request costs a signature."""
    verifier = verifier_of(keys, clock=clock, cache_size=0)
    good = token()
    for _ in range(3):
        await verifier.verify_async(good, audience=AUDIENCE)
    assert keys.asked == 3


async def test_without_keys_no_judgement(keys: Keys, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no key is known a well-formed token is neither good nor bad; a malformed one is bad at once."""

    def unavailable(_kid: str | None) -> Steps[None]:
        yield from ()
        raise KeysUnavailable("never fetched")

    monkeypatch.setattr(keys, "steps", unavailable)
    verifier = verifier_of(keys, clock=clock)
    with pytest.raises(TemporarilyUnavailable):
        await verifier.verify_async(token(), audience=AUDIENCE)
    with pytest.raises(InvalidToken):
        await verifier.verify_async("not a token", audience=AUDIENCE)


async def test_text_beyond_ascii_is_refused(verifier: Verifier) -> None:
    """A token is ASCII; a header that brings other bytes is a refusal and no crash."""
    for text in ("тест.a.b", "a.\xff.b", "\ud800"):
        with pytest.raises(InvalidToken, match="ASCII"):
            await verifier.verify_async(text, audience=AUDIENCE)


async def test_claims_do_not_show_the_token(verifier: Verifier) -> None:
    """What a log prints of verified claims holds neither the token nor claims that nobody asked for."""
    claims = await verifier.verify_async(token(private="do not print"), audience=AUDIENCE)
    assert "do not print" not in repr(claims)


async def test_clock_of_the_system_is_the_default(keys: Keys) -> None:
    """Without another clock a token is judged by the time of day."""
    verifier = verifier_of(keys)
    fresh = KEY.token(good_claims(ISSUER, AUDIENCE, time.time()))
    await verifier.verify_async(fresh, audience=AUDIENCE)
    with pytest.raises(InvalidToken):
        await verifier.verify_async(
            KEY.token(good_claims(ISSUER, AUDIENCE, time.time() - 3600)), audience=AUDIENCE
        )
