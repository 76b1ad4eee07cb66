"""The cache of an issuer's keys: what is fetched, when, how often, and what no bad answer can take away."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from steelcut import jwks
from steelcut.errors import TemporarilyUnavailable
from steelcut.jwks import KeySource, KeysUnavailable
from tests.support.system import listen, serving
from tests.support.tokens import IssuerKey, encode

ISSUER = "https://issuer.example"
METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/keys"
KEY = IssuerKey.generate()
NEW_KEY = IssuerKey.generate(kid="key-2")


Answer = Callable[[httpx.Request], httpx.Response]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Issuer(httpx.AsyncBaseTransport):
    """An issuer without a socket, whose answers a test chooses and whose requests are counted."""

    def __init__(self) -> None:
        self.keys: list[Any] = [KEY.jwk()]
        self.metadata: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": ISSUER + JWKS}
        self.cache_control = "max-age=100"
        self.requests: list[str] = []
        self.instead: Answer | None = None
        self.instead_of: tuple[str, ...] = (METADATA, JWKS)
        self.open = asyncio.Event()
        self.open.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the test wants it, once the issuer is open."""
        self.requests.append(str(request.url))
        await self.open.wait()
        instead = self.instead if request.url.path in self.instead_of else None
        answer = (instead or self.answer)(request)
        # As it comes from a socket: not read yet.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer as a good issuer does."""
        if request.url.path.startswith(METADATA):
            return httpx.Response(200, json=self.metadata)
        return httpx.Response(200, json={"keys": self.keys}, headers={"Cache-Control": self.cache_control})

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return sum(url.endswith(JWKS) for url in self.requests)


@pytest.fixture
def clock() -> Clock:
    """The clock of the cache."""
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    """The issuer."""
    return Issuer()


@pytest.fixture
def reports() -> list[str]:
    """What the cache reported."""
    return []


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock, reports: list[str]) -> AsyncIterator[KeySource]:
    """The cache, which reads the issuer's metadata first."""
    async with httpx.AsyncClient(transport=issuer) as client:
        source = KeySource(client, issuer=ISSUER, clock=clock, report=reports.append)
        yield source
        await source.aclose()


async def settle() -> None:
    """Let what runs in the background come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_keys_are_found_through_the_metadata(keys: KeySource, issuer: Issuer) -> None:
    """The issuer's name is enough: its metadata says where its keys are (RFC 8414 §3)."""
    key = await keys.key("key-1")
    assert key is not None
    assert key.verify(b"text", KEY.sign(b"text"))
    assert issuer.requests == [ISSUER + METADATA, ISSUER + JWKS]


async def test_issuer_with_a_path_is_asked_at_the_right_place(issuer: Issuer) -> None:
    """The well-known segment goes between host and path (RFC 8414 §3.1)."""
    issuer.metadata["issuer"] = f"{ISSUER}/tenant"
    async with httpx.AsyncClient(transport=issuer) as client:
        assert await KeySource(client, issuer=f"{ISSUER}/tenant").key("key-1")
    assert issuer.requests[0] == f"{ISSUER}{METADATA}/tenant"


async def test_given_jwks_uri_needs_no_discovery(issuer: Issuer) -> None:
    """An operator who says where the keys are is believed, on a private network too."""
    async with httpx.AsyncClient(transport=issuer) as client:
        assert await KeySource(client, issuer=ISSUER, jwks_uri="http://auth:8000/keys").key("key-1")
    assert issuer.requests == ["http://auth:8000/keys"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example", "jwks_uri": ISSUER + JWKS},
        {"issuer": ISSUER + "/", "jwks_uri": ISSUER + JWKS},
        {"issuer": [ISSUER], "jwks_uri": ISSUER + JWKS},
        {"jwks_uri": ISSUER + JWKS},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": 5},
        {"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/keys"},
        {"issuer": ISSUER, "jwks_uri": "ftp://issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "https://user:password@issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "/keys"},
    ],
    ids=str,
)
async def test_metadata_that_cannot_be_trusted_is_refused(
    keys: KeySource, issuer: Issuer, reports: list[str], metadata: dict[str, Any]
) -> None:
    """Metadata of another issuer, or with keys at an unsafe place, gives no keys (RFC 8414 §2, §3.3)."""
    issuer.metadata = metadata
    with pytest.raises(KeysUnavailable):
        await keys.key("key-1")
    assert issuer.fetches == 0
    assert reports[0].startswith(("the metadata names", "the jwks_uri"))


def test_issuer_must_be_a_good_one() -> None:
    """A URL that may not name an issuer is refused when the program starts (RFC 8414 §2)."""
    with pytest.raises(ValueError, match="https"):
        KeySource(httpx.AsyncClient(), issuer="http://issuer.example")


