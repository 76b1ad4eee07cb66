"""What is asked of a system of each size, one request after the other on one connection, the sizes in turns."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import httpx

from auth_service.administration.paging import cursor_of
from benchmarks.growth.figures import AT_MOST, Timed
from benchmarks.growth.sizes import BUSY_CLIENTS, Grown
from benchmarks.load import http, load, token_request
from resource_service.document_cache import LARGEST_SHARE, OVERHEAD_BYTES
from tests.support.system import GRANT, RESOURCE, Registered

# Nobody's client or document is in memory when ten come in turns, as few as the small system has: the services keep
# one client, and of documents as large as these some eight.
AUTH_SETTINGS: Final = {"AUTH_CACHE_SIZE": "1"}
RESOURCE_SETTINGS: Final = {"RESOURCE_CACHE_BYTES": str(LARGEST_SHARE * (OVERHEAD_BYTES + 200))}
# As many clients are there besides at the smallest size.
PAGE: Final = 5
# Prime, and far from every size: taken in such steps, those that come one after the other lie apart.
_STEP: Final = 7_368_787
_ADMIN: Final = "/admin/v1"


@dataclass(frozen=True)
class Operation:
    """Requests of a kind; ``count`` of them in a turn of each size."""

    name: str
    requests: Callable[[Grown], Awaitable[Iterator[bytes]]]
    count: int
    of_auth: bool = True
    status: int = 200
    at_most: float | None = AT_MOST


async def warm_client(system: Grown) -> Iterator[bytes]:
    """Return token requests of one client."""
    return itertools.repeat(token_request(system.services.client))


async def _another_client(system: Grown) -> Iterator[bytes]:
    return (
        http(
            "POST",
            "/token",
            f"Authorization: {system.credentials[number]}",
            body="grant_type=client_credentials",
        )
        for number in _apart(system.size.clients)
    )


async def document(system: Grown) -> Iterator[bytes]:
    """Return requests of one document, with a fresh token."""
    return itertools.repeat(http("GET", f"/{RESOURCE}", await _bearer(system)))


async def _document_again(system: Grown) -> Iterator[bytes]:
    bearer = await _bearer(system)
    async with httpx.AsyncClient(trust_env=False) as client:
        name, _, value = bearer.partition(": ")
        answer = await client.get(f"{system.services.resource}/{RESOURCE}", headers={name: value})
    tag = answer.raise_for_status().headers["etag"]
    return itertools.repeat(http("GET", f"/{RESOURCE}", bearer, f"If-None-Match: {tag}"))


async def _another_document(system: Grown) -> Iterator[bytes]:
    bearer = await _bearer(system)
    return (http("GET", f"/{RESOURCE}/k{number + 1}", bearer) for number in _apart(system.size.documents))


def _admin(
    path: str, parameters: Callable[[Grown], Mapping[str, str]] | None = None
) -> Callable[..., Awaitable[Iterator[bytes]]]:
    async def requests(system: Grown) -> Iterator[bytes]:
        query = f"?{urlencode(parameters(system))}" if parameters else ""
        return itertools.repeat(
            http("GET", f"{_ADMIN}{path}{query}", await _bearer(system, of_operator=True))
        )

    return requests


def _events(
    parameters: Callable[[Grown], Mapping[str, str]] | None = None,
) -> Callable[..., Awaitable[Iterator[bytes]]]:
    return _admin("/audit-events", parameters)


def _middle(days: float = 0) -> datetime:
    return datetime.now(UTC) - timedelta(days=180 - days)


def _half_way(system: Grown) -> Mapping[str, str]:
    return {"limit": str(PAGE), "cursor": cursor_of([f"load-{system.size.clients // 2 - 1}"])}


OPERATIONS: Final = (
    Operation("POST /token, a client in memory", warm_client, 200),
    Operation("POST /token, a client not in memory", _another_client, 200),
    Operation("GET document, in memory", document, 300, of_auth=False),
    Operation("GET document, not in memory", _another_document, 200, of_auth=False),
    Operation("GET document, 304", _document_again, 300, of_auth=False, status=304),
    Operation("clients, first page", _admin("/clients", lambda _: {"limit": str(PAGE)}), 50),
    Operation("clients, a page in the middle", _admin("/clients", _half_way), 50),
    Operation("one client", _admin("/clients/load-7"), 50),
    Operation("resources", _admin("/resources"), 50),
    Operation(
        "callers of a resource", _admin(f"/resources/{RESOURCE}/clients", lambda _: {"limit": str(PAGE)}), 50
    ),
    Operation("callers of a resource that few may call", _admin("/resources/admin/clients"), 50),
    Operation("audit, newest page", _events(), 30),
    Operation(
        "audit, a page half a year deep",
        _events(lambda _: {"cursor": cursor_of([_middle().isoformat(), str(UUID(int=0))])}),
        30,
    ),
    Operation("audit, a client seldom seen", _events(lambda _: {"client": f"load-{BUSY_CLIENTS + 7}"}), 30),
    Operation("audit, a busy client", _events(lambda _: {"client": "load-7"}), 30),
    Operation(
        "audit, what an actor did", _events(lambda _: {"actor": f"client:load-{BUSY_CLIENTS + 7}"}), 30
    ),
    Operation("audit, a trace id", _events(lambda _: {"trace_id": "c81e728d9d4c2f636f067f89cc14862c"}), 30),
    Operation(
        "audit, ten of a week half a year ago",
        _events(lambda _: {"since": _middle().isoformat(), "until": _middle(7).isoformat(), "limit": "10"}),
        30,
    ),
    Operation("audit, administrative changes", _events(lambda _: {"action": "client.*", "limit": "50"}), 10),
    Operation(
        "clients by a text that none has", _admin("/clients", lambda _: {"search": "nobody"}), 1, at_most=None
    ),
    Operation(
        "clients of a resource that few may call",
        _admin("/clients", lambda _: {"resource": "admin"}),
        1,
        at_most=None,
    ),
    Operation("clients that got no token for 90 days", _admin("/usage/unused-clients"), 1, at_most=None),
    Operation("scopes, with their numbers of clients", _admin("/usage/scopes"), 1, at_most=None),
)


@contextlib.asynccontextmanager
async def serving(systems: Sequence[Grown]) -> AsyncIterator[None]:
    """Run both services of each system, with the admin API and with caches too small for ten."""
    async with contextlib.AsyncExitStack() as stack:
        for services in (system.services for system in systems):
            of_admin = {"AUTH_ADMIN_DATABASE_URL": services.databases.auth_admin}
            await stack.enter_async_context(services.auth_service(**AUTH_SETTINGS, **of_admin))
            await stack.enter_async_context(services.resource_service(**RESOURCE_SETTINGS))
        yield


async def measure(systems: Sequence[Grown], turns: int) -> AsyncIterator[Timed]:
    """Measure every operation at every size, ``turns`` times: the sizes upwards, then downwards, and so on."""
    for operation in OPERATIONS:
        requests = [await operation.requests(system) for system in systems]
        seen: dict[str, list[float]] = {system.size.name: [] for system in systems}
        order = list(zip(systems, requests, strict=True))
        # The first turn makes connections, plans and pages of the database known, and does not count.
        for turn in range(turns + 1):
            for system, each in order if turn % 2 else reversed(order):
                url = system.services.auth if operation.of_auth else system.services.resource
                measured = await load(url, each, count=operation.count, status=operation.status)
                if turn:
                    seen[system.size.name].append(measured.percentile(0.5))
        yield Timed(operation.name, seen, operation.at_most)


def _apart(count: int) -> Iterator[int]:
    """Return the numbers below ``count``, each once before any comes again, neighbours never together."""
    return (number * _STEP % count for number in itertools.count())


async def _bearer(system: Grown, *, of_operator: bool = False) -> str:
    """Return a header with a token: for the documents, or for the admin API."""
    caller: Registered = system.operator if of_operator else system.services.client
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{system.services.auth}/token", data=GRANT, auth=caller.basic)
    return f"Authorization: Bearer {answer.raise_for_status().json()['access_token']}"
