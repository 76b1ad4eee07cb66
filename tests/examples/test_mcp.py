"""MCP: the SDK's own server and client, unmodified, with tokens of the running auth service (RFC 9728, RFC 8707)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import ModuleType

import httpx
import httpx2
import pytest
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.server import MCPServer

from auth_service.administration.resources import create_resource
from steelcut import ClientCredentials, Guard, GuardMiddleware
from tests.examples.conftest import credentials
from tests.support.issuer import url_of
from tests.support.system import ACTOR, DOCUMENT, Registered, System, listen, serving

Load = Callable[..., ModuleType]


@pytest.fixture
async def adding_machine(system: System, load: Load) -> AsyncIterator[tuple[str, Registered]]:
    """The MCP server of the example, running, and a client that may call its tools."""
    listener = listen()
    url, name = f"{url_of(listener)}/mcp", f"mcp-{listener.getsockname()[1]}"
    await system.as_admin(lambda c: create_resource(c, ACTOR, name, url, ("tools", "other")))
    client = await system.register(f"agent of {name}", grants={name: ("tools", "other")})
    module = load("mcp_server", STEELCUT_ISSUER=system.issuer, MCP_URL=url)
    async with serving(module.app, listener):
        yield url, client


async def test_mcp_client_finds_its_way_and_calls_a_tool(
    system: System,
    adding_machine: tuple[str, Registered],
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the server's 401 to its metadata, to the issuer's, to a token for this server, to the answer."""
    url, client = adding_machine
    for name, value in credentials(client).items():
        monkeypatch.setenv(name, value)
    module = load("mcp_client", STEELCUT_ISSUER=system.issuer, MCP_URL=url)
    await module.main()
    assert capsys.readouterr().out == "{'result': 5}\n"


async def test_mcp_server_refuses_what_is_not_for_it(
    system: System, adding_machine: tuple[str, Registered]
) -> None:
    """No token, a token for another resource, a token without the scope: none reaches a tool."""
    url, client = adding_machine
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream"}

    async def status(auth: httpx.Auth | None) -> int:
        async with httpx.AsyncClient(auth=auth, headers=headers) as http:
            return (await http.post(url, json=call)).status_code

    other = await ClientCredentials(
        system.client.client_id, system.client.secret, issuer=system.issuer, resource=system.document_url
    ).token_async()
    assert await status(None) == 401
    assert await status(_Bearer(other.value)) == 401
    without_scope = ClientCredentials(
        client.client_id, client.secret, issuer=system.issuer, resource=url, scope="other"
    )
    assert await status(without_scope) == 403


async def test_mcp_client_fetches_from_the_resource_service_too(system: System) -> None:
    """Its discovery works against our resource service as it is: 401, RFC 9728, RFC 8414, token, document."""
    provider = ClientCredentialsOAuthProvider(
        server_url=system.document_url,
        storage=_Nothing(),
        client_id=system.client.client_id,
        client_secret=system.client.secret,
        issuer=system.issuer,
    )
    async with httpx2.AsyncClient(auth=provider) as http:
        answer = await http.get(system.document_url)
    assert (answer.status_code, answer.content) == (200, DOCUMENT)


async def test_guard_middleware_guards_an_mcp_server(system: System, load: Load) -> None:
    """The other way: one line around the server, with our challenge and our metadata."""
    listener = listen()
    url, name = f"{url_of(listener)}/mcp", f"mcp-{listener.getsockname()[1]}"
    await system.as_admin(lambda c: create_resource(c, ACTOR, name, url, ("tools",)))
    client = await system.register(f"agent of {name}", grants={name: ("tools",)})
    server = MCPServer("Adding machine")
    server.tool()(load("mcp_server").add)
    app = GuardMiddleware(server.streamable_http_app(), Guard(system.issuer, audience=url), scopes=["tools"])
    async with serving(app, listener):
        module = load("mcp_client", STEELCUT_ISSUER=system.issuer, MCP_URL=url, **credentials(client))
        await module.main()


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def] # noqa: ANN202 - as httpx has it
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class _Nothing:
    """A storage that keeps nothing."""

    async def get_tokens(self) -> None:
        """Return nothing."""

    async def set_tokens(self, tokens: object) -> None:
        """Keep nothing."""

    async def get_client_info(self) -> None:
        """Return nothing."""

    async def set_client_info(self, client_info: object) -> None:
        """Keep nothing."""
