"""`POST /token` and the protected GET beside a bare application, and `/verify` beside that GET: how many a second."""

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
    """Measure each request in turns with what it is compared to: what disturbs one disturbs the other."""
    for name, url, request in (
        ("POST /token", fleet.auth, token_request(fleet.client)),
        ("GET document", fleet.resource, await fleet.document_request()),
    ):
        async with AsyncExitStack() as stack:
            floor = await stack.enter_async_context(floor_of(url, request))
            service, bare = await _in_turns((url, request), (floor, request))
        for row in (*_rows(name, service), *_rows(f"{name}, bare application", bare)):
            yield row
        yield Row(name, "share of the bare application's requests", service.per_second / bare.per_second, "×")
    verify, document = await _in_turns(
        (fleet.resource, await fleet.verify_request()), (fleet.resource, await fleet.document_request())
    )
    for row in _rows("GET /verify", verify):
        yield row
    yield Row(
        "GET /verify", "share of the protected GET's requests", verify.per_second / document.per_second, "×"
    )


def _rows(name: str, measured: Measured) -> list[Row]:
    return [
        Row(name, "requests per second", measured.per_second),
        Row(name, "p50", measured.percentile(0.5), "ms"),
        Row(name, "p99", measured.percentile(0.99), "ms"),
    ]


async def _in_turns(*sides: tuple[str, bytes]) -> list[Measured]:
    """Send each request to its URL, in turns, and return what was measured for each."""
    parts: list[list[Measured]] = [[] for _ in sides]
    for url, request in sides:
        await load(url, request, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
    for _ in range(ROUNDS):
        for part, (url, request) in zip(parts, sides, strict=True):
            part.append(await load(url, request, connections=CONNECTIONS, seconds=ROUND_SECONDS))
    return [together(part) for part in parts]
