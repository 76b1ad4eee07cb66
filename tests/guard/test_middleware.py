"""A guard around a whole ASGI application: without any framework, and as Starlette's middleware."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from steelcut import Guard, GuardMiddleware
from steelcut.testing import Issuer
from tests.support.plain_http import http_client
from tests.support.system import listen, serving

ISSUER = "https://issuer.example.com"
AUDIENCE = "https://api.example.com/orders"
METADATA_PATH = "/.well-known/oauth-protected-resource/orders"
guard = Guard(ISSUER, audience=AUDIENCE, scopes=["read", "write", "admin"])


@pytest.fixture(scope="module", autouse=True)
def issuer() -> Iterator[Issuer]:
    """The issuer that the guard trusts."""
    with Issuer(ISSUER) as issuer:
        yield issuer


class Plain:
    """An ASGI application of no framework; remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Say who calls."""
        self.reached.append(scope.get("path", scope["type"]))
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        claims = scope.get("state", {}).get("claims")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": claims.client_id.encode() if claims else b"nobody"})


async def ask(app: Any, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """Send one request without a socket."""
    transport = httpx.ASGITransport(app, root_path=options.pop("root_path", ""))
    async with httpx.AsyncClient(transport=transport, base_url="https://api.example.com") as client:
        return await client.request(method, path, **options)


@pytest.fixture
def plain() -> Plain:
    """The application inside."""
    return Plain()


async def test_claims_reach_the_application(issuer: Issuer, plain: Plain) -> None:
    """Who brings the scopes comes in, and the application knows who that is."""
    app = GuardMiddleware(plain, guard, scopes=["read"], any_of=["write", "admin"])
    for scope, status in (("read write", 200), ("admin read", 200), ("read", 403), ("write admin", 403)):
        answer = await ask(app, "/orders", headers=issuer.bearer(audience=AUDIENCE, scope=scope))
        assert answer.status_code == status
        assert (answer.text == "test-client") is (status == 200)
    assert plain.reached == ["/orders", "/orders"]


async def test_refusal_is_a_challenge_and_a_json_object(issuer: Issuer, plain: Plain) -> None:
    """RFC 6750 §3, with the error in the body too, and nothing for a cache to keep."""
    app = GuardMiddleware(plain, guard, scopes=["read"])
    answer = await ask(app, "/orders")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer scope="read", resource_metadata="https://api.example.com{METADATA_PATH}"'
    )
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    forged = {"Authorization": f"Bearer {issuer.forged_token(audience=AUDIENCE)}"}
    assert (await ask(app, "/orders", headers=forged)).json()["error"] == "invalid_token"
    assert plain.reached == []


@pytest.mark.parametrize("path", ["/orders", METADATA_PATH])
async def test_head_has_no_body(plain: Plain, path: str) -> None:
    """RFC 9110 §9.3.2: the same head as for GET, and nothing after it."""
    app = GuardMiddleware(plain, guard)
    head, get = await raw(app, path, method="HEAD"), await raw(app, path)
    assert head[0] == get[0]
    assert (head[1]["body"], bool(get[1]["body"])) == (b"", True)


async def test_public_path_is_open(plain: Plain) -> None:
    """To anybody, with any method and query, also to who brings a bad token; claims are not there."""
    app = GuardMiddleware(plain, guard, public=["/health", "/"])
    for path in ("/health", "/", "/health?deep=1", "/%68ealth"):
        assert (await ask(app, path, headers={"Authorization": "Bearer bad"})).text == "nobody"
    assert (await ask(app, "/health", "POST")).text == "nobody"


@pytest.mark.parametrize(
    "path",
    [
        "/orders",
        "/health/",
        "/health/orders",
        "/healthy",
        "/Health",
        "/health;x=1",
        "/health%00",
        "/health%20",
        "/health%0a",
        "/health%2f..%2forders",
        "/health/..%2forders",
        "/health/%2e%2e/orders",
        "/orders/%2e%2e/health",
        "/orders%2f..%2fhealth",
        "/orders/..;/health",
        "/orders%3f/health",
        "/orders%23/health",
        "/orders?/health",
        "/%2fhealth",
        "//health",
        "/./health",
        "/%5chealth",
        "/%2568ealth",
        "/h%c3%a9alth",
    ],
)
async def test_no_trick_with_the_path_opens_what_is_not_public(plain: Plain, path: str) -> None:
    """Public is the very path that was named, as the application itself sees it, and no way around it."""
    app = GuardMiddleware(plain, guard, public=["/health"])
    await raw(app, path)
    assert plain.reached == []


async def raw(app: Any, target: str, **scope: Any) -> list[dict[str, Any]]:
    """Send a request whose target no client has tidied up, as a server would pass it on; return what was sent."""
    path, _, query = target.partition("?")
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(
        {
            "type": "http",
            "method": "GET",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [],
            **scope,
        },
        receive,
        send,
    )
    return sent


@pytest.mark.parametrize(
    ("path", "root_path", "is_open"),
    [
        ("/api/health", "/api", True),
        ("/api/api", "/api", True),
        ("/health", "/api", True),  # a server that does not put the root before the path
        ("/api/api/health", "/api", False),
        ("/apihealth", "/api", False),
        ("/api", "/api", False),
        ("/api/", "/api", False),
    ],
)
async def test_public_path_is_below_the_mount(
    plain: Plain,
    path: str,
    root_path: str,
    is_open: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Where the application is mounted does not change which of its paths are public."""
    app = GuardMiddleware(plain, guard, public=["/health", "/api"])
    await raw(app, path, root_path=root_path)
    assert bool(plain.reached) is is_open


