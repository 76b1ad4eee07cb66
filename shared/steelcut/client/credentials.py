"""An access token for every request of an httpx client, asked for, renewed and retried by itself."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from typing import Final

import httpx

from steelcut.client.configuration import configure
from steelcut.client.documents import MAX_DOCUMENT_BYTES, content, get
from steelcut.client.endpoint import EndpointFinder
from steelcut.client.flow import Flow, Step, told, wait_for, wait_for_async
from steelcut.client.keeper import TokenKeeper
from steelcut.client.reach import Reach
from steelcut.client.retries import Retries
from steelcut.client.token_cache import TokenCache
from steelcut.client.token_request import TokenRequest
from steelcut.client.wire import Authentication, Token
from steelcut.discovery import check_url
from steelcut.exchange import TIMEOUT_SECONDS, Exchange, Unreachable
from steelcut.flight import Flight

RETRIES: Final = Retries()
ONCE: Final = Retries(attempts=1)


class ClientCredentials(httpx.Auth):
    """Client credentials (RFC 6749 §4.4) as the ``auth`` of ``httpx.Client`` and ``httpx.AsyncClient``.

    Any number of clients, threads, event loops (asyncio and trio) and tasks may share one object; so may the children
    of a fork. What is not given as an argument comes from the variable in brackets, or from the file that the same
    variable with ``_FILE`` at its end names.

    Args:
        client_id: The client's id [STEELCUT_CLIENT_ID].
        client_secret: Its secret, or a function that returns it, which is called in a thread of its own
            [STEELCUT_CLIENT_SECRET].
        client_secret_file: A file that holds the secret [STEELCUT_CLIENT_SECRET_FILE]. File and function are read
            anew for each token request, so that a rotation of the secret needs no restart.
        issuer: The authorization server; its metadata (RFC 8414) names the token endpoint [STEELCUT_ISSUER]. Given
            as an argument it beats STEELCUT_TOKEN_URL.
        token_url: The token endpoint itself, without asking metadata [STEELCUT_TOKEN_URL].
        resource: The resource or resources to ask a token for (RFC 8707) [STEELCUT_RESOURCE]. When all are URLs, the
            token is sent to their origins only. When neither ``issuer`` nor ``token_url`` is known, the metadata of
            the one resource (RFC 9728) names the issuer, and the token is sent only below its URL.
        scope: The scopes to ask for, separated by spaces [STEELCUT_SCOPE]; by default what the server gives.
        authentication: ``client_secret_basic`` or ``client_secret_post``; None is the former, unless the metadata
            offers the latter only.
        parameters: More members of the token request's form, such as ``{"audience": …}`` for Auth0.
        timeout: Seconds that each request for a token or for metadata may take as a whole.
        retries: How patient to be; None tries everything once.
        cache: Where tokens outlive the process; None keeps them in memory only.
        transport: How to reach the authorization server: a proxy, or a server in a test. Not used for the requests of
            your own client; never closed.
        verify: A TLS context for the authorization server, for a certification authority of your own.
        clock: The time in epoch seconds.

    Raises:
        ValueError: Something is missing or cannot be used; the message says what to give.
    """

    def __init__(  # noqa: PLR0913 - all but two by name, and each has its default
        self,
        client_id: str | None = None,
        client_secret: str | Callable[[], str] | None = None,
        *,
        client_secret_file: str | os.PathLike[str] | None = None,
        issuer: str | None = None,
        token_url: str | None = None,
        resource: str | Iterable[str] = (),
        scope: str | None = None,
        authentication: Authentication | None = None,
        parameters: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        retries: Retries | None = RETRIES,
        cache: TokenCache | None = None,
        transport: httpx.BaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = known = configure(
            client_id=client_id,
            client_secret=client_secret,
            client_secret_file=client_secret_file,
            token_url=token_url,
            issuer=issuer,
            resource=resource,
            scope=scope,
            authentication=authentication,
            parameters=parameters,
        )
        patience = retries or ONCE
        exchange = Exchange(transport, verify)
        exchange.prepare()
        finder = EndpointFinder(known, exchange, timeout)
        keeper = TokenKeeper(
            TokenRequest(known, finder, exchange, patience, timeout),
            clock=clock,
            random=patience.random,
            shelf=cache.entry(known.identity) if cache else None,
        )
        reach = Reach(known.resources, within=known.found_by is not None)
        self._exchange = exchange
        self._timeout = timeout
        self._keeper = keeper
        self._flow = Flow(keeper, finder, patience, reach)

    def __repr__(self) -> str:
        """Show who calls whom for what, and neither secret nor token."""
        known = self._configuration
        shown = {
            "client_id": known.client_id,
            "issuer": known.issuer,
            "token_url": known.token_url,
            "resource": list(known.resources) or None,
            "scope": known.scope,
        }
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"ClientCredentials({given})"

    def token(self) -> Token:
        """Return a token that is good now, the one at hand if there is one. Raises a :class:`ClientError`."""
        return wait_for(self._keeper.token()).token

    async def token_async(self) -> Token:
        """Return the same, on asyncio or trio."""
        return (await wait_for_async(self._keeper.token())).token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorize one request of an ``httpx.Client``.

        What goes wrong on the way to a token is raised as it is, a :class:`ClientError` and not one of httpx, out of
        the call that made the request.
        """
        steps = self._flow.steps(request)
        response: httpx.Response | None = None
        step: Step | None = next(steps)
        while step is not None:
            if isinstance(step, httpx.Request):
                response = yield step
                step = told(steps, response)
            else:
                if response is not None:
                    response.read()  # so that its connection serves others meanwhile
                step.wait()
                step = next(steps)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorize one request of an ``httpx.AsyncClient``; raises as ``sync_auth_flow`` does."""
        steps = self._flow.steps(request)
        response: httpx.Response | None = None
        step: Step | None = next(steps)
        while step is not None:
            if isinstance(step, httpx.Request):
                response = yield step
                step = told(steps, response)
            else:
                if response is not None:
                    await response.aread()
                await step.arrival()
                step = next(steps)

    def fetch(self, url: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Get the protected document at ``url``, of at most ``max_bytes`` bytes, without a client of httpx.

        Over ``transport`` and ``verify`` as the token, within ``timeout`` seconds for each attempt; tried again also
        when no connection can be had. Redirects are not followed. Raises :class:`RequestRefused` with the resource's
        challenge, :class:`Unreachable`, :class:`UnexpectedAnswer`, and ``ValueError`` when the token must not be sent
        to such a URL.
        """
        request = httpx.Request("GET", check_url(url, "document URL"))
        steps = self._flow.steps(request)
        step = next(steps)
        while True:
            if not isinstance(step, httpx.Request):
                step.wait()
                step = next(steps)
                continue
            authorization = step.headers.get("Authorization")
            try:
                answer = get(self._exchange, url, authorization, timeout=self._timeout, max_bytes=max_bytes)
            except Unreachable as failure:
                step = steps.throw(failure)
                continue
            response = httpx.Response(answer.status, headers=dict(answer.headers), request=step)
            following = told(steps, response)
            if following is None:
                return content(answer)
            step = following

    async def fetch_async(self, url: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Do the same on asyncio or trio, in a thread of its own."""
        flight = Flight(lambda: self.fetch(url, max_bytes=max_bytes), name="steelcut-fetch")
        await flight.arrival()
        return flight.result()
