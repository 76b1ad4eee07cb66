"""What the resource server refuses, beside what the guard refuses (``steelcut.errors``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from steelcut.errors import MalformedAuthorization, OAuthError


class NotFound(OAuthError):
    """No such document, told to those alone whom the guard let pass; or no such resource."""

    error = "not_found"
    description = "There is nothing at this path."
    status = 404


class PreconditionFailed(OAuthError):
    """If-Match or If-None-Match is not true of the document as it is now (RFC 9110 §15.5.13)."""

    error = "precondition_failed"
    description = (
        "The document is not in the state that If-Match or If-None-Match asks for. Fetch it and decide anew."
    )
    status = 412


class MalformedPrecondition(OAuthError):
    """If-Match or If-None-Match cannot be read."""

    error = "invalid_request"
    description = (
        "If-Match and If-None-Match are a * or a list of entity tags, each in double quotes as in ETag."
    )


class MalformedDemand(OAuthError):
    """The query of /verify, which the configuration of a proxy writes, cannot be read: then nobody passes."""

    error = "invalid_request"
    description = (
        "The query must have resource, and may have scope and any_scope: each once, percent-encoded. "
        "The log says what is wrong with it."
    )


class UnreadableCredentials(MalformedAuthorization):
    """``MalformedAuthorization`` for a proxy: of the 4xx nginx hands on 401 and 403, and makes a 500 of the others."""

    status = 401


class UntoldClient(OAuthError):
    """The token is good, but the name of its client would not reach the service behind the proxy as it is."""

    error = "access_denied"
    description = "The client id of this access token cannot stand in a header: it cannot pass this proxy."
    status = 403


class PartialContent(OAuthError):
    """PUT with Content-Range, which a server that knows no partial PUT must not take for the whole (RFC 9110 §14.5)."""

    error = "invalid_request"
    description = "Send the whole document without Content-Range: a part of one cannot be put."


class UnsupportedType(OAuthError):
    """The content is not said to be JSON in UTF-8."""

    error = "invalid_request"
    description = "Send the document with Content-Type: application/json, in UTF-8."
    status = 415
    extra_headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}


class UnsupportedCoding(OAuthError):
    """The content is compressed or otherwise coded (RFC 9110 §12.5.3)."""

    error = "invalid_request"
    description = "Send the document as it is, without Content-Encoding."
    status = 415
    extra_headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "identity"}


class DocumentTooLarge(OAuthError):
    """The content is larger than this server takes over HTTP."""

    error = "invalid_request"
    description = "The document is larger than this server takes over HTTP."
    status = 413


class ContentTooSlow(OAuthError):
    """The content did not come in time."""

    error = "invalid_request"
    description = "The document did not arrive in time. Send the same request again."
    status = 408
    # RFC 9110 §15.5.9
    extra_headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class MalformedDocument(OAuthError):
    """The content is no JSON text: ``line`` and ``column``, from 1, say where that shows."""

    error = "invalid_request"
    description = "The document is not JSON that every reader takes; line and column say where."

    def __init__(self, mistake: NotJSON) -> None:
        """Take the place of ``mistake``."""
        super().__init__(str(mistake))
        self._place = {"line": mistake.line, "column": mistake.column}

    def body(self) -> dict[str, str | int]:
        """Return the JSON object of the answer, with the place."""
        return {**super().body(), **self._place}


class DocumentError(Exception):
    """A document cannot be published; the message is one sentence for the publisher."""


class NotJSON(DocumentError):
    """The bytes are no JSON text; ``line`` and ``column`` count from 1 and say where that shows."""

    def __init__(self, cause: str, line: int, column: int) -> None:
        """Say ``cause`` at its place."""
        super().__init__(f"Not JSON: {cause} at line {line}, column {column}.")
        self.line = line
        self.column = column
