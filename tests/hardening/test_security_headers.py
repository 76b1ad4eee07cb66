"""Every answer of both services tells a browser to sniff, show, frame and refer to nothing: over real sockets."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpx
import pytest

from steelcut.service.http.head import MAX_HEAD_BYTES, MAX_TARGET_BYTES
from steelcut.service.http.security_headers import POLICY
from tests.flow.odd_requests import HOST, MALFORMED, RARE, head, shown
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.replicas import auth_replicas, resource_replicas
from tests.support.system import GRANT, RESOURCE, System, listen, running_system, serving
from tests.support.wire import Answer, Wire, exchange

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
EXPECTED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": POLICY,
}
PAGES = ("/docs", "/docs/oauth2-redirect")
NOT_DESCRIBED = (
    "/openapi.json",
    "/docs/assets/swagger-ui.css",
    "/docs/assets/none",
    "/nothing/at/all",
    "/authorize",
)
SENT_TO_BOTH = [
    *MALFORMED,
    *(request for request, _ in RARE),
    head(b"GET /%s HTTP/1.1" % (b"a" * MAX_TARGET_BYTES), HOST),
    head(b"GET /healthz HTTP/1.1", HOST, b"X: %s" % (b"a" * MAX_HEAD_BYTES)),
    head(b"POST /token HTTP/1.1", HOST, b"Content-Length: 70000") + b"a" * 70_000,
    head(b"GET /healthz HTTP/1.1", HOST, b"Connection: close"),
    head(b"POST /token HTTP/1.1", HOST, b"Expect: 100-continue", b"Content-Length: 3"),
]


@pytest.fixture(scope="module")
async def administered(templates: Templates) -> AsyncIterator[System]:
    """A system of this file's own with all routes that there are."""
    async with running_system(await templates.clone(), admin=True) as system:
        yield system


def fields_of(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return what an answer says of each field that is looked at."""
    found: dict[str, list[str]] = {name: [] for name in (*EXPECTED, "strict-transport-security")}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    return found


def check(headers: Iterable[tuple[str, str]], *, https: bool = False) -> None:
    """Fail unless each field stands once."""
    transport = ["max-age=31536000"] if https else []
    expected = {name: [value] for name, value in EXPECTED.items()}
    assert fields_of(headers) == {**expected, "strict-transport-security": transport}


def routes(description: dict[str, object]) -> Iterator[str]:
    """Return the path of every route, with something in the place of its parameters."""
    paths = description["paths"]
    assert isinstance(paths, dict)
    yield from (re.sub(r"\{\w+\}", "x", path) for path in paths)
    yield from NOT_DESCRIBED


@pytest.mark.parametrize("service", ["auth", "resource"])
async def test_every_route_by_every_method(administered: System, service: str) -> None:
    """With and without success, with content and without."""
    base = administered.issuer if service == "auth" else administered.resource_base
    statuses = set()
    async with http_client(base_url=base) as http:
        for path in routes((await http.get("/openapi.json")).json()):
            for method in METHODS:
                answer = await http.request(method, path)
                statuses.add(answer.status_code)
                check(answer.headers.multi_items())
    assert {200, 401, 404, 405} <= statuses
    assert not {status for status in statuses if status >= 500}


async def test_what_is_given_out(system: System) -> None:
    """A token, the document that it opens, and the same document again, which has not changed."""
    async with http_client() as http:
        token = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
        bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
        document = await http.get(system.document_url, headers=bearer)
        same = await http.get(
            system.document_url, headers={**bearer, "If-None-Match": document.headers["etag"]}
        )
        refused = await http.post(system.token_url, data=GRANT, auth=("nobody", "nothing"))
        verified = await http.get(f"{system.resource_base}/verify", params={"scope": "read"}, headers=bearer)
    answers = (token, document, same, refused, verified)
    assert [answer.status_code for answer in answers[:4]] == [200, 200, 304, 401]
    for answer in answers:
        check(answer.headers.multi_items())


@pytest.mark.parametrize("request_", SENT_TO_BOTH, ids=shown)
@pytest.mark.parametrize("service", ["auth", "resource"])
async def test_what_no_good_client_sends(system: System, service: str, request_: bytes) -> None:
    """Refusals below HTTP, where no application is asked, as well."""
    url = system.issuer if service == "auth" else system.resource_base
    answer = await exchange(url, request_)
    # Some of them end without an answer.
    if answer is not None:
        check(answer.headers)


@pytest.mark.parametrize("bound", ["max_waiting_requests", "max_connections"])
async def test_more_than_can_be_served(templates: Templates, bound: str) -> None:
    """Requests and connections beyond the bounds."""
    get = head(b"GET /.well-known/jwks.json HTTP/1.1", HOST)
    options: Any = {bound: 2}
    async with (
        running_system(await templates.clone(), **options) as system,
        Wire.open(system.issuer) as one,
        Wire.open(system.issuer) as two,
        Wire.open(system.issuer) as three,
    ):
        wires = (one, two, three)
        for wire in wires:
            wire.send_now(get)
        answers: list[Answer] = [answer for wire in wires if (answer := await wire.answer())]
    assert 503 in {answer.status for answer in answers}
    for answer in answers:
        check(answer.headers)


async def test_application_that_fails() -> None:
    """What uvicorn says where not even our boundary can."""
    headers = list(EXPECTED.items())
    listener = listen()

    async def app(scope: object, receive: object, send: object) -> None:  # noqa: ARG001
        raise RuntimeError("beyond the boundary")

    async with serving(app, listener, lifespan="auto", headers=headers):
        host, port = listener.getsockname()
        answer = await exchange(f"http://{host}:{port}", head(b"GET / HTTP/1.1", HOST))
    assert answer is not None
    assert answer.status == 500
    check(answer.headers)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_page_may_do_what_it_must(system: System, path: str, method: str) -> None:
    """Its own scripts run, by their digests, and talk to this service; nobody else's do, and nobody may frame it."""
    for base in (system.issuer, system.resource_base):
        async with http_client(base_url=base) as http:
            page = await http.get(path)
            answer = await http.request(method, path)
        (policy,) = fields_of(answer.headers.multi_items())["content-security-policy"]
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
        assert len(digests) == 1
        assert directives["script-src"].split() == ["'self'", f"'sha256-{digests[0]}'"]
        assert (directives["default-src"], directives["frame-ancestors"]) == ("'none'", "'none'")
        assert directives["connect-src"] == "'self'"
        others = fields_of(answer.headers.multi_items())
        assert others["x-content-type-options"] == ["nosniff"]
        assert others["referrer-policy"] == ["no-referrer"]


async def test_transport_security_where_clients_come_by_tls(system: System) -> None:
    """As processes of their own, whose issuer and resources are https behind a proxy."""
    databases = system.databases
    https = {"AUTH_ISSUER": "https://auth.example.com"}
    async with (
        auth_replicas(databases, system.master_key, 1, **https) as (auth,),
        resource_replicas(databases, system.issuer, "https://api.example.com", 1) as (resource,),
    ):
        answers: list[httpx.Response] = [
            await replica.http.get(path)
            for replica in (auth, resource)
            for path in ("/healthz", f"/{RESOURCE}")
        ]
        refused = await exchange(auth.url, MALFORMED[0])
    assert refused is not None
    for headers in (*(answer.headers.multi_items() for answer in answers), refused.headers):
        check(headers, https=True)
