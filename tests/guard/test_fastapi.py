"""A guard as a dependency of FastAPI, with no handler of errors registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse
from starlette.testclient import WebSocketDenialResponse

from steelcut import Claims, Guard, Verifier
from steelcut.guard.fastapi import Refused
from steelcut.testing import Issuer

ISSUER = "https://issuer.example.com"
AUDIENCE = "https://api.example.com/orders"
METADATA = "https://api.example.com/.well-known/oauth-protected-resource/orders"
guard = Guard(
    ISSUER, audience=AUDIENCE, scopes={"read": "Read orders", "write": "Change orders", "admin": ""}
)
away = Guard("https://away.example.com", audience=AUDIENCE, report=lambda _: None)
Reader = Annotated[Claims, Depends(guard("read"))]


def make_app() -> FastAPI:
    """Return an application with a route for each way to use a guard."""
    app = FastAPI()
    router = APIRouter(prefix="/router", dependencies=[Depends(guard("read"))], responses=guard.responses)

    @app.get("/async")
    async def with_async_route(claims: Reader) -> str:
        return claims.client_id

    @app.get("/sync")
    def with_sync_route(claims: Reader) -> str:
        return claims.client_id

    @app.get("/any-token")
    async def with_any_token(claims: Annotated[Claims, Depends(guard())]) -> str:
        return claims.client_id

    @app.get("/either")
    async def with_either_scope(claims: Annotated[Claims, Depends(guard(any_of=["write", "admin"]))]) -> str:
        return claims.client_id

    @app.get("/security")
    async def with_security(claims: Annotated[Claims, Security(guard("read"), scopes=["write"])]) -> str:
        return claims.client_id

    @router.get("/plain")
    async def below_a_router() -> str:
        return "passed"

    @router.get("/more")
    async def below_a_router_and_more(claims: Annotated[Claims, Depends(guard("write"))]) -> str:
        return claims.client_id

    @app.websocket("/websocket")
    async def websocket(websocket: WebSocket, claims: Reader) -> None:
        await websocket.accept()
        await websocket.send_text(claims.client_id)
        await websocket.close()

    app.include_router(router)
    app.router.routes.append(guard.metadata_route())
    return app


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """The issuer that the guard trusts."""
    with Issuer(ISSUER) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def client(issuer: Issuer) -> TestClient:  # noqa: ARG001 - it must be there
    """A client of the guarded application."""
    return TestClient(make_app())


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        ("/async", "read", 200),
        ("/async", "write", 403),
        ("/sync", "read write", 200),
        ("/sync", "admin", 403),
        ("/any-token", "anything", 200),
        ("/either", "read admin", 200),
        ("/either", "write", 200),
        ("/either", "read", 403),
        ("/security", "read write", 200),
        ("/security", "read", 403),
        ("/security", "write", 403),
        ("/router/plain", "read", 200),
        ("/router/plain", "write", 403),
        ("/router/more", "read write", 200),
        ("/router/more", "read", 403),
        ("/router/more", "write", 403),
    ],
)
def test_route_opens_to_its_scopes_alone(
    client: TestClient, issuer: Issuer, path: str, scope: str, status: int
) -> None:
    """Each way to say which scopes a route needs, with tokens that grant them and tokens that do not."""
    answer = client.get(path, headers=issuer.bearer(audience=AUDIENCE, scope=scope))
    assert answer.status_code == status
    if status == 200:
        assert answer.json() in {"test-client", "passed"}


@pytest.mark.parametrize(
    "path", ["/async", "/sync", "/any-token", "/either", "/security", "/router/plain", "/router/more"]
)
def test_no_route_opens_without_a_good_token(client: TestClient, issuer: Issuer, path: str) -> None:
    """No token, one of another scheme, a forged one, one for another resource: 401, and nothing else."""
    for headers in (
        {},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": f"Bearer {issuer.forged_token(audience=AUDIENCE, scope='read write admin')}"},
        issuer.bearer(audience="https://api.example.com/other", scope="read write admin"),
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/async", 'scope="read", '),
        ("/any-token", ""),
        ("/either", 'scope="write", '),
        ("/security", 'scope="read write", '),
    ],
)
def test_challenge_names_scopes_that_would_do(client: TestClient, path: str, scope: str) -> None:
    """Whoever comes with nothing learns what to ask for, and where to read more (RFC 6750 §3, RFC 9728 §5.1)."""
    answer = client.get(path)
    assert answer.headers["WWW-Authenticate"] == f'Bearer {scope}resource_metadata="{METADATA}"'


def test_refusal_has_the_error_and_no_reason(client: TestClient, issuer: Issuer) -> None:
    """The body says what RFC 6750 has for it; which check failed is for the log alone."""
    answer = client.get("/async", headers=issuer.bearer(audience=AUDIENCE, expires_in=-60))
    assert answer.json()["detail"]["error"] == "invalid_token"
    assert "expired" not in answer.text
    malformed = client.get("/async", headers={"Authorization": "Bearer a b"})
    assert (malformed.status_code, malformed.json()["detail"]["error"]) == (400, "invalid_request")


def test_reason_is_in_the_log(client: TestClient, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """Who runs the application can see why, on one line, whatever the path; the token is not there."""
    caplog.set_level("INFO", logger="steelcut")
    token = issuer.token(audience=AUDIENCE, expires_in=-60)
    client.get("/async", headers={"Authorization": f"Bearer {token}"})
    assert [record.getMessage() for record in caplog.records] == ["Refused '/async': expired"]


def test_two_headers_are_refused(client: TestClient, issuer: Issuer) -> None:
    """A good token beside another header is no good request: a proxy may have read the other one."""
    good = issuer.bearer(audience=AUDIENCE)["Authorization"]
    answer = client.get("/async", headers=[("Authorization", good), ("Authorization", "Bearer x")])
    assert answer.status_code == 400


def test_without_keys_it_is_503(issuer: Issuer) -> None:
    """A token that cannot be judged yet is no bad token: come again."""
    app = FastAPI()

    @app.get("/")
    async def route(claims: Annotated[Claims, Depends(away())]) -> str:
        return claims.client_id

    headers = issuer.bearer(audience=AUDIENCE, iss="https://away.example.com")
    with Issuer("https://away.example.com") as gone:
        gone.available = False
        answer = TestClient(app).get("/", headers=headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "WWW-Authenticate" not in answer.headers
    assert answer.json()["detail"]["error"] == "temporarily_unavailable"


def test_websocket(client: TestClient, issuer: Issuer) -> None:
    """A good token opens a WebSocket; without one the handshake is answered with the challenge."""
    with client.websocket_connect("/websocket", headers=issuer.bearer(audience=AUDIENCE)) as websocket:
        assert websocket.receive_text() == "test-client"
    with pytest.raises(WebSocketDenialResponse) as denial, client.websocket_connect("/websocket"):
        pass
    assert denial.value.status_code == 401
    assert denial.value.headers["WWW-Authenticate"].startswith("Bearer ")


def test_metadata_is_public(client: TestClient) -> None:
    """Anybody may read where tokens for the resource are to be had (RFC 9728 §3)."""
    answer = client.get("/.well-known/oauth-protected-resource/orders")
    assert answer.json() == {
        "resource": AUDIENCE,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["read", "write", "admin"],
    }
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Content-Type"] == "application/json"
    assert client.head(METADATA).content == b""
    assert client.post(METADATA).status_code == 405


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document: dict[str, Any] = TestClient(app).get("/openapi.json").json()
    return document


def test_openapi_says_how_to_come_in() -> None:
    """Each route has the scheme with the scopes that would do; a router may document its refusals."""
    document = openapi(make_app())
    assert document["components"]["securitySchemes"] == {
        "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    wanted = {path: operation["get"]["security"] for path, operation in document["paths"].items()}
    assert wanted["/async"] == wanted["/sync"] == wanted["/router/plain"] == [{"Bearer": ["read"]}]
    assert wanted["/any-token"] == [{"Bearer": []}]
    assert wanted["/either"] == [{"Bearer": ["write"]}]
    for path in ("/security", "/router/more"):
        (requirement,) = wanted[path]
        assert set(requirement["Bearer"]) == {"read", "write"}
    assert {"401", "403", "503"} <= set(document["paths"]["/router/plain"]["get"]["responses"])
    assert "parameters" not in document["paths"]["/async"]["get"]


def test_openapi_with_a_token_url_is_oauth2() -> None:
    """With the token endpoint, the Authorize button of Swagger fetches tokens; two guards have two schemes."""
    app = FastAPI()
    orders = Guard(ISSUER, audience=AUDIENCE, scopes={"read": "Read orders"}, token_url=f"{ISSUER}/token")
    stock = Guard(ISSUER, audience=AUDIENCE, token_url="/token", scheme_name="Stock")

    @app.get("/orders", dependencies=[Depends(orders("read"))])
    async def orders_route() -> None: ...

    @app.get("/stock", dependencies=[Depends(stock())])
    async def stock_route() -> None: ...

    flow = {"scopes": {"read": "Read orders"}, "tokenUrl": f"{ISSUER}/token"}
    schemes = openapi(app)["components"]["securitySchemes"]
    assert schemes["OAuth2"] == {"type": "oauth2", "flows": {"clientCredentials": flow}}
    assert schemes["Stock"]["flows"]["clientCredentials"] == {"scopes": {}, "tokenUrl": "/token"}


def test_same_scopes_are_the_same_dependency() -> None:
    """So a test can put something in its place, and FastAPI asks once per request."""
    assert guard("read") is guard("read")
    assert guard("read") is not guard("write")
    app = make_app()
    stand_in = Claims("i", "s", "stand-in", (), frozenset(), 0, 1, "", {})
    app.dependency_overrides[guard("read")] = lambda: stand_in
    assert TestClient(app).get("/async").json() == "stand-in"


def test_application_may_answer_refusals_its_own_way(issuer: Issuer) -> None:
    """A handler of its own gets the refusal, with the reason for its log."""
    app = make_app()
    seen = []

    @app.exception_handler(Refused)
    async def answer(_request: Any, refused: Refused) -> JSONResponse:
        seen.append(refused.refusal.reason)
        return JSONResponse(refused.refusal.body(), refused.status_code, refused.headers)

    body = TestClient(app).get("/async", headers=issuer.bearer(audience=AUDIENCE, expires_in=-60)).json()
    assert body["error"] == "invalid_token"
    assert seen == ["expired"]


def test_misspelt_scope_is_noticed_at_once() -> None:
    """A guard that was told its scopes takes no other: the mistake shows when the program starts."""
    with pytest.raises(ValueError, match="the scope raed is none of this guard's: read, write, admin"):
        guard("raed")
    with pytest.raises(ValueError, match="wirte"):
        guard(any_of=["wirte"])
    with pytest.raises(TypeError, match="as a list"):
        guard(any_of="read")
    Guard(ISSUER, audience=AUDIENCE)("whatever")


@pytest.mark.parametrize(
    "arguments",
    [
        {"audience": AUDIENCE},
        {"issuers": ISSUER, "audience": ""},
        {"issuers": [], "audience": AUDIENCE},
        {"issuers": [ISSUER, ISSUER], "audience": AUDIENCE},
        {"issuers": "http://issuer.example.com", "audience": AUDIENCE},
        {"issuers": ISSUER, "audience": AUDIENCE, "leeway_seconds": 61},
        {"issuers": ISSUER, "audience": AUDIENCE, "verifier": Verifier(ISSUER, audience=AUDIENCE)},
        {
            "audience": AUDIENCE,
            "verifier": Verifier(ISSUER, audience=AUDIENCE),
            "check": bool,
        },
        {"audience": AUDIENCE, "verifier": Verifier(ISSUER, audience=AUDIENCE), "leeway_seconds": 0},
    ],
    ids=", ".join,
)
def test_guard_that_could_not_work_is_refused(arguments: dict[str, Any]) -> None:
    """Whatever would make it useless, or look like a check that nobody makes, is an error at the start."""
    with pytest.raises(ValueError, match=r"."):
        Guard(**arguments)
