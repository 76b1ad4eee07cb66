"""Reports of use as the admin API shows them."""

from __future__ import annotations

from datetime import datetime

from auth_service.admin.fields import Shown
from auth_service.administration.clients import ClientState


class ScopeUse(Shown):
    """A scope, how many clients have it, and when a token last had it."""

    resource: str
    scope: str
    is_default: bool
    clients: int
    last_used_at: datetime | None


class Scopes(Shown):
    """All scopes, by resource."""

    items: list[ScopeUse]
    next_cursor: None = None


class UnusedClientShown(Shown):
    """A client that got no token lately; `last_used_at` is null when it never got one."""

    client_id: str
    name: str
    state: ClientState
    created_at: datetime
    last_used_at: datetime | None


class UnusedClientPage(Shown):
    """A page of unused clients, by id."""

    items: list[UnusedClientShown]
    next_cursor: str | None


class UnusedGrantShown(Shown):
    """A granted scope that no token had lately; `last_used_at` is null when none ever had it."""

    client_id: str
    resource: str
    scope: str
    granted_at: datetime
    last_used_at: datetime | None


class UnusedGrantPage(Shown):
    """A page of unused grants, by client, resource and scope."""

    items: list[UnusedGrantShown]
    next_cursor: str | None
