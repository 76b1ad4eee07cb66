"""Signing keys as the admin API takes and shows them. A private part is never shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from auth_service.admin.fields import Content, Shown
from auth_service.key_life import Action
from auth_service.queries.keys import KeyState
from auth_service.signing_keys import SigningAlgorithm


class NewKeyContent(Content):
    """A signing key to create, or to begin a rotation with."""

    algorithm: Annotated[
        SigningAlgorithm | None, Field(description="By default that of AUTH_SIGNING_ALGORITHM")
    ] = None


class Key(Shown):
    """A signing key without its private part, and from when it may be promoted or retired."""

    kid: str
    algorithm: str
    state: KeyState
    created_at: datetime
    activated_at: datetime | None
    retiring_at: datetime | None
    retired_at: datetime | None
    compromised: bool
    master_key_id: str
    next_action: Literal["create", "promote", "retire"] | None
    next_at: datetime | None


class Keys(Shown):
    """All signing keys, oldest first."""

    items: list[Key]
    next_cursor: None = None


class RevocationShown(Shown):
    """A revoked key, the one that signs in its place if it signed, and until when verifiers may still hold it."""

    key: Key
    successor: Key | None
    held_until: datetime


class StepShown(Shown):
    """One step of a rotation; `kid` is null for a key yet to be made."""

    action: Action
    kid: str | None
    at: datetime


class KeyRotation(Shown):
    """What a rotation did at this moment, and what comes when: ask again then."""

    at: datetime
    done: list[StepShown]
    coming: list[StepShown]
