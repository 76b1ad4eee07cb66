"""What is asked of a system of each size, one request after the other on one connection, the sizes in turns."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
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
# What reads all there is takes seconds, and is not judged.
REPORT_TURNS: Final = 5
# A connection of PostgreSQL finds each part of the shared cache by a page fault when it touches it first, and never
# again: what is asked of all rows has been asked so often before, as in a database that has served for a while.
TOUCHES: Final = 20_000
# Prime, and far from every size: taken in such steps, those that come one after the other lie apart.
_STEP: Final = 7_368_787


@dataclass(frozen=True)
class Operation:
    """Requests of a kind: ``count`` of them in a turn of each size, and up to ``before`` in front of the first one."""

    name: str
    requests: Callable[[Grown], Awaitable[Iterator[bytes]]]
    count: int
    before: int = 0
    of_auth: bool = True
    status: int = 200
    at_most: float | None = AT_MOST

    def at_first(self, system: Grown) -> int:
        """Return how many requests come before the first turn: no row is asked for twice only to be asked for."""
        return max(self.count, min(self.before, system.size.clients))


async def warm_client(system: Grown) -> Iterator[bytes]:
    """Return token requests of one client."""
    return itertools.repeat(token_request(system.services.client))


async def _one_of_ten(system: Grown) -> Iterator[bytes]:
    return _clients(system, 10)


async def _another_client(system: Grown) -> Iterator[bytes]:
    return _clients(system, system.size.clients)


def _clients(system: Grown, count: int) -> Iterator[bytes]:
    return (
        http(
            "POST",
            "/token",
            f"Authorization: {system.credentials[number]}",
            body="grant_type=client_credentials",
        )
        for number in apart(count)
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
    return (http("GET", f"/{RESOURCE}/k{number + 1}", bearer) for number in apart(system.size.documents))


def _page(path: str) -> Callable[[Grown], Awaitable[Iterator[bytes]]]:
    async def requests(system: Grown) -> Iterator[bytes]:
        half_a_year = datetime.now(UTC) - timedelta(days=180)
        places = {
            "seldom": f"load-{BUSY_CLIENTS + 7}",
            "half_the_clients": cursor_of([f"load-{system.size.clients // 2 - 1}"]),
            "half_a_year": cursor_of([half_a_year.isoformat(), str(UUID(int=0))]),
            "since": f"{half_a_year:%Y-%m-%dT%H:%M:%SZ}",
            "until": f"{half_a_year + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}",
        }
        bearer = await _bearer(system, of_operator=True)
        return itertools.repeat(http("GET", f"/admin/v1{path.format_map(places)}", bearer))

    return requests


# Pages of the admin API. Of five where there are ten: as many are at the smallest size, too.
_PAGES: Final = {
    "clients, first page": "/clients?limit=5",
    "clients, a page in the middle": "/clients?limit=5&cursor={half_the_clients}",
    "one client": "/clients/load-7",
    "resources": "/resources",
    "callers of a resource": f"/resources/{RESOURCE}/clients?limit=5",
    "callers of a resource that few may call": "/resources/admin/clients",
    "clients of a resource that few may call": "/clients?resource=admin",
    "audit, newest page": "/audit-events",
    "audit, a page half a year deep": "/audit-events?cursor={half_a_year}",
    "audit, a client seldom seen": "/audit-events?client={seldom}",
    "audit, a busy client": "/audit-events?client=load-7",
    "audit, what an actor did": "/audit-events?actor=client:{seldom}",
    # The MD5 of 2, that of the second event.
    "audit, a trace id": "/audit-events?trace_id=c81e728d9d4c2f636f067f89cc14862c",
    "audit, ten of a week half a year ago": "/audit-events?since={since}&until={until}&limit=10",
    "audit, administrative changes": "/audit-events?action=client.*&limit=50",
}
# What reads all there is, when it finds as little as here.
_REPORTS: Final = {
    "clients by a text that none has": "/clients?search=nobody",
    "clients that got no token for 90 days": "/usage/unused-clients",
    "scopes, with their numbers of clients": "/usage/scopes",
}
OPERATIONS: Final = (
    Operation("POST /token, a client in memory", warm_client, 50),
    Operation("POST /token, one of ten clients, not in memory", _one_of_ten, 50),
    Operation("POST /token, any client, not in memory", _another_client, 50, before=TOUCHES),
    Operation("GET document, in memory", document, 75, of_auth=False),
    Operation("GET document, not in memory", _another_document, 50, before=TOUCHES, of_auth=False),
    Operation("GET document, 304", _document_again, 75, of_auth=False, status=304),
    *(Operation(name, _page(path), 10) for name, path in _PAGES.items()),
    *(Operation(name, _page(path), 1, at_most=None) for name, path in _REPORTS.items()),
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
        judged = operation.at_most is not None
        # The first turn makes connections, plans and pages of the database known, and does not count.
        for turn in range(1 + (turns if judged else min(turns, REPORT_TURNS))):
            for system, each in order if turn % 2 else reversed(order):
                url = system.services.auth if operation.of_auth else system.services.resource
                count = operation.count if turn else operation.at_first(system)
                measured = await load(url, each, count=count, status=operation.status)
                if turn:
                    seen[system.size.name].append(measured.percentile(0.5))
        yield Timed(operation.name, seen, operation.at_most)


def apart(count: int) -> Iterator[int]:
    """Return the numbers below ``count``, each once before any comes again, neighbours never together."""
    return (number * _STEP % count for number in itertools.count())


async def _bearer(system: Grown, *, of_operator: bool = False) -> str:
    """Return a header with a token: for the documents, or for the admin API."""
    caller: Registered = system.operator if of_operator else system.services.client
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{system.services.auth}/token", data=GRANT, auth=caller.basic)
    return f"Authorization: Bearer {answer.raise_for_status().json()['access_token']}"