async def test_lifespan_passes_through(plain: Plain) -> None:
    """The application starts and ends as without a guard, on a real server."""
    listener = listen()
    base = "http://{}:{}".format(*listener.getsockname())
    async with (
        serving(GuardMiddleware(plain, guard), listener),
        http_client(base_url=base) as client,
    ):
        assert (await client.get("/orders")).status_code == 401
        head = await client.head("/orders")
        assert (head.status_code, head.content) == (401, b"")
        # Over the same connection: nothing of the refusals before stands in its way.
        assert (await client.post("/orders", content=b"x" * 100_000)).status_code == 401
        assert (await client.get(METADATA_PATH)).status_code == 200
    assert plain.reached == ["lifespan"]


async def test_what_is_neither_http_nor_websocket_is_refused(plain: Plain) -> None:
    """What a guard cannot judge does not come in, whatever protocols are still to be invented."""
    with pytest.raises(ValueError, match="cannot judge"):
        await GuardMiddleware(plain, guard)({"type": "webtransport"}, None, None)  # type: ignore[arg-type]
    assert plain.reached == []


def starlette() -> Starlette:
    """Return an application of Starlette with the guard as its middleware."""

    async def who(request: Request) -> JSONResponse:
        return JSONResponse(request.state.claims.client_id)

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse("well")

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.claims.client_id)
        await websocket.close()

    routes = [Route("/who", who), Route("/health", health), WebSocketRoute("/echo", echo)]
    return Starlette(
        routes=[*routes, Mount("/mounted", routes=routes)],
        middleware=[Middleware(GuardMiddleware, guard, scopes=["read"], public=["/health"])],
    )


def test_starlette_finds_the_claims(issuer: Issuer) -> None:
    """In `request.state.claims`, whether mounted or not; what is public is so by its whole path."""
    client = TestClient(starlette())
    bearer = issuer.bearer(audience=AUDIENCE)
    for path in ("/who", "/mounted/who"):
        assert client.get(path, headers=bearer).json() == "test-client"
        assert client.get(path).status_code == 401
    assert client.get("/health").json() == "well"
    assert client.get("/mounted/health").status_code == 401
    assert client.get("/nowhere").status_code == 401
    assert client.get("/nowhere", headers=bearer).status_code == 404
    app = Starlette(routes=[Mount("/api", app=GuardMiddleware(starlette(), guard, public=["/health"]))])
    assert TestClient(app).get("/api/health").status_code == 200
    assert TestClient(app).get("/api/who").status_code == 401


def test_websocket_comes_in_or_is_told_why_not(issuer: Issuer) -> None:
    """The handshake is answered with the challenge where the server can do that."""
    client = TestClient(starlette())
    with client.websocket_connect("/echo", headers=issuer.bearer(audience=AUDIENCE)) as websocket:
        assert websocket.receive_text() == "test-client"
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect("/echo"):
        pass
    assert denial.value.status_code == 401
    assert denial.value.headers["WWW-Authenticate"].startswith('Bearer scope="read"')
    assert json.loads(denial.value.content)["error"] == "unauthorized"


async def test_websocket_is_closed_where_the_server_cannot_answer(plain: Plain) -> None:
    """Without the extension for answers it is closed before it was open, which the server makes a 403."""
    waiting = [{"type": "websocket.connect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop()

    async def send(message: Any) -> None:
        assert not waiting, "nothing may be sent before the connection was received"
        sent.append(message)

    scope = {"type": "websocket", "path": "/echo", "headers": [], "extensions": {}}
    await GuardMiddleware(plain, guard)(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "unauthorized"}]
    assert plain.reached == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"public": ["health"]}, "must start with a slash"),
        ({"scopes": ["raed"]}, "raed"),
        ({"any_of": ["raed"]}, "raed"),
    ],
)
def test_mistakes_show_at_the_start(plain: Plain, options: dict[str, Any], error: str) -> None:
    """What could never be as meant is an error before the first request."""
    with pytest.raises(ValueError, match=error):
        GuardMiddleware(plain, guard, **options)


async def test_issuer_away_is_503(issuer: Issuer, plain: Plain) -> None:
    """A token that cannot be judged yet is no bad token: come again, and without a challenge."""
    away = Guard("https://away.example.com", audience=AUDIENCE, report=lambda _: None)
    with Issuer("https://away.example.com") as gone:
        gone.available = False
        headers = issuer.bearer(audience=AUDIENCE, iss="https://away.example.com")
        answer = await ask(GuardMiddleware(plain, away), "/", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in answer.headers


async def test_two_headers_are_refused(issuer: Issuer, plain: Plain) -> None:
    """A good token beside another header is no good request: a proxy may have read the other one."""
    good = issuer.bearer(audience=AUDIENCE)["Authorization"]
    headers = [("Authorization", good), ("Authorization", good)]
    assert (await ask(GuardMiddleware(plain, guard), "/", headers=headers)).status_code == 400
    assert plain.reached == []
