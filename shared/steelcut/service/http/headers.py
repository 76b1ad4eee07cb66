"""The header fields of a request, as ASGI hands them over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope


def values(scope: Scope, name: bytes) -> list[str]:
    """Return the value of every field line named ``name``, which is in lower case."""
    return [value.decode("latin-1") for header, value in scope["headers"] if header == name]
