"""Clients as the admin API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from auth_service.admin.fields import Content, Grants, LifetimeSeconds, Moment, Shown, patch_schema

_EXAMPLE: JsonDict = {"name": "Billing", "grants": {"api_v0.0.1": ["read"]}, "metadata": {"owner": "finance"}}
_PATCH = {"name": "Billing, Europe", "grants": {"reports": ["read"]}, "metadata": {"owner": "sales"}}


class NewClientContent(Content):
    """A client to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: str
    grants: Grants
    client_id: Annotated[str | None, Field(description="Made from the name when left out")] = None
    default_resource: Annotated[str | None, Field(description="Of a token request that names none")] = None
    token_lifetime_seconds: LifetimeSeconds | None = None
    expires_at: Moment | None = None
    metadata: Annotated[dict[str, Any], Field(description="At most 8192 bytes, 32 levels")] = Field(
        default_factory=dict
    )
    secret_label: str = ""
    secret_expires_at: Moment | None = None


class ClientPatch(Content):
    """A JSON Merge Patch of a client (RFC 7396): null takes a value away, also inside grants and metadata."""

    model_config = ConfigDict(json_schema_extra=patch_schema(_PATCH))

    name: str = ""
    grants: dict[str, list[str] | None] = Field(default_factory=dict)
    default_resource: str | None = None
    token_lifetime_seconds: LifetimeSeconds | None = None
    expires_at: Moment | None = None
    metadata: dict[str, Any] | None = None


class Client(Shown):
    """A client; `version` is also its ETag, and secrets are known by their ids alone."""

    client_id: str
    name: str
    state: Literal["active", "disabled", "expired"]
    enabled: bool
    grants: dict[str, list[str]]
    default_resource: str | None
    token_lifetime_seconds: int | None
    expires_at: datetime | None
    metadata: dict[str, Any]
    secret_ids: tuple[str, ...]
    last_used_at: Annotated[datetime | None, Field(description="When it last got a token, to the minute")]
    created_at: datetime
    updated_at: datetime
    version: int


class CreatedClient(Client):
    """A client with its first secret, which is shown here and never again."""

    client_secret: Annotated[str, Field(repr=False)]


class ClientPage(Shown):
    """Some clients by id, and how to ask for the next ones: null when there are no more."""

    items: list[Client]
    next_cursor: str | None
