"""`POST /token` and the protected GET: how many a second, beside a bare application in the same run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from benchmarks.load import Measured, http, load, together
from benchmarks.processes import floor_of
from benchmarks.table import Row
from tests.support.system import Registered

if TYPE_CHECKING:
    from benchmarks.processes import Fleet

CONNECTIONS = 16
ROUNDS = 4
ROUND_SECONDS = 1.5
WARM_UP_SECONDS = 1.0


def token_request(client: Registered) -> bytes:
    """Return a token request as most libraries send it."""
    header = client.basic._auth_header  # noqa: SLF001 - httpx has no other name for it
    return http("POST", "/token", f"Authorization: {header}", body="grant_type=client_credentials")


async def measure(fleet: Fleet) -> AsyncIterator[Row]:
    """Measure both requests, in turns with their floors: what disturbs one disturbs the other."""
    for name, url, request in (
        ("POST /token", fleet.auth, token_request(fleet.client)),
        ("GET document", fleet.resource, await fleet.document_request()),
    ):
        async with AsyncExitStack() as stack:
            floor = await stack.enter_async_context(floor_of(url, request))
            service, bare = await _in_turns(request, url, floor)
        yield Row(name, "requests per second", service.per_second)
        yield Row(name, "p50", service.percentile(0.5), "ms")
        yield Row(name, "p99", service.percentile(0.99), "ms")
        yield Row(f"{name}, bare application", "requests per second", bare.per_second)
        yield Row(f"{name}, bare application", "p50", bare.percentile(0.5), "ms")
        yield Row(f"{name}, bare application", "p99", bare.percentile(0.99), "ms")
        yield Row(name, "share of the bare application's requests", service.per_second / bare.per_second, "×")


async def _in_turns(request: bytes, *urls: str) -> list[Measured]:
    parts: dict[str, list[Measured]] = {url: [] for url in urls}
    for url in urls:
        await load(url, request, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
    for _ in range(ROUNDS):
        for url in urls:
            parts[url].append(await load(url, request, connections=CONNECTIONS, seconds=ROUND_SECONDS))
    return [together(parts[url]) for url in urls]
