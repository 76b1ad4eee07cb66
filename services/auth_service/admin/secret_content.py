"""Secrets as the admin API takes and shows them. A value is shown once, in the answer that it was made for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from auth_service.admin.fields import Content, Moment, Shown
from auth_service.administration.secrets import DEFAULT_OVERLAP, MAX_OVERLAP

Overlap = Annotated[
    int,
    Field(
        ge=0,
        le=int(MAX_OVERLAP.total_seconds()),
        description="How long those that are replaced still work, in seconds",
        examples=[3600],
    ),
]
_DEFAULT_OVERLAP = int(DEFAULT_OVERLAP.total_seconds())
Replaces = Annotated[str | None, Field(description="Id of the only secret to end; without it all of them do")]


class NewSecretContent(Content):
    """A secret to add."""

    label: Annotated[str, Field(description="What it is for", examples=["blue deployment"])] = ""
    expires_at: Moment | None = None


class OwnRotationContent(Content):
    """A rotation that a client asks for itself: the new secret lives as long as the old one was meant to."""

    overlap_seconds: Overlap = _DEFAULT_OVERLAP
    replaces: Replaces = None
    label: Annotated[str, Field(description="What the new one is for")] = ""


class RotationContent(OwnRotationContent):
    """A rotation."""

    expires_at: Moment | None = None


class SecretPatch(Content):
    """When a secret ends: null is never."""

    expires_at: Moment | None


class Secret(Shown):
    """A secret without its value; `in_use` and `safe_to_delete` as docs/clients-and-secrets.md explains them."""

    client_id: str
    secret_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str
    live: bool
    in_use: bool
    safe_to_delete: bool


class AddedSecretShown(Secret):
    """A secret with its value, which is shown here and never again."""

    client_secret: Annotated[str, Field(repr=False)]


class RotationShown(AddedSecretShown):
    """The new secret, and those that it replaces, which now have an end."""

    replaced: list[Secret]


class Secrets(Shown):
    """All secrets of a client, oldest first."""

    items: list[Secret]
    next_cursor: None = None
