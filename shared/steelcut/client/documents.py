"""A protected document as it is fetched without a client of httpx (RFC 6750 §2.1)."""

from __future__ import annotations

import json
from typing import Any, Final

from steelcut.client.challenge import challenge_parameters
from steelcut.client.errors import refusal
from steelcut.client.wire import Token
from steelcut.discovery import check_url
from steelcut.exchange import TIMEOUT_SECONDS, Answer, Exchange, UnexpectedAnswer

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024


def get(exchange: Exchange, url: str, authorization: str | None, *, timeout: float, max_bytes: int) -> Answer:
    """Ask for ``url`` once, with an Authorization header or without. Raises as ``Exchange.send`` does."""
    headers = {"Authorization": authorization} if authorization else {}
    return exchange.send("GET", url, headers=headers, timeout=timeout, max_bytes=max_bytes)


def content(answer: Answer) -> bytes:
    """Return the document in a resource's answer, or raise what it says instead (RFC 6750 §3)."""
    if answer.status == 200:
        return answer.body
    raise refusal(answer, challenge_parameters(answer.headers.get("www-authenticate", "")))


def parsed(url: str, body: bytes) -> Any:
    """Return the JSON document in ``body``. Raises :class:`UnexpectedAnswer`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    raise UnexpectedAnswer(f"{url} answered 200, but not with JSON.", status=200)


def fetch(url: str, token: Token, *, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Get the protected document at ``url`` with ``token``, up to 64 MiB, in one attempt.

    ``timeout`` in seconds bounds the request as a whole. Raises :class:`RequestRefused` with the resource server's
    challenge, :class:`Unreachable`, :class:`UnexpectedAnswer`, or ``ValueError`` when the token must not be sent to
    such a URL.
    """
    check_url(url, "document URL")
    return content(
        get(Exchange(), url, f"Bearer {token.value}", timeout=timeout, max_bytes=MAX_DOCUMENT_BYTES)
    )
