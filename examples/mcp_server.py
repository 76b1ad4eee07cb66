"""An MCP server whose tools only clients with a token of Steelcut can call.

Start it with ``uvicorn --app-dir examples mcp_server:app --port 8003``; needs ``pip install mcp``.
"""

import os

from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

from steelcut import OAuthError, Verifier

ISSUER = os.environ.get("STEELCUT_ISSUER", "http://127.0.0.1:8000")
# What a token for this server has in its `aud`, and where its metadata (RFC 9728) is served from.
URL = os.environ.get("MCP_URL", "http://127.0.0.1:8003/mcp")


class Tokens:
    """What the SDK asks about each token; the protocol ``TokenVerifier``."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the issuer says of the bearer, or None to refuse."""
        try:
            claims = await self._verifier.verify_async(token)
        except OAuthError:
            return None
        return AccessToken(
            token=token,
            client_id=claims.client_id,
            scopes=sorted(claims.scopes),
            expires_at=int(claims.expires_at),
            resource=URL,  # the verifier has compared it with the audience
            subject=claims.subject,
            claims=dict(claims.raw),
        )


server = MCPServer(
    "Adding machine",
    token_verifier=Tokens(Verifier(ISSUER, audience=URL)),
    # As text, which keeps the issuer to the letter: an AnyHttpUrl of one's own would end it in a slash.
    auth=AuthSettings.model_validate(
        {
            "issuer_url": ISSUER,
            "resource_server_url": URL,
            "required_scopes": ["tools"],
            "validate_token_resource": True,
        }
    ),
)


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


app = server.streamable_http_app()
