"""Resources as the admin API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from auth_service.admin.fields import Content, LifetimeSeconds, Shown, patch_schema

_EXAMPLE: JsonDict = {"name": "reports", "identifier": "https://reports.example", "scopes": ["read", "write"]}
_PATCH = {"scopes": ["read", "write", "delete"], "default_scopes": ["read"]}


class NewResourceContent(Content):
    """A resource to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Annotated[str, Field(description="Short, as in a client's grants")]
    identifier: Annotated[str, Field(description="Absolute URI: the `aud` of its tokens")]
    scopes: list[str]
    default_scopes: list[str] = Field(
        default_factory=list,
        description="What a client gets that asks for none; none of them: all that it has",
    )
    token_lifetime_seconds: LifetimeSeconds | None = None


class ResourcePatch(Content):
    """A JSON Merge Patch of a resource (RFC 7396): a list takes the place of the whole list that was there."""

    model_config = ConfigDict(json_schema_extra=patch_schema(_PATCH))

    identifier: str = ""
    scopes: list[str] = Field(default_factory=list)
    default_scopes: list[str] | None = None
    token_lifetime_seconds: LifetimeSeconds | None = None


class Resource(Shown):
    """A resource with its scopes; `version` is also its ETag."""

    name: str
    identifier: str
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...]
    token_lifetime_seconds: int | None
    created_at: datetime
    updated_at: datetime
    version: int


class Resources(Shown):
    """All resources by name."""

    items: list[Resource]
    next_cursor: None = None


class ResourceCaller(Shown):
    """A client that may call the resource, and for each of its scopes there when a token last had it."""

    client_id: str
    name: str
    state: Literal["active", "disabled", "expired"]
    scopes: dict[str, datetime | None]
    last_used_at: datetime | None


class CallerPage(Shown):
    """Some of those who may call a resource, by id, and how to ask for the next ones."""

    items: list[ResourceCaller]
    next_cursor: str | None
