"""The clients that an issuer of a test knows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Client:
    """A client that may ask this issuer for tokens."""

    client_id: str
    client_secret: str = field(repr=False)
    scope: str
    audience: tuple[str, ...]
