"""Get an access token and open what it opens, from a script.

Small functions without memory: each call to :func:`request_token` asks the server. What goes over the wire is made
and read by pure functions, so that other transports can use them.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus

from steelcut import metadata
from steelcut.discovery import check_url
from steelcut.exchange import (
    TIMEOUT_SECONDS,
    Answer,
    ClientError,
    Exchange,
    UnexpectedAnswer,
    Unreachable,
    printable,
)

__all__ = [
    "ClientError",
    "RequestRefused",
    "Token",
    "UnexpectedAnswer",
    "Unreachable",
    "basic_credentials",
    "challenge_parameters",
    "fetch",
    "find_token_url",
    "read_token",
    "request_token",
    "token_form",
]

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024

_SOCKETS: Final = Exchange()
_CHALLENGE_PARAMETER: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class RequestRefused(ClientError):
    """The server said no, with an OAuth error (RFC 6749 §5.2, RFC 6750 §3).

    ``error`` is the code (``invalid_client``), ``description`` the server's sentence (may be empty), ``status`` the
    HTTP status, ``trace_id`` what a Steelcut server calls this request in its log (None elsewhere).
    """

    def __init__(self, url: str, status: int, error: str, description: str, trace_id: str | None) -> None:
        self.status = status
        self.error = error
        self.description = description
        self.trace_id = trace_id
        sentence = f"{url} refused the request ({status} {error})"
        trace = f" Trace id: {trace_id}" if trace_id else ""
        super().__init__(f"{sentence}: {description}{trace}" if description else f"{sentence}.{trace}")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as the server gave it (RFC 6749 §5.1).

    ``expires_in`` is in seconds from the moment of the answer, None when the server does not say. ``scope`` is what
    was granted, space-separated; None when the server does not say, which means: what was asked for.
    """

    value: str = field(repr=False)
    expires_in: int | None = None
    scope: str | None = None


def request_token(
    *,
    client_id: str,
    client_secret: str,
    issuer: str | None = None,
    token_url: str | None = None,
    resource: str | Iterable[str] = (),
    scope: str | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Token:
    """Get an access token by client credentials (RFC 6749 §4.4, ``client_secret_basic``).

    Give ``token_url``, or ``issuer`` to find it by metadata (RFC 8414). ``resource`` (RFC 8707) and ``scope`` default
    to what the server keeps for the client. ``timeout`` in seconds bounds each request as a whole.

    Raises :class:`RequestRefused` when the server says no, :class:`Unreachable` and :class:`UnexpectedAnswer` when
    there is no such answer, ``ValueError`` when a URL must not be used.
    """
    if token_url is None:
        if issuer is None:
            raise ValueError("give the issuer, or the URL of its token endpoint")
        token_url = find_token_url(issuer, timeout=timeout)
    check_url(token_url, "token URL")
    answer = _SOCKETS.send(
        "POST",
        token_url,
        headers={"Authorization": basic_credentials(client_id, client_secret), "Accept": "application/json"},
        form=token_form(resource, scope),
        timeout=timeout,
    )
    return read_token(answer)


def find_token_url(issuer: str, *, timeout: float = TIMEOUT_SECONDS) -> str:
    """Ask the issuer's metadata for its token endpoint (RFC 8414 §3). Raises as :func:`request_token` does."""
    return metadata.token_endpoint(metadata.issuer_metadata(_SOCKETS, issuer, timeout=timeout))


def fetch(url: str, token: Token, *, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Get the protected document at ``url`` with ``token`` (RFC 6750 §2.1), up to 64 MiB.

    Raises :class:`RequestRefused` with the resource server's challenge, :class:`Unreachable`,
    :class:`UnexpectedAnswer`, or ``ValueError`` when the token must not be sent to such a URL.
    """
    check_url(url, "document URL")
    headers = {"Authorization": f"Bearer {token.value}", "Accept": "application/json"}
    answer = _SOCKETS.send("GET", url, headers=headers, timeout=timeout, max_bytes=MAX_DOCUMENT_BYTES)
    if answer.status == 200:
        return answer.body
    raise _refusal(answer, challenge_parameters(answer.headers.get("www-authenticate", "")))


def basic_credentials(client_id: str, client_secret: str) -> str:
    """Return the Authorization header: both halves form-encoded, then base64 (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def token_form(resource: str | Iterable[str] = (), scope: str | None = None) -> dict[str, str | list[str]]:
    """Return the form of a client-credentials request; ``resource`` repeats (RFC 6749 §4.4.2, RFC 8707 §2)."""
    resources = [resource] if isinstance(resource, str) else list(resource)
    form: dict[str, str | list[str]] = {"grant_type": "client_credentials"}
    if resources:
        form["resource"] = resources
    if scope:
        form["scope"] = scope
    return form


def read_token(answer: Answer) -> Token:
    """Return the token in a token endpoint's answer (RFC 6749 §5.1), or raise what it says instead (§5.2)."""
    if answer.status != 200:
        raise _refusal(answer, {})
    members = answer.json_object()
    value = members.get("access_token") if members else None
    if members is None or not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise UnexpectedAnswer(f"{answer.url} answered 200 without an access token.")
    token_type = members.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise UnexpectedAnswer(f"{answer.url} gave a token of another type than Bearer.")
    scope = members.get("scope")
    return Token(value, _seconds(members.get("expires_in")), scope if isinstance(scope, str) else None)


def challenge_parameters(header: str) -> dict[str, str]:
    """Return the quoted parameters of a Bearer challenge: ``error``, ``scope`` … (RFC 6750 §3)."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "bearer":
        return {}
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", value) for name, value in _CHALLENGE_PARAMETER.findall(rest)
    }


def _seconds(expires_in: object) -> int | None:
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return None
    return int(expires_in) if 0 <= expires_in < math.inf else None


def _refusal(answer: Answer, challenge: Mapping[str, str]) -> ClientError:
    members: Mapping[str, Any] = {**(answer.json_object() or {}), **challenge}
    error, description = members.get("error"), members.get("error_description")
    if not isinstance(error, str):
        return UnexpectedAnswer(
            f"{answer.url} answered with status {answer.status}, not with an OAuth error."
        )
    return RequestRefused(
        answer.url,
        answer.status,
        printable(error),
        printable(description) if isinstance(description, str) else "",
        answer.headers.get("x-trace-id"),
    )
