"""nginx with ``auth_request`` before a service that knows nothing of tokens: who gets through, and as whom."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from resource_service.app import create_app
from resource_service.settings import ResourceSettings
from steelcut.service.telemetry.logs import make_logger
from tests.proxy import nginx
from tests.proxy.conftest import ORDERS, challenge, token_of
from tests.proxy.upstream import Upstream
from tests.support.databases import Templates
from tests.support.issuer import TinyIssuer, url_of
from tests.support.plain_http import http_client
from tests.support.system import Log, Registered, System, listen, serving
from tests.support.waiting import until
from tests.support.wire import Answer, exchange
from tools.programs import Program


@dataclass
class Front:
    """nginx, as its callers see it."""

    url: str
    http: httpx.AsyncClient
    log: Path
    reader: Registered
    token: str = field(repr=False)

    @property
    def bearer(self) -> dict[str, str]:
        """The header of a caller who may pass."""
        return {"Authorization": f"Bearer {self.token}"}

    async def raw(self, *fields: bytes, method: str = "GET", target: str = "/v1/orders") -> Answer:
        """Send a request of exactly these header fields, beside Host, and return the answer."""
        head = b"\r\n".join([f"{method} {target} HTTP/1.1".encode(), b"Host: orders.example.com", *fields])
        answer = await exchange(self.url, head + b"\r\n\r\n", to_head=method == "HEAD")
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
async def front(
    nginx_program: Program,
    guarded_system: System,
    shared_upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Front]:
    """Nginx by the example's configuration, before our two services and the one that it guards."""
    reader = await guarded_system.register("Reader", grants={"orders": ["read"]})
    listener, upstream_listener = listen(), listen()
    site = nginx.site(
        front=nginx.address(listener),
        steelcut=guarded_system.resource_base.removeprefix("http://"),
        upstream=nginx.address(upstream_listener),
    )
    with contextlib.closing(listener):
        async with (
            serving(shared_upstream, upstream_listener),
            http_client(base_url=url_of(listener)) as http,
        ):
            with nginx.running(nginx_program, tmp_path_factory.mktemp("nginx"), listener, site) as log:
                token = await token_of(guarded_system, reader)
                yield Front(url_of(listener), http, log, reader, token)


async def test_a_good_token_gets_through_and_the_service_learns_whose_it_is(
    front: Front, upstream: Upstream
) -> None:
    """The service gets the request as it was, with our three headers, and without the token."""
    answer = await front.http.post("/v1/orders?page=2", content=b"an order", headers=front.bearer)
    assert answer.json() == {"served": "/v1/orders?page=2"}
    seen = upstream.take()
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/orders?page=2", b"an order")
    assert seen.values("x-client-id") == [front.reader.client_id]
    assert seen.values("x-scope") == ["read"]
    (expires,) = seen.values("x-token-expires")
    assert int(expires) > 1_700_000_000
    assert seen.values("authorization") == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_no_token(front: Front, upstream: Upstream, method: str) -> None:
    """The caller gets our challenge, and in JSON what to do; the service hears of nothing."""
    answer = await front.raw(method=method)
    assert answer.status == 401
    assert answer.error == (None if method == "HEAD" else "unauthorized")
    assert challenge(answer.header("www-authenticate")) == {
        "scope": "read",
        "resource_metadata": f"{ORDERS}/.well-known/oauth-protected-resource",
    }
    assert upstream.seen == []


async def test_from_the_challenge_to_the_authorization_server(front: Front) -> None:
    """The metadata to which the challenge leads is served by the proxy, and names what the token must be for."""
    refused = await front.http.get("/")
    url = challenge(refused.headers["www-authenticate"])["resource_metadata"]
    metadata = (await front.http.get(url.removeprefix(ORDERS))).json()
    assert metadata["resource"] == ORDERS
    assert metadata["authorization_servers"] == ["https://auth.example.com"]


async def test_the_wrong_scope(front: Front, guarded_system: System, upstream: Upstream) -> None:
    """A good token that grants too little is 403, with the challenge that nginx alone would lose."""
    writer = await guarded_system.register("Writer", grants={"orders": ["write"]})
    bearer = {"Authorization": f"Bearer {await token_of(guarded_system, writer)}"}
    answer = await front.http.get("/", headers=bearer)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    told = challenge(answer.headers["www-authenticate"])
    assert (told["error"], told["scope"]) == ("insufficient_scope", "read")
    assert upstream.seen == []


