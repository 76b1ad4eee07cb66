"""The walk through the flow that ``steelcut dev`` shows: real requests, each with its result."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any, Final

import httpx
import jwt
from rich.console import Console
from rich.text import Text

from steelcut import client
from steelcut.discovery import AUTHORIZATION_SERVER, well_known
from steelcut_cli import output
from steelcut_cli.dev.state import SCOPES, Secrets, Urls
from steelcut_cli.errors import Refusal

TIMEOUT_SECONDS: Final = 10.0
INDENT: Final = "     "


class Walk:
    """One client, seen from the outside: each step is a request and says what came of it.

    Every step raises :class:`Refusal` when the answer is not the one that the standards promise.
    """

    def __init__(self, http: httpx.Client, console: Console, urls: Urls, kept: Secrets) -> None:
        self._http = http
        self._console = console
        self._urls = urls
        self._secrets = kept
        self._number = 0

    def all_steps(self) -> None:
        """Walk the whole flow."""
        token_url = self.discover()
        token = self.request_token(token_url)
        self.show_claims(token)
        etag = self.fetch(token)
        self.fetch_unchanged(token, etag)
        self.fetch_without_token()

    def discover(self) -> str:
        """RFC 8414: the issuer's metadata names the token endpoint."""
        url = well_known(self._urls.issuer, AUTHORIZATION_SERVER)
        self._step("Discover the server", "RFC 8414", f"GET {url}")
        metadata = self._get(url, 200).json()
        self._result(
            "200", f"token_endpoint {metadata['token_endpoint']}", f"jwks_uri {metadata['jwks_uri']}"
        )
        return str(metadata["token_endpoint"])

    def request_token(self, token_url: str) -> client.Token:
        """RFC 6749 §4.4, with our own client."""
        scope = " ".join(SCOPES)
        self._step(
            "Request an access token",
            "RFC 6749 §4.4",
            f"POST {token_url}",
            "Authorization: Basic (client id and secret)",
            f"grant_type=client_credentials  resource={self._urls.document}  scope={scope}",
        )
        token = client.request_token(
            client_id=self._secrets.client_id,
            client_secret=self._secrets.client_secret,
            token_url=token_url,
            resource=self._urls.document,
            scope=scope,
        )
        self._result("200", f"a Bearer token, scope {token.scope!r}, expires in {token.expires_in} s")
        return token

    def show_claims(self, token: client.Token) -> None:
        """RFC 9068: what the token says. Read here to be shown, not to be trusted: nothing is verified."""
        self._step("Look into the token", "RFC 9068", "")
        header = jwt.get_unverified_header(token.value)
        claims = jwt.decode(token.value, options={"verify_signature": False})
        self._result("", f"header {json.dumps(header)}", *json.dumps(claims, indent=2).splitlines())

    def fetch(self, token: client.Token) -> str:
        """RFC 6750: the token opens the document."""
        self._step(
            "Fetch the protected document",
            "RFC 6750",
            f"GET {self._urls.document}",
            "Authorization: Bearer …",
        )
        answer = self._get(self._urls.document, 200, _bearer(token))
        etag = answer.headers["etag"]
        self._result("200", output.cell(answer.text.strip()), f"ETag {etag}")
        return etag

    def fetch_unchanged(self, token: client.Token, etag: str) -> None:
        """RFC 9110 §13: who has the document already gets no second copy."""
        self._step(
            "Ask again, with the tag of the copy one has", "RFC 9110 §13", f"GET with If-None-Match: {etag}"
        )
        self._get(self._urls.document, 304, {**_bearer(token), "If-None-Match": etag})
        self._result("304", "not modified, no body")

    def fetch_without_token(self) -> None:
        """RFC 6750 §3: no token, no document, and a challenge that says where to get one."""
        self._step("Try without a token", "RFC 6750 §3", f"GET {self._urls.document}")
        answer = self._get(self._urls.document, 401)
        self._result("401", f"WWW-Authenticate: {answer.headers['www-authenticate']}")

    def _get(self, url: str, expected: int, headers: Mapping[str, str] | None = None) -> httpx.Response:
        answer = self._http.get(url, headers=headers)
        if answer.status_code != expected:
            raise Refusal(
                f"GET {url} answered {answer.status_code} in the place of {expected}: {answer.text[:200]}"
            )
        return answer

    def _step(self, title: str, source: str, *request: str) -> None:
        self._number += 1
        self._console.print(Text.assemble(f"\n  {self._number}. ", (title, "bold"), f"  ({source})"))
        for line in filter(None, request):
            self._line(line, "cyan")

    def _result(self, status: str, *lines: str) -> None:
        good = f"→ {status} " if status else "→ "
        for number, line in enumerate(lines):
            self._line((good if number == 0 else "  ") + line, "green")

    def _line(self, line: str, style: str) -> None:
        self._console.print(Text(textwrap.indent(line, INDENT), style=style), soft_wrap=True)


def walk(console: Console, urls: Urls, kept: Secrets) -> None:
    """Walk the flow against running services. Raises :class:`Refusal` at the first surprise."""
    console.print("\nThe flow", style="bold")
    with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        try:
            Walk(http, console, urls, kept).all_steps()
        except (client.ClientError, httpx.HTTPError) as error:
            raise Refusal(f"The walk-through failed: {error}") from None
        except (KeyError, ValueError, jwt.PyJWTError) as error:
            raise Refusal(f"The walk-through met an unexpected answer ({type(error).__name__}).") from None


def _bearer(token: client.Token) -> dict[str, Any]:
    return {"Authorization": f"Bearer {token.value}"}
