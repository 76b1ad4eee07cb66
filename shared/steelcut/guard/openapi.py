"""What a guard answers, for OpenAPI documents."""

from __future__ import annotations

from typing import Any

from steelcut.errors import InsufficientScope, TemporarilyUnavailable


def refusals() -> dict[int | str, dict[str, Any]]:
    """Return the answers of a guard by status, as FastAPI takes them in ``responses``."""
    challenge = {
        "WWW-Authenticate": {"description": "What to bring (RFC 6750 §3)", "schema": {"type": "string"}}
    }
    seconds = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return {
        401: {"description": "No access token, or one that is not valid here", "headers": challenge},
        403: {"description": InsufficientScope.description, "headers": challenge},
        503: {"description": TemporarilyUnavailable.description, "headers": seconds},
    }
