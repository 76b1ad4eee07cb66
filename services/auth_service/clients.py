"""A client as the token endpoint sees it: frozen values, read in one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from auth_service.client_secrets import IMPORTED_PREFIX


@dataclass(frozen=True, slots=True)
class GrantedResource:
    """A resource that a client may ask tokens for, with the scopes it was granted there.

    ``identifier`` is the absolute URI that becomes the token's ``aud``; ``name`` the short registered name.
    ``default_scopes`` are those of the granted ``scopes`` that a request gets which asks for none, sorted.
    """

    name: str
    identifier: str
    scopes: frozenset[str]
    default_scopes: tuple[str, ...]
    token_lifetime_seconds: int | None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The hash of one secret; ``expires_at`` in Unix seconds, None for never."""

    secret_id: str
    hash: str = field(repr=False)
    expires_at: float | None = None

    def is_live(self, now: float) -> bool:
        """Tell whether it may be used at ``now``, in Unix seconds."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.

    ``expires_at`` is in Unix seconds, None for never; ``targets`` finds its resources by identifier and by short
    name (RFC 8707 §2).
    """

    client_id: str
    enabled: bool
    expires_at: float | None
    grant_types: frozenset[str]
    secrets: Mapping[str, StoredSecret]
    targets: Mapping[str, GrantedResource]
    default_target: GrantedResource | None
    token_lifetime_seconds: int | None

    @property
    def imported_secret(self) -> StoredSecret | None:
        """The one secret that came from another server: it carries no id that would name its row."""
        imported = (
            secret for secret_id, secret in self.secrets.items() if secret_id.startswith(IMPORTED_PREFIX)
        )
        return next(imported, None)


# Stands in for a client that is not registered, so that both refusals cost the same work.
NOBODY = Client(
    client_id="",
    enabled=False,
    expires_at=None,
    grant_types=frozenset(),
    secrets={},
    targets={},
    default_target=None,
    token_lifetime_seconds=None,
)


class AuthenticatedClient(NamedTuple):
    """A client that proved itself, and by which of its secrets; ``stale`` is one that could not be read afresh."""

    client: Client
    secret_id: str
    stale: bool = False
