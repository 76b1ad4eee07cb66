"""A client as the token endpoint sees it: frozen values, read in one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GrantedResource:
    """A resource that a client may ask tokens for, with the scopes it was granted there.

    ``identifier`` is the absolute URI that becomes the token's ``aud``; ``name`` the short registered name.
    """

    name: str
    identifier: str
    scopes: frozenset[str]
    token_lifetime_seconds: int | None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The hash of one secret; ``expires_at`` in Unix seconds, None for never."""

    secret_id: str
    hash: str = field(repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client. ``targets`` finds its resources by identifier and by short name (RFC 8707 §2)."""

    client_id: str
    grant_types: frozenset[str]
    secrets: Mapping[str, StoredSecret]
    targets: Mapping[str, GrantedResource]
    default_target: GrantedResource | None
    token_lifetime_seconds: int | None


# Stands in for a client that is not registered, so that both refusals cost the same work.
NOBODY = Client(
    client_id="",
    grant_types=frozenset(),
    secrets={},
    targets={},
    default_target=None,
    token_lifetime_seconds=None,
)
