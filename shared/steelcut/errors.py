"""What can go wrong on the wire: raised anywhere, rendered once.

An error has two audiences. The caller gets fixed text (``error`` and ``description``, RFC 6749 §5.2 and
RFC 6750 §3.1); the operator gets ``reason``, which may name the true cause and goes to the log alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

RETRY_AFTER_SECONDS = 1
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class OAuthError(Exception):
    r"""A request that is answered with an OAuth error.

    Subclasses set the class attributes, one subclass per situation a caller can tell apart. ``description``
    is printable ASCII without ``"`` and ``\`` (RFC 6749 §5.2) and never an echo of input.
    """

    error: ClassVar[str]
    description: ClassVar[str]
    status: ClassVar[int] = 400
    extra_headers: ClassVar[Mapping[str, str]] = {}
    # What operators count it as: one of few names, with nothing of the request in it. The class's own, in snake case,
    # unless an instance is told to be another.
    kind: str = ""

    def __init_subclass__(cls) -> None:
        """Derive the kind of a class from its name."""
        super().__init_subclass__()
        if "kind" not in vars(cls):
            cls.kind = _CAPITAL.sub("_", cls.__name__).lower()

    def __init__(self, reason: str = "", *, headers: Mapping[str, str] | None = None, kind: str = "") -> None:
        """Take the true ``reason``, for the log, the ``headers`` only this instance knows, and its ``kind``."""
        super().__init__(reason or self.description)
        self.reason: str = reason or type(self).__name__
        self._headers = headers or {}
        if kind:
            self.kind = kind

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to this answer, besides the content's own."""
        return {**self.extra_headers, **self._headers}

    def body(self) -> dict[str, str | int]:
        """Return the JSON object of the answer (RFC 6749 §5.2)."""
        return {"error": self.error, "error_description": self.description}


class TemporarilyUnavailable(OAuthError):
    """Something we stand on (database, issuer) does not answer; the request may be repeated as it is."""

    error = "temporarily_unavailable"
    description = "The service is temporarily unavailable. Send the same request again shortly."
    status = 503
    extra_headers: ClassVar[Mapping[str, str]] = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class BearerError(OAuthError):
    """An error of a protected resource, told in a challenge (RFC 6750 §3)."""


class NoCredentials(BearerError):
    """The request carries no access token: the challenge has no error code (RFC 6750 §3.1)."""

    error = "unauthorized"
    description = "Send an access token in the Authorization header, as Bearer."
    status = 401


class MalformedAuthorization(BearerError):
    """The Authorization header is not one well-formed Bearer credential (RFC 6750 §2.1)."""

    error = "invalid_request"
    description = "Send exactly one Authorization header: Bearer, one space, the access token."


class InvalidToken(BearerError):
    """The access token is forged, expired, malformed or meant for somebody else (RFC 6750 §3.1).

    One sentence for all causes: which check failed is nobody's business but the log's.
    """

    error = "invalid_token"
    description = "The access token is not valid here. Request a new one for this resource."
    status = 401


class InsufficientScope(BearerError):
    """The access token is good, but grants too little (RFC 6750 §3.1)."""

    error = "insufficient_scope"
    description = "The access token does not grant the scope that this request needs."
    status = 403
