"""What a client does, over the published ports."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from tests.compose.stack import Stack


@dataclass(frozen=True)
class Caller:
    """A client outside of the containers; ``document`` is what it is allowed to read."""

    stack: Stack
    client_id: str
    client_secret: str = field(repr=False)
    document: bytes

    def token(self) -> str:
        """Get an access token."""
        answer = httpx.post(
            f"{self.stack.issuer}/token",
            data={"grant_type": "client_credentials"},
            auth=(self.client_id, self.client_secret),
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def fetch(self, token: str) -> httpx.Response:
        """Ask for the protected document."""
        return httpx.get(
            self.stack.document_url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