async def test_a_token_for_something_else(front: Front, guarded_system: System, upstream: Upstream) -> None:
    """A token of the same issuer for another resource is none; our log says why under the id that the caller got."""
    bearer = {"Authorization": f"Bearer {await token_of(guarded_system, guarded_system.client)}"}
    answer = await front.http.get("/", headers=bearer)
    assert answer.status_code == 401
    assert challenge(answer.headers["www-authenticate"])["error"] == "invalid_token"
    assert guarded_system.log.of(answer)["reason"].startswith("for another audience")
    assert upstream.seen == []


@pytest.mark.parametrize(
    "forged",
    [
        [b"X-Client-Id: admin"],
        [b"x-client-id: admin", b"X-CLIENT-ID: admin"],
        [b"X_Client_Id: admin", b"X-Client_Id: admin", b"x_client-id: admin"],
        [b"X.Client.Id: admin", b"X-Client.Id: admin"],
        [b"X!Client!Id: admin", b"X~Client~Id: admin", b"X+Client+Id: admin", b"X*Client*Id: admin"],
        [b"X-Client-Id : admin"],
        [b"X-Client-Id:admin", b"X-Scope: read admin", b"X_Scope: admin", b"X-Token-Expires: 9999999999"],
        [b"Connection: X-Client-Id, X-Scope, X-Token-Expires"],
        [b"Connection: close, Authorization", b"X-Client-Id: admin"],
    ],
    ids=lambda fields: b" ".join(fields).decode(),
)
async def test_forged_headers_do_not_get_through(
    front: Front, upstream: Upstream, forged: list[bytes]
) -> None:
    """However a caller spells the headers of ours, the service sees each once, with what the token says."""
    before_and_after = [*forged, b"Authorization: Bearer " + front.token.encode(), *forged]
    answer = await front.raw(*before_and_after)
    if answer.status == 400:  # nginx itself, for a name that no header can have
        assert upstream.seen == []
        return
    assert answer.status == 200
    seen = upstream.take()
    assert seen.values("x-client-id") == [front.reader.client_id]
    assert seen.values("x-scope") == ["read"]
    assert len(seen.values("x-token-expires")) == 1
    assert "admin" not in str(seen.headers)


@pytest.mark.parametrize(
    "fields",
    [
        [b"Authorization:"],
        [b"Authorization: Bearer"],
        [b"Authorization: Bearer a b"],
        [b"Authorization: Bearer \xff\xfe"],
        [b"Authorization: Basic dXNlcjpwYXNz"],
        [b"Authorization: Bearer " + b"a" * 7000],
        [b"Authorization: Bearer " + b"a" * 100_000],
        [b"Authorization: Bearer a", b"Authorization: Bearer b"],
        [b"Authorization : Bearer a"],
        [b"authorization: bearer a.b.c"],
        [b"Authorization: Bearer a\x00b"],
    ],
    ids=lambda fields: b" ".join(fields)[:40].decode("latin-1").encode("unicode_escape").decode(),
)
async def test_garbage_is_the_callers_fault(front: Front, upstream: Upstream, fields: list[bytes]) -> None:
    """Whatever a caller sends in the place of a token is answered with 400 or 401, never with a 500."""
    answer = await front.raw(*fields)
    assert answer.status in {400, 401}
    assert upstream.seen == []


async def test_a_good_token_beside_another_credential(front: Front, upstream: Upstream) -> None:
    """Two Authorization headers are refused, in either order, as on our own routes."""
    good = b"Authorization: Bearer " + front.token.encode()
    for pair in ((good, b"Authorization: Bearer other"), (b"Authorization: Bearer other", good)):
        assert (await front.raw(*pair)).status in {400, 401}
    assert upstream.seen == []


async def test_more_headers_than_we_take_ourselves(front: Front, upstream: Upstream) -> None:
    """Of the caller's headers /verify gets the one that it needs, so that no number of others makes it fail."""
    answer = await front.raw(*(b"X-Filler-%d: x" % number for number in range(150)))
    assert answer.status == 401
    assert challenge(answer.header("www-authenticate"))["scope"] == "read"
    assert upstream.seen == []


