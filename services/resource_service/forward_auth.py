"""``/verify``: a proxy asks whether a request may pass to what stands behind it.

nginx calls this ``auth_request``, Traefik ForwardAuth, Caddy ``forward_auth``, Envoy ``ext_authz`` over HTTP. The
request is the caller's, by its headers; the query is the proxy's, written once in its configuration. No database is
asked. Plain ASGI, as ``document_endpoint`` is: this stands before every request of somebody's service.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from starlette.routing import BaseRoute, Match

from resource_service.errors import MalformedDemand, UnreadableCredentials, UntoldClient
from resource_service.names import NAME, RESERVED
from steelcut.claims import SCOPE
from steelcut.discovery import check_resource_identifier
from steelcut.errors import MalformedAuthorization
from steelcut.guard import Guard
from steelcut.service.http.headers import values

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from resource_service.settings import ResourceSettings
    from resource_service.state import Process
    from steelcut.claims import Claims

PATH: Final = "/verify"
CLIENT_ID_HEADER: Final = "X-Client-Id"
SCOPE_HEADER: Final = "X-Scope"
EXPIRES_HEADER: Final = "X-Token-Expires"

PARAMETERS: Final = ("resource", "scope", "any_scope")
# Takes all that follows it, whatever that is: Envoy puts the path and the query of the caller there.
CALLERS_PATH: Final = b"&path="
# How many queries are remembered; proxies have as many as there are guarded routes.
MAX_DEMANDS: Final = 250
# How a value may be written. No slash: were `path=` forgotten, the caller's path would lengthen the last value, and a
# path begins with a slash.
_WRITTEN: Final = re.compile(r"(?:[A-Za-z0-9._~:+-]|%[0-9A-Fa-f]{2})+")
_SCHEME: Final = re.compile(r"https?://")
# What every proxy and every server hands on as it is: a space at an end would be cut off, and another client named.
_TOLD: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a token must be good for: the ``resource``, all of ``scopes``, and one of ``any_of`` if there are any."""

    resource: str
    scopes: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()


class ForwardAuthRoute(BaseRoute):
    """The route of ``/verify``, and of nothing below it."""

    name = "verify"

    def __init__(self, settings: ResourceSettings) -> None:
        """Read queries by ``settings``: each is read once, as the proxies send few and always the same."""
        self._demand = lru_cache(MAX_DEMANDS)(lambda query: read_demand(query, settings))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match any method: Envoy asks with the caller's."""
        return Match.FULL if scope["type"] == "http" and scope["path"] == PATH else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - content is not read
        """Answer 200 with what the token says, or as the guard refuses it."""
        process: Process = scope["app"].state.process
        demand = self._demand(configured(scope["query_string"]))
        scope["log"]["resource"] = demand.resource

        claims = await _admit(process, demand, values(scope, b"authorization"))
        scope["log"]["client_id"] = claims.client_id
        headers = [(name.lower().encode(), value.encode()) for name, value in told(claims).items()]
        headers += [(b"cache-control", b"no-store"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def configured(query: bytes) -> bytes:
    """Return what the proxy's configuration wrote: all before ``&path=``, behind which the caller's path stands."""
    return query.partition(CALLERS_PATH)[0]


def read_demand(query: bytes, settings: ResourceSettings) -> Demand:
    """Return what the query of a proxy's configuration asks for. Raises ``MalformedDemand``.

    ``resource`` is an identifier, or the name of a resource of this service. ``scope`` and ``any_scope`` are scopes
    with a space between them. Each stands once, and nothing else.
    """
    given: dict[str, str] = {}
    for pair in query.decode("latin-1").split("&") if query else ():
        name, _, value = pair.partition("=")
        if name not in PARAMETERS:
            raise MalformedDemand(
                "a parameter that is none of resource, scope, any_scope and, at the end, path"
            )
        if name in given:
            raise MalformedDemand(f"{name} stands there twice")
        given[name] = _decoded(name, value)
    if "resource" not in given:
        raise MalformedDemand("no resource")
    return Demand(
        _identifier(given["resource"], settings),
        _scopes("scope", given.get("scope")),
        _scopes("any_scope", given.get("any_scope")),
    )


def told(claims: Claims) -> dict[str, str]:
    """Return the headers that tell the service behind the proxy who calls.

    ``X-Client-Id``; ``X-Scope``, all scopes of the token, sorted, a space between them; ``X-Token-Expires``, whole
    seconds since the epoch. Raises ``UntoldClient`` when no header can hold the client id unchanged.
    """
    if not _TOLD.fullmatch(claims.client_id):
        raise UntoldClient("no header can hold this client id unchanged")
    return {
        CLIENT_ID_HEADER: claims.client_id,
        SCOPE_HEADER: " ".join(sorted(claims.scopes)),
        EXPIRES_HEADER: str(int(claims.expires_at)),
    }


async def _admit(process: Process, demand: Demand, authorization: Sequence[str]) -> Claims:
    guard = Guard(verifier=process.verifier, audience=demand.resource)
    try:
        return await guard.admit(authorization, demand.scopes, demand.any_of)
    except MalformedAuthorization as refusal:
        raise UnreadableCredentials(refusal.reason, headers=refusal.headers()) from refusal


def _decoded(name: str, written: str) -> str:
    scheme = _SCHEME.match(written) if name == "resource" else None
    start = scheme.end() if scheme else 0
    if not _WRITTEN.fullmatch(written, start):
        raise MalformedDemand(f"{name} is empty or not percent-encoded: write %2F for a slash")
    value = unquote_to_bytes(written.replace("+", " "))
    if not value.isascii():
        raise MalformedDemand(f"{name} is not ASCII")
    return value.decode()


def _identifier(resource: str, settings: ResourceSettings) -> str:
    if NAME.fullmatch(resource) and resource not in RESERVED:
        return settings.identifier(resource)
    try:
        return check_resource_identifier(resource)
    except ValueError as mistake:
        raise MalformedDemand(f"{mistake}, or the name of a resource of this service") from None


def _scopes(name: str, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    if not SCOPE.fullmatch(value):
        raise MalformedDemand(f"{name} is no list of scopes with one space between them")
    return tuple(value.split(" "))
