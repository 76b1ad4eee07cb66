"""An issuer that is flooded through us, broken, hostile or away: what changes for valid tokens is nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from steelcut import InvalidToken, TemporarilyUnavailable, TrustedIssuer, Verifier, jwks
from steelcut.jwks import KeySource
from tests.guard.sockets import AUDIENCE, Answer, Handler, SocketIssuer
from tests.support.tokens import IssuerKey, base64url, encode

FIFTY_MEGABYTES = 50_000_000


@pytest.fixture
def issuer() -> Iterator[SocketIssuer]:
    """An issuer on a socket."""
    with SocketIssuer().serving() as issuer:
        yield issuer


class Clock:
    """A monotonic clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def verifier_of(issuer: SocketIssuer, clock: Clock, reports: list[str]) -> Verifier:
    """Return a verifier whose keys age by ``clock``, and report failures to ``reports``."""
    keys = KeySource(issuer.url, clock=clock, report=reports.append)
    return Verifier(TrustedIssuer(issuer.url, keys=keys), audience=AUDIENCE, cache_size=0)


def test_flood_of_ten_thousand_invented_kids_is_one_fetch_per_cool_down(issuer: SocketIssuer) -> None:
    """Ten thousand tokens that name keys nobody has, in threads, cost the issuer one request; the next, another."""
    clock = Clock()
    verifier = verifier_of(issuer, clock, [])
    good = issuer.token()
    verifier.verify(good)
    _, _, payload_and_signature = good.partition(".")

    def attack(number: int) -> bool:
        header = base64url(encode(issuer.key.header(kid=f"invented-{number}")))
        try:
            verifier.verify(f"{header}.{payload_and_signature}")
        except InvalidToken as refusal:
            return refusal.reason.startswith("no such key")
        return False

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(attack, range(10_000), chunksize=100))
        assert issuer.fetches == 2
        clock.now += 29
        assert all(threads.map(attack, range(10_000, 10_100)))
        assert issuer.fetches == 2
        clock.now += 2
        assert all(threads.map(attack, range(10_100, 10_200)))
        assert issuer.fetches == 3
    assert verifier.verify(good).client_id == "client-1"


def hangs_up(request: Handler) -> None:
    """Close the connection instead of an answer."""
    request.close_connection = True


def speaks_otherwise(request: Handler) -> None:
    """Send what is no HTTP."""
    request.wfile.write(b"SSH-2.0\r\n\r\n")


def trickles(request: Handler) -> None:
    """Send a byte now and then, for ever."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    with suppress(OSError):
        for _ in range(1000):
            request.wfile.write(b" ")
            time.sleep(0.02)


def trickles_before_its_head(request: Handler) -> None:
    """Send a byte of a header now and then, for ever."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    with suppress(OSError):
        for _ in range(1000):
            request.wfile.write(b"x")
            time.sleep(0.02)


def floods(request: Handler) -> None:
    """Send 50 MB of spaces, as many as are taken."""
    request.send_response(200)
    request.send_header("Content-Length", str(FIFTY_MEGABYTES))
    request.end_headers()
    with suppress(OSError):
        for _ in range(FIFTY_MEGABYTES // 65_536):
            request.wfile.write(b" " * 65_536)


BAD_ANSWERS: dict[str, Answer] = {
    "500": lambda request: request.send(500, b"{}"),
    "garbage": lambda request: request.send(200, bytes(range(256)) * 40),
    "HTML": lambda request: request.send(200, b"<html>Please log in</html>"),
    "somebody else's keys": lambda request: request.send(
        200, encode({"keys": [IssuerKey.generate().jwk(use="enc")]})
    ),
    "no HTTP": speaks_otherwise,
    "hangs up": hangs_up,
    "trickles": trickles,
    "trickles in its head": trickles_before_its_head,
    "silence": lambda _request: time.sleep(0.6),
    "50 MB": floods,
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_broken_key_set_changes_nothing(
    issuer: SocketIssuer, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valid tokens pass, forged ones do not, nobody waits long, the issuer is asked once, and it recovers by itself."""
    clock, reports = Clock(), list[str]()
    verifier = verifier_of(issuer, clock, reports)
    verifier.verify(issuer.token())
    # Not before the first keys are there, which may take longer on a busy machine.
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.3)
    issuer.instead = answer
    clock.now += 301
    started = time.monotonic()
    for number in range(20):
        assert verifier.verify(issuer.token(jti=f"token-{number}")).token_id == f"token-{number}"
        clock.now += 0.05  # as much as was waited
    with pytest.raises(InvalidToken, match="signature"):
        verifier.verify(IssuerKey.generate().token({"iss": issuer.url}))
    assert time.monotonic() - started < 1
    settle(verifier, issuer)
    # Of a busy machine the one question may not have got there in its time.
    assert issuer.fetches <= 2
    assert len(reports) == 1
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 2)
    issuer.instead, issuer.key = None, IssuerKey.generate(kid="key-2")
    clock.now += jwks.FAILURE_COOLDOWN_SECONDS
    assert verifier.verify(issuer.token()).client_id == "client-1"


def settle(verifier: Verifier, issuer: SocketIssuer) -> None:
    """Wait for the fetch in the air."""
    keys = verifier._trusts[issuer.url].keys
    assert isinstance(keys, KeySource)
    assert keys._fetch is not None
    assert keys._fetch.flight is not None
    keys._fetch.flight.wait()


def test_start_without_the_issuer() -> None:
    """Nothing passes before a key is known, malformed tokens are refused as such, and it recovers by itself."""
    clock, reports = Clock(), list[str]()
    issuer = SocketIssuer()
    issuer.instead = BAD_ANSWERS["500"]
    verifier = verifier_of(issuer, clock, reports)
    with issuer.serving():
        for _ in range(5):
            with pytest.raises(TemporarilyUnavailable, match="no key of the issuer is known"):
                verifier.verify(issuer.token())
        with pytest.raises(InvalidToken):
            verifier.verify("malformed")
        assert not verifier.ready()
        assert (issuer.fetches, len(reports)) == (1, 1)
        issuer.instead = None
        clock.now += jwks.FAILURE_COOLDOWN_SECONDS
        assert verifier.ready()
        assert verifier.verify(issuer.token()).client_id == "client-1"


def test_outage_of_one_issuer_is_its_own() -> None:
    """Of two issuers one is away: the tokens of the other pass, and each issuer's keys vouch for its own alone."""
    with ExitStack() as served:
        here, there = served.enter_context(SocketIssuer().serving()), SocketIssuer()
        there.key = here.key  # the same key under the same name
        verifier = Verifier([here.url, there.url], audience=AUDIENCE, report=lambda _: None)
        assert verifier.verify(here.token()).issuer == here.url
        there.instead = BAD_ANSWERS["500"]
        served.enter_context(there.serving())
        with pytest.raises(TemporarilyUnavailable):
            verifier.verify(there.token())
        assert verifier.ready()
