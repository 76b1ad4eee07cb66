"""One HTTP request and its answer, both within bounds: of time, of size, and of where a secret may go.

Redirects are not followed: a secret goes to the URL that was named and nowhere else. Blocking; who must not block
does it in a ``flight``.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from steelcut.deadline import Deadline
from steelcut.discovery import is_loopback
from steelcut.in_process import transport_to

TIMEOUT_SECONDS: Final = 10.0
MAX_ANSWER_BYTES: Final = 256 * 1024
# Thirty years: the most that nine digits say.
MAX_RETRY_AFTER_SECONDS: Final = 999_999_999.0


class ClientError(Exception):
    """What was asked for was not had; the message is a sentence without any secret.

    ``status`` is the HTTP status of the answer, None when there was none or it says nothing of the failure.
    ``retry_after`` is for how many seconds the server asked to be left alone, None when it did not.
    """

    status: int | None = None
    retry_after: float | None = None


class Unreachable(ClientError):
    """No answer came: no connection, no TLS, no end within the time-out."""


class UnexpectedAnswer(ClientError):
    """An answer came that the standards do not allow, so nothing in it is used."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP: ``headers`` with lower-case names, the whole ``body``."""

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def retry_after(self) -> float | None:
        """For how many seconds from now the server asks to be left alone, None when it does not say."""
        return retry_after_seconds(self.headers.get("retry-after", ""), now=time.time())

    def json_object(self) -> dict[str, Any] | None:
        """Return the JSON object in the body, or None when there is none."""
        try:
            members = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return members if isinstance(members, dict) else None


@dataclass(frozen=True, slots=True)
class Exchange:
    """How to reach servers: over ``transport``, or else by sockets, with TLS as ``verify`` says.

    ``transport`` may be shared with others, and stays open. ``verify`` is a context of ``ssl`` for a certification
    authority of one's own.
    """

    transport: httpx.BaseTransport | None = None
    verify: ssl.SSLContext | None = None

    def prepare(self) -> None:
        """Load what the first request needs, which takes long: modules, and the authorities that TLS trusts.

        Before a request is made in another thread than the program's: a child that is forked while that loads something
        can never load it, since Python and OpenSSL lock what is being loaded.
        """
        import encodings.idna  # noqa: F401, PLC0415 - by which the system's resolver is asked

        if self.transport is None:
            httpx.HTTPTransport(verify=self.verify or _tls()).close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str | list[str]] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Send one request and read at most ``max_bytes`` of the answer, within ``timeout`` seconds in all.

        Raises ``Unreachable`` and ``UnexpectedAnswer``.
        """
        ends_at = time.monotonic() + timeout
        deadline = Deadline()
        too_slow = f"{url} did not finish its answer within {timeout:g} seconds."
        body = bytearray()
        # Uncompressed, so that the bound on the bytes read is the bound on the memory used.
        sent = {"Accept": "application/json", **(headers or {}), "Accept-Encoding": "identity"}
        try:
            with (
                self._open(url, timeout) as http,
                deadline.within(timeout),
                http.stream(
                    method,
                    url,
                    headers=sent,
                    data=dict(form) if form else None,
                    extensions={"trace": deadline.trace},
                ) as response,
            ):
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise UnexpectedAnswer(f"{url} answered in a content encoding that was not asked for.")
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > max_bytes:
                        raise UnexpectedAnswer(f"{url} answered with more than {max_bytes} bytes.")
                    if time.monotonic() > ends_at:
                        raise Unreachable(too_slow)
                if deadline.is_over:  # an answer without a length ends where it was cut
                    raise Unreachable(too_slow)
                return Answer(url, response.status_code, response.headers, bytes(body))
        except httpx.TimeoutException:
            failure = Unreachable(too_slow)
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:  # the last for odd host names
            failure = Unreachable(
                too_slow if deadline.is_over else f"{url} cannot be reached: {_cause(error)}."
            )
        # Out here, so that it has no context: httpx's error holds the request, and that the secret.
        raise failure

    def _open(self, url: str, timeout: float) -> httpx.Client:
        given = self.transport or transport_to(url)
        return httpx.Client(
            timeout=timeout,
            follow_redirects=False,
            transport=None if given is None else _Shared(given),
            verify=self.verify or (_tls() if given is None else False),
            # A proxy from the environment cannot reach this machine's loopback address.
            trust_env=not is_loopback(urlsplit(url).hostname),
        )


class _Shared(httpx.BaseTransport):
    """A transport as it is given to a client that ends before it."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # By a connection of its own: ``Deadline`` cuts no other. HTTP/2 has no such field (RFC 9113 §8.2.2) and keeps
        # its connection, so that there a head is bounded by httpx's time-out for each read alone.
        request.headers["Connection"] = "close"
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Leave it open: requests of other threads are on their way over it."""


def retry_after_seconds(value: str, *, now: float) -> float | None:
    """Return how many seconds a Retry-After header asks for (RFC 9110 §10.2.3), None when it cannot be read.

    ``now`` is in epoch seconds, for a header that holds a date; one that has passed asks for nothing: 0. Never more
    than ``MAX_RETRY_AFTER_SECONDS``: nobody can sleep for the centuries that a date may ask for.
    """
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # RFC 9110 §5.6.7: a date without a zone is one of Greenwich.
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def printable(text: str) -> str:
    """Return the beginning of a stranger's ``text``, fit for a terminal, where control characters are commands."""
    return "".join(character if character.isprintable() else "?" for character in text[:500])


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certification authorities takes longer than the request.
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        # httpx looks at the first of them that is set.
        named = [
            f"{name}={path}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if (path := os.environ.get(name))
        ]
        reason = getattr(error, "reason", None) or error.strerror
        failure = Unreachable(
            f"The certification authorities of {(named or ['certifi'])[0]} cannot be read: {reason}."
        )
    raise failure


def _cause(error: Exception) -> str:
    text = re.sub(r"^\[[^\]]*\] ", "", printable(str(error)))  # without "[Errno 111] "
    return text.rstrip(".") or type(error).__name__
