"""One verifier for everybody: threads, event loops in turn and at once, sync and async, asyncio and trio, children."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

from steelcut import Claims, Exchange, Guard, InvalidToken, KeySource, TrustedIssuer, Verifier
from steelcut.testing import Issuer
from tests.guard.sockets import AUDIENCE, OPENID_PATH, SocketIssuer
from tests.support.forks import forked
from tests.support.tokens import IssuerKey


@pytest.fixture
def issuer() -> Iterator[SocketIssuer]:
    """An issuer on a socket."""
    with SocketIssuer().serving() as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer: SocketIssuer) -> Verifier:
    """A verifier that knows the issuer's name and nothing yet."""
    return Verifier(issuer.url, audience=AUDIENCE)


def test_cold_start_of_threads_and_loops_is_one_fetch(issuer: SocketIssuer, verifier: Verifier) -> None:
    """However many threads and tasks of however many loops ask at once, the issuer is asked once."""
    issuer.open.clear()
    together = threading.Barrier(41)
    tokens = [issuer.token(jti=f"token-{number}") for number in range(40)]

    def blocking(token: str) -> Claims:
        together.wait()
        return verifier.verify(token)

    def looping(tokens: list[str]) -> list[Claims]:
        async def all_of_them() -> list[Claims]:
            return await asyncio.gather(*(verifier.verify_async(token) for token in tokens))

        together.wait()
        return asyncio.run(all_of_them())

    with ThreadPoolExecutor(40) as threads:
        blocked = [threads.submit(blocking, token) for token in tokens[:30]]
        looped = [threads.submit(looping, tokens) for _ in range(10)]
        together.wait()
        issuer.open.set()
        assert [future.result().token_id for future in blocked] == [f"token-{n}" for n in range(30)]
        for future in looped:
            assert len(future.result()) == 40
    assert issuer.fetches == 1


def test_event_loop_that_ends_takes_nothing_with_it(issuer: SocketIssuer, verifier: Verifier) -> None:
    """A loop whose task gives up amid the fetch, as in a test per loop, leaves the fetch to the next loop."""
    issuer.open.clear()
    token = issuer.token()

    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await verifier.verify_async(token)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    issuer.open.set()
    assert asyncio.run(verifier.verify_async(token)).client_id == "client-1"
    assert issuer.fetches == 1


def test_trio(issuer: SocketIssuer, verifier: Verifier) -> None:
    """The same awaits on trio, for the first token and for a remembered one."""
    token = issuer.token()
    for _ in range(2):
        assert trio.run(verifier.verify_async, token).client_id == "client-1"
    with pytest.raises(InvalidToken):
        trio.run(verifier.verify_async, IssuerKey.generate().token({"iss": issuer.url}))
    assert issuer.fetches == 1


def test_forked_child_goes_on_by_itself(issuer: SocketIssuer) -> None:
    """Also when a thread that it has not is amid the parent's keys."""
    amid, go_on = threading.Event(), threading.Event()
    asked: list[str] = []

    def clock() -> float:
        name = threading.current_thread().name
        asked.append(name)
        # The second time, it is asked by who alone may say whether there is to be a fetch.
        if name.startswith("amid") and len(asked) == 2:
            amid.set()
            assert go_on.wait(30)
        return time.monotonic()

    keys = KeySource(issuer.url, clock=clock)
    verifier = Verifier(TrustedIssuer(issuer.url, keys=keys), audience=AUDIENCE)
    token = issuer.token()
    with ThreadPoolExecutor(1, thread_name_prefix="amid") as threads:
        threads.submit(keys.key, "key-1")
        assert amid.wait(10)
        assert forked(lambda: verifier.verify(token).client_id == "client-1") == 0
        go_on.set()
    assert verifier.verify(token).client_id == "client-1"
    assert issuer.fetches == 2


def test_guard_without_an_event_loop(issuer: SocketIssuer) -> None:
    """Code that blocks gets the same claims and the same challenges."""
    guard = Guard(issuer.url, audience=AUDIENCE)
    authorization = [f"Bearer {issuer.token(scope='read list')}"]
    assert guard.admit_sync(authorization, ["read"], any_of=["write", "list"]).scopes == {"read", "list"}
    with pytest.raises(InvalidToken) as refusal:
        guard.admit_sync(["Bearer a.b.c"], ["read"])
    assert 'error="invalid_token"' in refusal.value.headers()["WWW-Authenticate"]


def test_nobody_changes_the_claims_of_the_next_request(issuer: SocketIssuer, verifier: Verifier) -> None:
    """A token that is remembered says for ever what was signed."""
    token = issuer.token(tenant="blue", roles={"reader": True})
    claims: Any = verifier.verify(token).raw
    with pytest.raises(TypeError, match="what was signed cannot be changed"):
        claims["tenant"] = "acme"
    with pytest.raises(TypeError, match="what was signed cannot be changed"):
        del claims["roles"]["reader"]
    assert verifier.cache_info().hits == 0
    assert verifier.verify(token).raw["roles"] == {"reader": True}
    assert verifier.cache_info().hits == 1


def test_memory_holds_under_threads(issuer: SocketIssuer) -> None:
    """More threads with more tokens than there is room for: every answer is right, and the memory stays bounded."""
    verifier = Verifier(issuer.url, audience=AUDIENCE, cache_size=5)
    tokens = [issuer.token(jti=f"token-{number}") for number in range(20)]

    def use(start: int) -> set[bool]:
        order = [(start + step) % 20 for step in range(60)]
        return {verifier.verify(tokens[number]).token_id == f"token-{number}" for number in order}

    with ThreadPoolExecutor(8) as threads:
        assert set.union(*threads.map(use, range(8))) == {True}
    assert len(verifier._remembered) == 5


@pytest.mark.parametrize(
    ("path", "metadata_path"),
    [
        ("/", "/.well-known/oauth-authorization-server"),
        ("/", OPENID_PATH),
        ("/realms/shop", "/realms/shop" + OPENID_PATH),
        ("/tenant/", "/tenant" + OPENID_PATH),
        ("/tenant/v2.0", "/.well-known/oauth-authorization-server/tenant/v2.0"),
    ],
)
def test_keys_are_found_wherever_an_issuer_describes_itself(path: str, metadata_path: str) -> None:
    """By RFC 8414 or OpenID Connect, with a path or a slash at the end of its name, which counts in `iss`."""
    with SocketIssuer(path, metadata_path).serving() as issuer:
        verifier = Verifier(issuer.url, audience=AUDIENCE)
        assert verifier.verify(issuer.token()).issuer == issuer.url
        with pytest.raises(InvalidToken, match="another issuer"):
            verifier.verify(issuer.token(iss=issuer.url + "/"))


def test_issuer_is_reached_by_the_exchange_that_was_given() -> None:
    """A transport or certificates of one's own serve discovery and keys alike; no socket is opened."""
    issuer = Issuer("https://only-by-transport.example")
    guard = Guard(issuer.url, audience=AUDIENCE, exchange=Exchange(issuer.transport))
    assert (
        guard.admit_sync([issuer.bearer(audience=AUDIENCE)["Authorization"]], ["read"]).client_id
        == "test-client"
    )
    assert issuer.requests == ["GET /.well-known/oauth-authorization-server", "GET /jwks"]
