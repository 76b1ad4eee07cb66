"""Which names resources and keys may have, and so which paths lead to documents."""

from __future__ import annotations

import re
from typing import Final

from resource_service.errors import DocumentError

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}"
NAME: Final = re.compile(_NAME)
# Paths of this service itself, now and later; a resource of such a name could not be reached.
RESERVED: Final = frozenset({"docs", "openapi.json", "healthz", "readyz", ".well-known", "verify", "admin"})

# `/{resource}` and `/{resource}/{key}`
DOCUMENT_PATH: Final = re.compile(
    rf"/(?!(?:{'|'.join(map(re.escape, sorted(RESERVED)))})(?:/|\Z))(?P<resource>{_NAME})(?:/(?P<key>{_NAME}))?"
)


def check_resource_name(name: str) -> str:
    """Return ``name`` if a resource may have it. Raises ``DocumentError``."""
    if name in RESERVED:
        raise DocumentError(f"The name {name} is taken by the service itself: choose another.")
    return _check(name, "resource")


def check_key(key: str) -> str:
    """Return ``key`` if a document may have it. Raises ``DocumentError``."""
    return _check(key, "key")


def _check(name: str, what: str) -> str:
    if not NAME.fullmatch(name):
        raise DocumentError(
            f"The {what} must be 1 to 128 letters, digits and . _ ~ - and begin with a letter or a digit."
        )
    return name
