"""Audit events as the admin API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from auth_service.admin.fields import Shown


class AuditEventShown(Shown):
    """What somebody did, or was refused; `before` and `after` hold no secret."""

    at: datetime
    event_id: UUID
    actor: Annotated[str, Field(description="client:ID, cli:USER@HOST, rotation:HOST, or unknown")]
    action: str
    object_type: str
    object_id: str
    outcome: Annotated[str, Field(description="done, issued, or the error that was answered")]
    reason: Annotated[str, Field(description="The true reason of a refusal, which the caller was not told")]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    trace_id: str
    address: str


class AuditEventPage(Shown):
    """A page of the log, newest first."""

    items: list[AuditEventShown]
    next_cursor: str | None
