"""Call a tool of a guarded MCP server by the client credentials of the MCP SDK.

It is told the server and the issuer that its secret belongs to. That the server wants a token, for which resource,
with which scope, and where the issuer's token endpoint is, it finds by itself (RFC 9728, RFC 8414).
"""

import asyncio
import os

import httpx2
from mcp.client import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

URL = os.environ.get("MCP_URL", "http://127.0.0.1:8003/mcp")


class Memory:
    """Keeps the token as long as the process; the protocol ``TokenStorage``."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the token."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the token."""
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return who the client is."""
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep who the client is."""
        self._client = client_info


async def main() -> None:
    """Print the sum that the server found."""
    provider = ClientCredentialsOAuthProvider(
        server_url=URL,
        storage=Memory(),
        client_id=os.environ["STEELCUT_CLIENT_ID"],
        client_secret=os.environ["STEELCUT_CLIENT_SECRET"],
        issuer=os.environ["STEELCUT_ISSUER"],
    )
    async with (
        httpx2.AsyncClient(auth=provider) as http,
        Client(streamable_http_client(URL, http_client=http)) as client,
    ):
        answer = await client.call_tool("add", {"a": 2, "b": 3})
    print(answer.structured_content)


if __name__ == "__main__":
    asyncio.run(main())
