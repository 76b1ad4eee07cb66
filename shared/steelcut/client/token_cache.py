"""Access tokens on disk, for command lines and cron jobs that live shorter than their tokens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from steelcut.claims import MAX_NUMERIC_DATE
from steelcut.client.wire import MAX_LIFETIME_SECONDS, Token, is_token

MAX_FILE_BYTES: Final = 256 * 1024
_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o600
_OTHERS: Final = 0o077
# O_NONBLOCK, so that a pipe in the place of a file holds nobody up.
_READING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITING: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class TokenCache:
    """A folder of access tokens: never of secrets. One file for each server, client, resource and scope.

    ``directory`` is made if need be, readable by its owner alone; by default ``steelcut/tokens`` in
    ``$XDG_CACHE_HOME``, or in ``~/.cache``. A file that another user owns or can read, that is broken or whose token
    has expired counts as none. Writing is all or nothing, so any number of processes may share the folder; when it
    fails, on a full disk, the token is only not kept.

    Whoever can read the files of this user can use the tokens until they expire, as they could use the secret.

    Raises ``ValueError`` when the directory cannot be made or written, or others can look into it.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory: Path = _default() if directory is None else Path(directory).expanduser()
        try:
            self.directory.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
            found = self.directory.stat()
        except OSError as error:
            raise self._useless(error.strerror or type(error).__name__) from None
        if not stat.S_ISDIR(found.st_mode):
            raise self._useless("it is no directory")
        if found.st_uid != os.geteuid():
            raise self._useless("it belongs to another user")
        if found.st_mode & _OTHERS:
            raise self._useless(f"others can look into it: chmod 700 '{self.directory}'")
        if not os.access(self.directory, os.R_OK | os.W_OK | os.X_OK):
            raise self._useless("it cannot be written")

    def __repr__(self) -> str:
        """Name the directory."""
        return f"TokenCache({str(self.directory)!r})"

    def entry(self, of: Iterable[Any]) -> CacheEntry:
        """Return the place of the token that ``of`` tells from all others."""
        named = json.dumps([1, *of], separators=(",", ":"), sort_keys=True)
        return CacheEntry(self.directory / f"{hashlib.sha256(named.encode()).hexdigest()}.json")

    def _useless(self, cause: str) -> ValueError:
        return ValueError(f"the token cache {self.directory} cannot be used: {cause}")


class CacheEntry:
    """One token on disk, or none."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Token, float] | None:
        """Return the token and when it was asked for, in epoch seconds; None when there is none that may be used."""
        try:
            members = json.loads(self._read())
        except (OSError, ValueError, RecursionError):
            return None
        return _token(members) if isinstance(members, dict) else None

    def store(self, token: Token, asked_at: float) -> None:
        """Put a token in the place of any other; nothing is kept when that cannot be done."""
        members = {
            "access_token": token.value,
            "expires_in": token.expires_in,
            "scope": token.scope,
            "asked_at": asked_at,
        }
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(draft, _WRITING, _FILE_MODE), "w", encoding="utf-8") as file:
                json.dump(members, file)
            draft.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()

    def forget(self, token: Token) -> None:
        """Remove the token, unless another one has taken its place."""
        found = self.load()
        if found is not None and found[0].value == token.value:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _read(self) -> bytes:
        """Return the file's content. Raises ``OSError`` for a file that is not this user's alone."""
        with os.fdopen(os.open(self._path, _READING), "rb") as file:
            found = os.fstat(file.fileno())
            ours = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS
            if not ours or not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
                raise PermissionError
            return file.read(MAX_FILE_BYTES)


def _token(members: dict[str, Any]) -> tuple[Token, float] | None:
    value, scope = members.get("access_token"), members.get("scope")
    lifetime, asked_at = members.get("expires_in"), members.get("asked_at")
    if not is_token(value) or not (scope is None or isinstance(scope, str)):
        return None
    if lifetime is not None and not _is_number(lifetime, MAX_LIFETIME_SECONDS):
        return None
    if not _is_number(asked_at, MAX_NUMERIC_DATE):
        return None
    return Token(str(value), None if lifetime is None else int(lifetime), scope), float(asked_at or 0)


def _is_number(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < most


def _default() -> Path:
    # A relative path is to be ignored (XDG Base Directory Specification).
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "steelcut" / "tokens"
