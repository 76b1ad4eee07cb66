"""An authorization server in the test's own process: metadata, keys, tokens, and tokens that no server would issue."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from steelcut import discovery, in_process
from steelcut.testing import token_endpoint
from steelcut.testing.answers import Reply, asgi_app, transport
from steelcut.testing.clients import Client
from steelcut.testing.signing import SigningKey, keys_of, kid_of

LIFETIME_SECONDS: Final = 300
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - RFC 9068 §2.1, a type


class Issuer:
    """An authorization server that needs no socket and no database.

    Inside its ``with`` block, every guard, verifier and client of Steelcut in this process that is told to trust
    ``url`` finds it: metadata (RFC 8414), key set (RFC 7517) and token endpoint (RFC 6749 §4.4). Without the block,
    hand ``transport`` to whatever takes one of httpx, or serve ``app``, which is ASGI.

    The keys of one ``url`` stay the same while the process lives, so that a guard that is made once and tested many
    times never meets a stranger's token.
    """

    def __init__(
        self,
        url: str = "https://issuer.example.com",
        *,
        algorithm: str = "ES256",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Be the issuer ``url``, signing with ``algorithm`` (ES256, RS256 or EdDSA); ``clock`` in epoch seconds.

        Raises ``ValueError`` when ``url`` cannot name an issuer, or for another algorithm.
        """
        self.url: str = discovery.check_issuer(url)
        self.algorithm = algorithm
        self.clock = clock
        #: What was asked of it, in order: ``"GET /jwks"``.
        self.requests: list[str] = []
        #: False makes it unreachable: over ``transport`` no connection, over ``app`` a 503.
        self.available = True
        self.clients: dict[str, Client] = {}
        self._keys = keys_of(self.url, algorithm)
        self._served = contextlib.ExitStack()

    def __repr__(self) -> str:
        """Name the issuer, and none of its secrets."""
        return f"Issuer({self.url!r})"

    def __enter__(self) -> Self:
        """Answer what this process asks of the origin of ``url``."""
        self._served.enter_context(in_process.served(self.url, self.transport))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the origin to the network again."""
        self._served.close()

    def token(
        self,
        *,
        audience: str | Iterable[str],
        scope: str = "read",
        client_id: str = "test-client",
        expires_in: float = LIFETIME_SECONDS,
        **claims: Any,
    ) -> str:
        """Return a signed access token (RFC 9068 §2.2); ``expires_in`` in seconds from now, negative for the past.

        ``claims`` are added or take the place of those above; None leaves a claim out: ``token(…, jti=None)``.
        """
        return self._sign(self._claims(audience, scope, client_id, expires_in, claims), self._keys[-1])

    def bearer(self, *, audience: str | Iterable[str], scope: str = "read", **token: Any) -> dict[str, str]:
        """Return the Authorization header with a new token (RFC 6750 §2.1); arguments as of ``token``."""
        return {"Authorization": f"Bearer {self.token(audience=audience, scope=scope, **token)}"}

    def forged_token(self, *, audience: str | Iterable[str], scope: str = "read", **token: Any) -> str:
        """Return what ``token`` returns, but signed by somebody else under the name of our key."""
        client_id, expires_in = (
            token.pop("client_id", "test-client"),
            token.pop("expires_in", LIFETIME_SECONDS),
        )
        stranger = SigningKey.generate(self.algorithm, kid=self._keys[-1].kid)
        return self._sign(self._claims(audience, scope, client_id, expires_in, token), stranger)

    def client(
        self, client_id: str, client_secret: str, *, scope: str = "read", audience: str | Iterable[str] = ()
    ) -> Client:
        """Let a client ask the token endpoint for tokens of ``audience`` with up to ``scope``.

        Without ``audience`` it may ask for any ``resource``. The same ``client_id`` again changes the client.
        """
        audiences = (audience,) if isinstance(audience, str) else tuple(audience)
        client = Client(client_id, client_secret, scope, audiences)
        self.clients[client_id] = client
        return client

    def rotate_key(self) -> str:
        """Sign with a new key from now on, and publish the older ones still. Returns the new ``kid``."""
        kid = kid_of(self.algorithm, len(self._keys) + 1)
        self._keys.append(SigningKey.generate(self.algorithm, kid=kid))
        return self._keys[-1].kid

    @property
    def transport(self) -> httpx.MockTransport:
        """The way to this issuer for ``httpx.Client`` and ``httpx.AsyncClient``."""
        return transport(self._answer)

    @property
    def app(self) -> Any:
        """The issuer as an ASGI application, for a server or ``httpx.ASGITransport``."""
        return asgi_app(self._answer)

    def _answer(self, method: str, url: httpx.URL, headers: httpx.Headers, body: bytes) -> Reply | None:
        """Answer one request; None when nobody is there."""
        if not self.available:
            return None
        self.requests.append(f"{method} {url.path}")
        if url.path in self._metadata_paths() and method == "GET":
            return Reply.of(200, self.metadata())
        if url.path == self._path("/jwks") and method == "GET":
            return Reply.of(
                200, {"keys": [key.jwk() for key in self._keys]}, {"Cache-Control": "max-age=300"}
            )
        if url.path == self._path("/token") and method == "POST":
            return token_endpoint.answer(self.clients, headers, body, self._issue)
        return Reply.of(404, {"error": "not_found"})

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of RFC 8414 §2."""
        base = self.url.rstrip("/")
        return {
            "issuer": self.url,
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    def _path(self, end: str) -> str:
        return urlsplit(self.url).path.rstrip("/") + end

    def _metadata_paths(self) -> set[str]:
        return {urlsplit(url).path for url in discovery.metadata_urls(self.url)}

    def _issue(self, client: Client, scope: str, audience: list[str]) -> tuple[str, int]:
        return self.token(audience=audience, scope=scope, client_id=client.client_id), LIFETIME_SECONDS

    def _claims(
        self,
        audience: str | Iterable[str],
        scope: str,
        client_id: str,
        expires_in: float,
        more: dict[str, Any],
    ) -> dict[str, Any]:
        audiences = [audience] if isinstance(audience, str) else list(audience)
        now = self.clock()
        # A token of the past was issued in the past: expired is then all that is wrong with it.
        issued_at = int(min(now, now + expires_in - LIFETIME_SECONDS) if expires_in <= 0 else now)
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": client_id,
            "client_id": client_id,
            "aud": audiences[0] if len(audiences) == 1 else audiences,
            "scope": scope,
            "iat": issued_at,
            "exp": int(now + expires_in),
            "jti": uuid.uuid4().hex,
            **more,
        }
        return {name: value for name, value in claims.items() if value is not None}

    @staticmethod
    def _sign(claims: dict[str, Any], key: SigningKey) -> str:
        return key.sign(claims, TOKEN_TYPE)
