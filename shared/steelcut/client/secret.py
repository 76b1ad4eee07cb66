"""The client's secret, read anew for each token request, so that a rotation needs no restart."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from steelcut.client.errors import SecretUnavailable


class Secret:
    """Where a client's secret comes from: a string, a function, or a file."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Secret(…)"

    @classmethod
    def of(cls, secret: str | Callable[[], str]) -> Secret:
        """Use a string as it is, or call a function for it each time. Raises ``ValueError`` for an empty string."""
        if callable(secret):
            return cls(secret)
        if not _is_secret(secret):
            raise ValueError(
                "the client secret must be text that is not empty, or a function that returns it"
            )
        return cls(lambda: secret)

    @classmethod
    def in_file(cls, path: str | os.PathLike[str]) -> Secret:
        """Read a file, without the white space around the secret. Raises ``ValueError`` when that cannot be done."""
        secret = cls(lambda: _content(Path(path)))
        try:
            secret.read()
        except SecretUnavailable as error:
            raise ValueError(str(error).rstrip(".")) from None
        return secret

    def read(self) -> str:
        """Return the secret as it is now. Raises :class:`SecretUnavailable`, and what a function raises."""
        secret = self._read()
        if not _is_secret(secret):
            raise SecretUnavailable("The function that is to return the client secret returned none.")
        return secret


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _content(path: Path) -> str:
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
    else:
        if content:
            return content
        cause = "it is empty"
    raise SecretUnavailable(f"The client secret cannot be read from {path}: {cause}.")
