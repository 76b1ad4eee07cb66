"""Everything that the test suite makes the services log is looked through for secrets: of all tests, not of one.

In this process each line passes ``look`` on its way; what other processes wrote is handed to it when they end. Nothing
is raised within a service: ``check`` fails the test in which it was found.
"""

from __future__ import annotations

import logging
import re
from typing import IO, Final

from auth_service.client_secrets import PREFIX
from steelcut.service.telemetry.lines import LinesOfText

SECRETS: Final = {
    "a client secret": re.compile(rf"{PREFIX}_[0-9A-Za-z]{{12}}_[0-9A-Za-z]{{40,}}"),
    "a signed token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}"),
    "credentials": re.compile(r"\b(?:Basic|Bearer) [A-Za-z0-9+/._-]{20,}"),
    "the password of a database": re.compile(
        r"\b(?:postgres(?:ql)?|rediss?)://(?!user:password@)[^\s:/@]*:[^\s@*]+@"
    ),
    "a private key": re.compile(r"PRIVATE KEY|\"d\": ?\"[\w-]{20,}\""),
    # 32 bytes in base64, as the master key is.
    "a master key": re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/]{43}=(?![\w+/=])"),
}

_found: list[str] = []
_lines = 0


def look(text: str) -> None:
    """Note what of ``text`` is a secret."""
    global _lines  # noqa: PLW0603 - of the whole run
    _lines += text.count("\n") or 1
    for what, pattern in SECRETS.items():
        if match := pattern.search(text):
            start = max(0, match.start() - 200)
            _found.append(f"{what}: …{text[start : match.end() + 50]!r}…")


def look_at(log: IO[bytes]) -> None:
    """Note what of a file is a secret, from its beginning on."""
    log.seek(0)
    look(log.read().decode(errors="replace"))


def check() -> None:
    """Fail when a secret was logged since the last time."""
    found, _found[:] = list(_found), []
    assert not found, "a secret was logged: " + "\n".join(found)


def lines() -> int:
    """Return how many lines were looked at."""
    return _lines


class _Looking(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        look(self.format(record))


def look_at_everything() -> None:
    """Begin, once in each process of the test run."""
    write = LinesOfText.msg

    def looked_at(self: LinesOfText, line: bytes) -> None:
        look(line.decode())
        write(self, line)

    for name in ("msg", "debug", "info", "warning", "error", "critical", "exception"):
        setattr(LinesOfText, name, looked_at)
    logging.getLogger().addHandler(_Looking())