async def test_the_place_where_nginx_asks_is_not_to_be_seen(front: Front, upstream: Upstream) -> None:
    """Nobody gets an answer of /verify through the proxy, and a path of that name is the service's own."""
    for target in ("/_steelcut", "/_steelcut?resource=x"):
        assert (await front.raw(target=target)).status == 404
    assert (await front.http.get("/verify?resource=x", headers=front.bearer)).status_code == 200
    assert upstream.take().target == "/verify?resource=x"


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
async def test_content_goes_to_the_service_alone(front: Front, upstream: Upstream, size: int) -> None:
    """A large POST reaches the service whole when the token is good, and not at all otherwise."""
    content = b"x" * size
    assert (await front.http.post("/", content=content)).status_code == 401
    assert upstream.seen == []
    assert (await front.http.post("/", content=content, headers=front.bearer)).status_code == 200
    assert len(upstream.take().body) == size


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_errors_of_the_service_are_its_own(front: Front, upstream: Upstream, status: int) -> None:
    """What the service answers is handed on as it is, whatever it is."""
    headers = {**front.bearer, "X-Status-Wanted": str(status)}
    answer = await front.http.get("/", headers=headers)
    assert (answer.status_code, answer.json()) == (status, {"served": "/"})
    assert upstream.take().target == "/"


async def test_one_connection_serves_both_who_may_and_who_may_not(front: Front, upstream: Upstream) -> None:
    """A refusal leaves nothing behind for the next request on the same connection."""
    for _ in range(3):
        assert (await front.http.get("/")).status_code == 401
        assert (await front.http.get("/", headers=front.bearer)).status_code == 200
    assert len(upstream.seen) == 3


@pytest.fixture
async def lonely(
    nginx_program: Program, templates: Templates, shared_upstream: Upstream, tmp_path: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, TinyIssuer, Any]]:
    """Nginx before a resource service that is not there until it is started, and an issuer that is."""
    databases = await templates.clone()
    listener, upstream_listener, issuer_listener, steelcut = listen(), listen(), listen(), listen()
    place = steelcut.getsockname()
    steelcut.close()
    issuer = TinyIssuer(issuer_listener)

    @contextlib.asynccontextmanager
    async def steelcut_running() -> AsyncIterator[None]:
        again = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(place)
        again.listen()
        settings = ResourceSettings(
            issuer=issuer.url,
            base_url=f"http://{place[0]}:{place[1]}",
            database_url=databases.resource.runtime,  # type: ignore[arg-type]
        )
        log = make_logger("resource_service", "json", Log().stream)
        async with serving(create_app(settings, log), again):
            yield

    site = nginx.site(
        front=nginx.address(listener),
        steelcut=f"{place[0]}:{place[1]}",
        upstream=nginx.address(upstream_listener),
    )
    with contextlib.closing(listener), contextlib.closing(issuer_listener):
        async with (
            serving(shared_upstream, upstream_listener),
            http_client(base_url=url_of(listener)) as http,
        ):
            with nginx.running(nginx_program, tmp_path, listener, site):
                yield http, issuer, steelcut_running
    await templates.drop(databases)


async def test_without_the_resource_service_nobody_gets_through(
    lonely: tuple[httpx.AsyncClient, TinyIssuer, Any], upstream: Upstream
) -> None:
    """It fails closed with a 503 that says when to come back, opens when we are back, and closes again."""
    http, issuer, steelcut_running = lonely
    bearer = {"Authorization": f"Bearer {issuer.token(ORDERS)}"}

    async def refused_for_now() -> None:
        for headers in (bearer, {}):
            answer = await http.get("/", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
            assert answer.headers["retry-after"] == "1"
        assert upstream.seen == []

    await refused_for_now()
    async with steelcut_running():
        # The issuer is not up yet: without its keys nobody can be told from anybody.
        answer = await http.get("/", headers=bearer)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert upstream.seen == []

        async def opened() -> bool:
            return (await http.get("/", headers=bearer)).status_code == httpx.codes.OK

        async with serving(issuer, issuer.listener):
            await until(opened, 10)
        assert upstream.seen.pop().values("x-client-id") == ["client-1"]
        upstream.seen.clear()
    await refused_for_now()


async def test_the_largest_token(
    lonely: tuple[httpx.AsyncClient, TinyIssuer, Any], upstream: Upstream
) -> None:
    """A token that fills the largest header that nginx takes gets through, with all of its scopes."""
    http, issuer, steelcut_running = lonely
    scopes = ["read", *(f"scope-{number:03}" for number in range(500))]
    token = issuer.token(ORDERS, scope=" ".join(scopes))
    assert 7_000 < len(token) < 8_192 - len("Authorization: Bearer ")
    async with serving(issuer, issuer.listener), steelcut_running():
        answer = await http.get("/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert upstream.take().values("x-scope") == [" ".join(sorted(scopes))]
