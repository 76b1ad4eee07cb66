"""What the resource server refuses, beside what the guard refuses (``steelcut.errors``)."""

from __future__ import annotations

from steelcut.errors import OAuthError


class NotFound(OAuthError):
    """No such document, told to those alone whom the guard let pass; or no such resource."""

    error = "not_found"
    description = "There is nothing at this path."
    status = 404


class DocumentError(Exception):
    """A document cannot be published; the message is one sentence for the publisher."""


class NotJSON(DocumentError):
    """The bytes are no JSON text; ``line`` and ``column`` count from 1 and say where that shows."""

    def __init__(self, cause: str, line: int, column: int) -> None:
        """Say ``cause`` at its place."""
        super().__init__(f"Not JSON: {cause} at line {line}, column {column}.")
        self.line = line
        self.column = column
