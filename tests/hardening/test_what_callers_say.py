"""What callers say of themselves and of us is not repeated: ids of requests, our own name, the page that asks."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.flow.odd_requests import HOST, head
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, System
from tests.support.wire import exchange

THEIRS = "feedfacefeedfacefeedfacefeedface"
ID_FIELDS = ("X-Trace-Id", "X-Request-Id", "X-Correlation-Id", "Request-Id")
ELSEWHERE = "evil.example"
NAMING = {
    "Host": ELSEWHERE,
    "X-Forwarded-Host": ELSEWHERE,
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": f"/{ELSEWHERE}",
    "X-Original-URL": f"/{ELSEWHERE}",
    "Forwarded": f"host={ELSEWHERE};proto=gopher",
}
WELL_KNOWN = "/.well-known/oauth-authorization-server"


def bases(system: System) -> tuple[str, str]:
    """Return where both services are."""
    return system.issuer, system.resource_base


@pytest.mark.parametrize("name", ID_FIELDS)
async def test_id_of_a_request_is_ours(system: System, name: str) -> None:
    """On the busy routes and the others, for what is there and what is not: fresh each time, and theirs is nowhere."""
    ids = []
    for base in bases(system):
        async with http_client(base_url=base, headers={name: THEIRS}) as http:
            answers = [
                await http.post("/token", data=GRANT, auth=system.client.basic),
                await http.post("/token", data=GRANT, auth=("nobody", "nothing")),
                *[
                    await http.get(path)
                    for path in ("/healthz", f"/{RESOURCE}", "/verify", "/no/such/path", "/docs")
                ],
            ]
        for answer in answers:
            ids.append(answer.headers["x-trace-id"])
            assert THEIRS not in str(answer.headers) + answer.text
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    assert len(set(ids)) == len(ids)
    assert THEIRS not in system.log.text


async def test_id_of_what_never_became_a_request_is_ours(system: System) -> None:
    """Refusals below HTTP too."""
    for base in bases(system):
        refused = await exchange(base, head(b"GET / HTTP/1.1", HOST, HOST, b"X-Trace-Id: " + THEIRS.encode()))
        assert refused is not None
        assert refused.status == 400
        assert re.fullmatch(r"[0-9a-f]{32}", refused.header("x-trace-id") or "")
        assert refused.header("x-trace-id") != THEIRS


async def test_nobody_tells_us_our_name(system: System) -> None:
    """Every URL in an answer comes from the settings: a shared cache cannot be made to lead elsewhere."""
    paths = {
        system.issuer: (WELL_KNOWN, "/openapi.json", "/docs", "/authorize", "/nothing"),
        system.resource_base: (
            f"/.well-known/oauth-protected-resource/{RESOURCE}",
            f"/{RESOURCE}",
            "/verify",
            "/openapi.json",
            "/docs",
        ),
    }
    for base, known in paths.items():
        async with http_client(base_url=base, headers=NAMING) as http:
            answers: list[httpx.Response] = [await http.get(path) for path in known]
        for answer in answers:
            assert ELSEWHERE not in str(answer.headers) + answer.text, answer.url
            assert "gopher" not in str(answer.headers) + answer.text, answer.url
        assert answers[0].is_success


async def test_pages_of_other_origins_read_nothing(system: System) -> None:
    """No answer allows it (CORS): a browser is no place for a client's secret."""
    for base in bases(system):
        async with http_client(base_url=base, headers={"Origin": f"https://{ELSEWHERE}"}) as http:
            answers = [
                await http.post("/token", data=GRANT, auth=system.client.basic),
                *[await http.get(path) for path in (WELL_KNOWN, "/healthz", f"/{RESOURCE}", "/openapi.json")],
                *[
                    await http.options(
                        path,
                        headers={
                            "Access-Control-Request-Method": "POST",
                            "Access-Control-Request-Headers": "authorization",
                        },
                    )
                    for path in ("/token", f"/{RESOURCE}", "/healthz")
                ],
            ]
        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control-")]
