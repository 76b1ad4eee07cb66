"""An issuer without a socket, and a clock that stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx

from steelcut.jwks import KeySource
from tests.support.tokens import IssuerKey

ISSUER = "https://issuer.example"
OPENID = "/.well-known/openid-configuration"
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


class Issuer(httpx.BaseTransport):
    """An issuer without a socket, whose answers a test chooses and whose requests are counted."""

    def __init__(self) -> None:
        self.keys: list[Any] = [KEY.jwk()]
        self.metadata: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": ISSUER + JWKS}
        self.cache_control = "max-age=100"
        self.requests: list[str] = []
        self.instead: Answer | None = None
        self.instead_of: tuple[str, ...] = (METADATA, JWKS)
        self.open = threading.Event()
        self.open.set()
        # Called when the answer with the keys is made, before it reaches anybody.
        self.under_way: Callable[[], object] = lambda: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the test wants it, once the issuer is open."""
        self.requests.append(str(request.url))
        self.open.wait()
        instead = self.instead if request.url.path in self.instead_of else None
        answer = (instead or self.answer)(request)
        if request.url.path == JWKS:
            self.under_way()
        # As it comes from a socket: not read yet.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer as a good issuer does."""
        if request.url.path.endswith(OPENID):
            return httpx.Response(404)
        if request.url.path.startswith(METADATA):
            return httpx.Response(200, json=self.metadata)
        return httpx.Response(200, json={"keys": self.keys}, headers={"Cache-Control": self.cache_control})

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return sum(url.endswith(JWKS) for url in self.requests)


def answers(*arguments: Any, **options: Any) -> Answer:
    """Answer with this."""
    return lambda _request: httpx.Response(*arguments, **options)


def fails(error: Exception) -> Answer:
    """Raise this instead of an answer."""

    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    return fail


def settle(keys: KeySource) -> None:
    """Let the fetch in the air come to its end."""
    assert keys._fetch is not None
    assert keys._fetch.flight is not None
    keys._fetch.flight.wait()
