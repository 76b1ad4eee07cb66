"""What the library for callers and guards adds to a call, beside its peers; in this process, without a socket."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from statistics import median
from typing import Annotated, Any

import httpx
import jwt
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from fastapi import Depends, FastAPI
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from benchmarks.table import Row
from steelcut import Claims, ClientCredentials, Guard, Verifier
from steelcut.testing import Issuer

AUDIENCE = "https://api.example.com/reports"
# Where httpx2 is installed, Authlib's clients are of that and not of httpx.
_BELOW_AUTHLIB: Any = import_module(
    next(base for base in OAuth2Client.__mro__ if base.__name__ == "Client").__module__.partition(".")[0]
)
ROUNDS = 15
CALLS = 200
TOKENS = 100


async def measure() -> AsyncIterator[Row]:
    """Measure each pair in turns, and give the median of the rounds as a ratio."""
    with Issuer("https://issuer.example.com") as issuer:
        for row in _verifying(issuer):
            yield row
        async for row in _guarding(issuer):
            yield row
        for row in _calling(issuer):
            yield row
        async for row in _calling_async(issuer):
            yield row


def _verifying(issuer: Issuer) -> list[Row]:
    tokens = [issuer.token(audience=AUDIENCE) for _ in range(TOKENS)]
    remembering = Verifier(issuer.url, audience=AUDIENCE)
    forgetting = Verifier(issuer.url, audience=AUDIENCE, cache_size=0)
    remembering.verify(tokens[0])
    forgetting.verify(tokens[0])
    with httpx.Client(transport=issuer.transport) as http:
        published = http.get(f"{issuer.url}/jwks").json()
    key = jwt.PyJWKSet.from_dict(published).keys[0]
    key_set = KeySet.import_key_set(published)

    def pyjwt(token: str) -> object:
        return jwt.decode(token, key, audience=AUDIENCE, issuer=issuer.url)

    def joserfc(token: str) -> object:
        return joserfc_jwt.decode(token, key_set)

    new = _ratio(
        lambda: [forgetting.verify(token) for token in tokens], lambda: [pyjwt(token) for token in tokens]
    )
    other = _ratio(
        lambda: [forgetting.verify(token) for token in tokens], lambda: [joserfc(token) for token in tokens]
    )
    known = _ratio(
        lambda: [remembering.verify(tokens[0]) for _ in tokens], lambda: [pyjwt(tokens[0]) for _ in tokens]
    )
    return [
        Row("Verifier, a token seen first", "time beside PyJWT's decode", new, "x"),
        Row("Verifier, a token seen first", "time beside joserfc's decode", other, "x"),
        Row("Verifier, a token known", "time beside PyJWT's decode", known, "x"),
    ]


async def _guarding(issuer: Issuer) -> AsyncIterator[Row]:
    guard = Guard(issuer.url, audience=AUDIENCE)
    app = FastAPI()

    @app.get("/open")
    async def open_to_all() -> dict[str, str]:
        return {"for": "anybody"}

    @app.get("/guarded")
    async def guarded(client: Annotated[Claims, Depends(guard("read"))]) -> dict[str, str]:
        return {"for": client.client_id}

    headers = issuer.bearer(audience=AUDIENCE)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="https://api.example.com"
    ) as http:

        async def fetch(path: str) -> None:
            for _ in range(CALLS):
                answer = await http.get(path, headers=headers)
                answer.raise_for_status()

        ratio = await _ratio_async(lambda: fetch("/guarded"), lambda: fetch("/open"))
    yield Row("FastAPI route with the guard", "time beside the route without", ratio, "x")


def _calling(issuer: Issuer) -> list[Row]:
    issuer.client("reports", "s3cret", audience=AUDIENCE)
    ours = ClientCredentials("reports", "s3cret", issuer=issuer.url)
    with (
        httpx.Client(transport=_serving(httpx), auth=ours) as with_ours,
        httpx.Client(transport=_serving(httpx), headers=_bearer(ours)) as by_hand,
        _BELOW_AUTHLIB.Client(transport=_serving(_BELOW_AUTHLIB), headers=_bearer(ours)) as below_authlib,
        OAuth2Client("reports", token=_token(ours), transport=_serving(_BELOW_AUTHLIB)) as authlib,
    ):

        def fetch(http: Any) -> Callable[[], None]:
            def times() -> None:
                for _ in range(CALLS):
                    http.get("https://api.example.com/reports")

            return times

        figure = "time beside a fixed header"
        return [
            Row("sync client, ClientCredentials", figure, _ratio(fetch(with_ours), fetch(by_hand)), "x"),
            Row("sync client, Authlib", figure, _ratio(fetch(authlib), fetch(below_authlib)), "x"),
        ]


async def _calling_async(issuer: Issuer) -> AsyncIterator[Row]:
    ours = ClientCredentials("reports", "s3cret", issuer=issuer.url)
    headers = _bearer(ours)
    async with (
        httpx.AsyncClient(transport=_serving(httpx), auth=ours) as with_ours,
        httpx.AsyncClient(transport=_serving(httpx), headers=headers) as by_hand,
        _BELOW_AUTHLIB.AsyncClient(transport=_serving(_BELOW_AUTHLIB), headers=headers) as below_authlib,
        AsyncOAuth2Client("reports", token=_token(ours), transport=_serving(_BELOW_AUTHLIB)) as authlib,
    ):

        def fetch(http: Any) -> Callable[[], Awaitable[None]]:
            async def times() -> None:
                for _ in range(CALLS):
                    await http.get("https://api.example.com/reports")

            return times

        for subject, one, other in (
            ("async client, ClientCredentials", with_ours, by_hand),
            ("async client, Authlib", authlib, below_authlib),
        ):
            ratio = await _ratio_async(fetch(one), fetch(other))
            yield Row(subject, "time beside a fixed header", ratio, "x")


def _serving(library: Any) -> Any:
    """Return a transport of httpx, or of what Authlib uses in its place, without a socket."""
    return library.MockTransport(lambda _: library.Response(200, json={}))


def _bearer(ours: ClientCredentials) -> dict[str, str]:
    return {"Authorization": f"Bearer {ours.token().value}"}


def _token(ours: ClientCredentials) -> dict[str, Any]:
    """Return our token as Authlib keeps it."""
    return {"access_token": ours.token().value, "token_type": "Bearer", "expires_at": int(time.time()) + 300}


def _ratio(one: Callable[[], Any], other: Callable[[], Any]) -> float:
    ratios = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        one()
        middle = time.perf_counter()
        other()
        ratios.append((middle - begin) / (time.perf_counter() - middle))
    return median(ratios)


async def _ratio_async(one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]) -> float:
    ratios = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        await one()
        middle = time.perf_counter()
        await other()
        ratios.append((middle - begin) / (time.perf_counter() - middle))
    return median(ratios)