async def test_known_key_costs_nothing_within_its_time(keys: KeySource, issuer: Issuer, clock: Clock) -> None:
    """Until four fifths of the max age are over no request goes to the issuer."""
    await keys.key("key-1")
    clock.now += 79
    assert not keys.is_due()
    for _ in range(100):
        assert await keys.key("key-1")
    assert issuer.fetches == 1


async def test_refresh_before_its_time_keeps_nobody_waiting(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """In the last fifth of the max age the keys are fetched in the background, once."""
    await keys.key("key-1")
    issuer.keys.append(NEW_KEY.jwk())
    issuer.open.clear()
    clock.now += 81
    for _ in range(10):
        assert await keys.key("key-1")
    issuer.open.set()
    await settle()
    assert issuer.fetches == 2
    assert await keys.key("key-2")
    assert issuer.fetches == 2


async def test_key_that_was_withdrawn_is_not_used_past_its_time(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """When the max age is over, the first request waits for the new set, and an old key is gone with it."""
    await keys.key("key-1")
    issuer.keys = [NEW_KEY.jwk()]
    clock.now += 101
    assert await keys.key("key-1") is None


def _answers(*arguments: Any, **options: Any) -> Answer:
    return lambda _request: httpx.Response(*arguments, **options)


def _fails(error: Exception) -> Answer:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    return fail


BAD_ANSWERS: dict[str, Answer] = {
    "500": _answers(500, json={"keys": [NEW_KEY.jwk()]}),
    "404": _answers(404),
    "204": _answers(204),
    "redirect": _answers(302, headers={"Location": "https://other.example/keys"}),
    "HTML": _answers(200, text="<html>Please log in to the guest network</html>"),
    "nothing": _answers(200, content=b""),
    "noise": _answers(200, content=bytes(range(256))),
    "array": _answers(200, json=[]),
    "no keys": _answers(200, json={"keys": []}),
    "keys of no use": _answers(200, json={"keys": [{"kty": "oct", "kid": "key-1", "k": "AAAA"}]}),
    "deep nesting": _answers(200, content=b'{"keys":' + b"[" * 100_000),
    "half an answer": _answers(200, content=encode({"keys": [NEW_KEY.jwk()]})[:-20]),
    "too large": _answers(200, content=encode({"keys": [NEW_KEY.jwk()], "x": "y" * jwks.MAX_RESPONSE_BYTES})),
    "compressed": _answers(
        200, content=gzip.compress(encode({"keys": [NEW_KEY.jwk()]})), headers={"Content-Encoding": "gzip"}
    ),
    "no connection": _fails(httpx.ConnectError("refused")),
    "time-out": _fails(httpx.ReadTimeout("slow")),
    "a broken answer": _fails(httpx.RemoteProtocolError("not HTTP")),
    "an error nobody thought of": _fails(RuntimeError("unthought of")),
}


@pytest.mark.parametrize("place", [METADATA, JWKS])
@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_failed_refresh_takes_nothing_away(
    keys: KeySource,
    issuer: Issuer,
    clock: Clock,
    reports: list[str],
    answer: Answer,
    place: str,
) -> None:
    """Whatever the issuer answers, a key that is known stays known, for as long as it takes."""
    await keys.key("key-1")
    generation = keys.generation
    issuer.instead, issuer.instead_of = answer, (place,)
    for _ in range(5):
        clock.now += 1000
        assert await keys.key("key-1")
    assert keys.generation == generation
    assert len(reports) == 5
    issuer.instead, issuer.keys = None, [NEW_KEY.jwk()]
    clock.now += 1000
    assert await keys.key("key-2")


async def test_redirect_is_not_followed(issuer: Issuer) -> None:
    """A redirect leads to nobody knows whom, also when the client would follow it."""
    issuer.instead = BAD_ANSWERS["redirect"]
    async with httpx.AsyncClient(transport=issuer, follow_redirects=True) as client:
        with pytest.raises(KeysUnavailable):
            await KeySource(client, issuer=ISSUER).key("key-1")
    assert issuer.requests == [ISSUER + METADATA]


async def test_cold_start_of_a_thousand_requests_is_one_fetch(keys: KeySource, issuer: Issuer) -> None:
    """However many ask at once, one request goes to the issuer and all get its answer."""
    found = await asyncio.gather(*(keys.key("key-1") for _ in range(1000)))
    assert all(found)
    assert issuer.fetches == 1


async def test_flood_of_unknown_kids_is_one_fetch_per_cool_down(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """Ten thousand invented names cost the issuer one request, and the next one after the cool-down."""
    await keys.key("key-1")
    for number in range(10_000):
        clock.now += 29 / 10_000
        assert await keys.key(f"invented-{number}") is None
    assert issuer.fetches == 2
    clock.now += 2
    for number in range(100):
        await keys.key(f"again-{number}")
    assert issuer.fetches == 3
    assert await keys.key("key-1")


async def test_flood_at_a_cold_start_is_one_fetch(keys: KeySource, issuer: Issuer) -> None:
    """The fetch that brought the first keys counts as the one for the unknown name that caused it."""
    await asyncio.gather(*(keys.key(f"invented-{number}") for number in range(1000)))
    await asyncio.gather(*(keys.key(f"again-{number}") for number in range(1000)))
    assert issuer.fetches == 1


async def test_flood_that_keeps_coming_is_one_fetch_per_cool_down(keys: KeySource, issuer: Issuer) -> None:
    """However the requests of a flood meet the fetch, in its course or at its very end, it stays one."""
    await keys.key("key-1")

    async def drip(number: int) -> None:
        for _ in range(number % 40):
            await asyncio.sleep(0)
        await keys.key(f"invented-{number}")

    await asyncio.gather(*(drip(number) for number in range(2000)))
    assert issuer.fetches == 2


async def test_key_found_by_its_first_token_starts_no_cool_down(keys: KeySource, issuer: Issuer) -> None:
    """Only a name that the issuer does not know either makes the next one wait."""
    await keys.key("key-1")
    for number in range(2, 5):
        issuer.keys.append(IssuerKey.generate(kid=f"key-{number}").jwk())
        assert await keys.key(f"key-{number}")
    assert issuer.fetches == 4


async def test_flood_around_a_good_token_is_one_fetch(keys: KeySource, issuer: Issuer) -> None:
    """A fetch that a good token caused serves the invented names as well that waited for it."""
    await asyncio.gather(keys.key("key-1"), *(keys.key(f"invented-{number}") for number in range(100)))
    await asyncio.gather(*(keys.key(f"again-{number}") for number in range(100)))
    assert issuer.fetches == 1


async def test_new_key_is_known_at_its_first_token(keys: KeySource, issuer: Issuer) -> None:
    """An unknown name causes one fetch, so that a new key works although the old set is still fresh."""
    await keys.key("key-1")
    issuer.keys.append(NEW_KEY.jwk())
    assert await keys.key("key-2")
    assert await keys.key("key-1")
    assert issuer.fetches == 2


async def test_unreachable_issuer_is_asked_once_per_cool_down(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """Without any key everything is refused with 503, the issuer is not asked at each request, and it recovers."""
    issuer.instead = BAD_ANSWERS["no connection"]
    for _ in range(100):
        with pytest.raises(KeysUnavailable, match="ConnectError"):
            await keys.key("key-1")
    assert len(issuer.requests) == 1
    assert issubclass(KeysUnavailable, TemporarilyUnavailable)
    assert KeysUnavailable.status == 503
    assert not await keys.ready()
    issuer.instead = None
    clock.now += jwks.FAILURE_COOLDOWN_SECONDS
    assert await keys.ready()
    assert await keys.key("key-1")


async def test_failed_fetch_for_an_unknown_kid_is_not_repeated_at_once(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """A flood of invented names while the issuer is down stays one request, and known keys work."""
    await keys.key("key-1")
    issuer.instead = BAD_ANSWERS["500"]
    for number in range(100):
        assert await keys.key(f"invented-{number}") is None
    clock.now += 1
    assert await keys.key("key-1")
    assert len(issuer.requests) == 3


async def test_slow_issuer_stops_nobody(
    keys: KeySource, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a known key waits for a slow issuer once and shortly, then not at all until its answer comes."""
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 0.05)
    await keys.key("key-1")
    issuer.open.clear()
    clock.now += 101
    async with asyncio.timeout(1):
        assert await keys.key("key-1")
        clock.now += 0.05
        for _ in range(1000):
            assert await keys.key("key-1")
    assert issuer.fetches == 1  # the second one hangs in the metadata
    issuer.keys = [NEW_KEY.jwk()]
    issuer.open.set()
    await settle()
    assert await keys.key("key-2")


async def test_fetch_that_takes_too_long_is_given_up(
    keys: KeySource, issuer: Issuer, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that never answers ends in an error, not in a fetch that lives for ever."""
    monkeypatch.setattr(jwks, "FETCH_SECONDS", 0.05)
    issuer.open.clear()
    async with asyncio.timeout(1):
        with pytest.raises(KeysUnavailable):
            await keys.key("key-1")
    assert reports == ["TimeoutError"]


async def test_caller_who_goes_away_takes_no_fetch_with_him(keys: KeySource, issuer: Issuer) -> None:
    """A cancelled request does not cancel the fetch that others wait for."""
    issuer.open.clear()
    impatient = asyncio.create_task(keys.key("key-1"))
    patient = asyncio.create_task(keys.key("key-1"))
    await settle()
    impatient.cancel()
    await settle()
    issuer.open.set()
    assert await patient
    assert issuer.fetches == 1


async def test_generation_changes_with_the_keys_alone(keys: KeySource, issuer: Issuer, clock: Clock) -> None:
    """A refresh that brings the same keys, in whatever order and dress, leaves what was derived from them."""
    issuer.keys = [KEY.jwk(), NEW_KEY.jwk()]
    await keys.key("key-1")
    first = keys.generation
    issuer.keys = [NEW_KEY.jwk(use="sig"), KEY.jwk(x5t="other")]
    clock.now += 101
    await keys.key("key-1")
    assert (keys.generation, issuer.fetches) == (first, 2)
    issuer.keys = [NEW_KEY.jwk()]
    clock.now += 101
    await keys.key("key-1")
    assert keys.generation == first + 1


async def test_same_kid_with_another_key_is_another_generation(
    keys: KeySource, issuer: Issuer, clock: Clock
) -> None:
    """The name alone does not make a key: a new key under an old name replaces the old one."""
    await keys.key("key-1")
    first = keys.generation
    other = IssuerKey.generate()
    issuer.keys = [other.jwk()]
    clock.now += 101
    key = await keys.key("key-1")
    assert key is not None
    assert key.verify(b"text", other.sign(b"text"))
    assert not key.verify(b"text", KEY.sign(b"text"))
    assert keys.generation == first + 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"Cache-Control": "max-age=100"}, 100),
        ({"Cache-Control": "public, Max-Age = 100"}, 100),
        ({"Cache-Control": 'max-age="100"'}, 100),
        ({"Cache-Control": "s-maxage=7, max-age=100"}, 100),
        ({"Cache-Control": "max-age=100", "Age": "40"}, 60),
        ({"Cache-Control": "max-age=100", "Age": "soon"}, 100),
        ({"Cache-Control": "max-age=100", "Age": "9" * 30}, 1),
        ({"Cache-Control": "max-age=0"}, 1),
        ({"Cache-Control": "max-age=31536000"}, 3600),
        ({"Cache-Control": "max-age=" + "9" * 5000}, 3600),
        ({"Cache-Control": "max-age=-5"}, 300),
        ({"Cache-Control": "max-age=soon"}, 300),
        ({"Cache-Control": "no-store"}, 30),
        ({"Cache-Control": "no-cache, max-age=100"}, 30),
        ({"Cache-Control": "x-max-age=5"}, 300),
    ],
    ids=lambda value: str(value)[:50],
)
def test_max_age_is_read_and_bounded(headers: dict[str, str], seconds: float) -> None:
    """The issuer says how long its keys count, within bounds in both directions (RFC 9111 §5.2.2)."""
    assert jwks.max_age(httpx.Headers(headers)) == seconds


async def test_report_is_short_and_says_why(keys: KeySource, issuer: Issuer, reports: list[str]) -> None:
    """The operator reads what went wrong, without a word of what the other side sent."""
    issuer.instead = _answers(503, text="secret")
    with pytest.raises(KeysUnavailable, match="the issuer answered 503"):
        await keys.key("key-1")
    assert reports == ["the issuer answered 503"]


async def test_end_of_the_process_ends_the_fetch(keys: KeySource, issuer: Issuer) -> None:
    """Nothing is left running when the cache is closed."""
    issuer.open.clear()
    waiting = asyncio.create_task(keys.key("key-1"))
    await settle()
    await keys.aclose()
    with contextlib.suppress(KeysUnavailable):
        await waiting
    assert keys._flight is not None
    assert keys._flight.cancelled()


async def test_endless_answer_over_a_socket_is_cut_off() -> None:
    """50 MB instead of keys are not read: the connection is cut soon after the bound."""
    sent = 0

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] != JWKS:
            await send({"type": "http.response.body"})
            return
        gone = asyncio.create_task(_until_gone(receive))
        while sent < 50_000_000 and not gone.done():
            await send({"type": "http.response.body", "body": b" " * 65_536, "more_body": True})
            sent += 65_536
            await asyncio.sleep(0)
        gone.cancel()

    listener = listen()
    uri = "http://{}:{}/keys".format(*listener.getsockname())
    async with serving(endless, listener), httpx.AsyncClient(trust_env=False) as client:
        keys = KeySource(client, issuer="http://127.0.0.1:1", jwks_uri=uri)
        with pytest.raises(KeysUnavailable, match="larger"):
            await keys.key("key-1")
    assert sent < 10_000_000


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
