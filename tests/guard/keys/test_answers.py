"""What the issuer may answer, and what no bad answer can take away."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import pytest

from steelcut import jwks
from steelcut.exchange import MAX_ANSWER_BYTES, Exchange
from steelcut.jwks import KeySource, KeysUnavailable
from tests.guard.keys.issuer import (
    ISSUER,
    JWKS,
    METADATA,
    NEW_KEY,
    OPENID,
    Answer,
    Clock,
    Issuer,
    answers,
    fails,
)
from tests.support.system import listen, serving
from tests.support.tokens import encode


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
        await keys.key_async("key-1")
    assert issuer.fetches == 0
    assert reports[0].startswith("The metadata ")


BAD_ANSWERS: dict[str, Answer] = {
    "500": answers(500, json={"keys": [NEW_KEY.jwk()]}),
    "404": answers(404),
    "204": answers(204),
    "redirect": answers(302, headers={"Location": "https://other.example/keys"}),
    "HTML": answers(200, text="<html>Please log in to the guest network</html>"),
    "nothing": answers(200, content=b""),
    "noise": answers(200, content=bytes(range(256))),
    "array": answers(200, json=[]),
    "no keys": answers(200, json={"keys": []}),
    "keys of no use": answers(200, json={"keys": [{"kty": "oct", "kid": "key-1", "k": "AAAA"}]}),
    "deep nesting": answers(200, content=b'{"keys":' + b"[" * 100_000),
    "half an answer": answers(200, content=encode({"keys": [NEW_KEY.jwk()]})[:-20]),
    "too large": answers(200, content=encode({"keys": [NEW_KEY.jwk()], "x": "y" * MAX_ANSWER_BYTES})),
    "compressed": answers(
        200, content=gzip.compress(encode({"keys": [NEW_KEY.jwk()]})), headers={"Content-Encoding": "gzip"}
    ),
    "no connection": fails(httpx.ConnectError("refused")),
    "time-out": fails(httpx.ReadTimeout("slow")),
    "a broken answer": fails(httpx.RemoteProtocolError("not HTTP")),
    "an error nobody thought of": fails(RuntimeError("unthought of")),
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
    await keys.key_async("key-1")
    known = keys.known
    issuer.instead, issuer.instead_of = answer, (place,)
    for _ in range(5):
        clock.now += 1000
        assert await keys.key_async("key-1")
    assert keys.known is known
    assert len(reports) == 5
    issuer.instead, issuer.keys = None, [NEW_KEY.jwk()]
    clock.now += 1000
    assert await keys.key_async("key-2")


def test_redirect_is_not_followed(issuer: Issuer) -> None:
    """A redirect leads to nobody knows whom."""
    issuer.instead, issuer.instead_of = BAD_ANSWERS["redirect"], (METADATA, OPENID)
    with pytest.raises(KeysUnavailable):
        KeySource(ISSUER, exchange=Exchange(issuer)).key("key-1")
    assert {url.removeprefix(ISSUER) for url in issuer.requests} == {METADATA, OPENID}


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
    issuer.instead = answers(503, text="secret")
    with pytest.raises(KeysUnavailable, match=r"gave no metadata \(status 503\)"):
        await keys.key_async("key-1")
    assert reports == [f"{ISSUER}{METADATA} gave no metadata (status 503)."]


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
    async with serving(endless, listener):
        keys = KeySource("http://127.0.0.1:1", jwks_uri=uri)
        with pytest.raises(KeysUnavailable, match="more than 262144 bytes"):
            await keys.key_async("key-1")
    assert sent < 10_000_000


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
