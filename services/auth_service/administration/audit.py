"""The audit event of an administrative change, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auth_service.queries import audit as queries

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from steelcut.service.database.postgres import Connection


async def record(
    connection: Connection,
    actor: Actor,
    action: str,
    object_type: str,
    object_id: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Note a change; ``before`` and ``after`` hold JSON values and never a secret or its hash.

    The caller holds the transaction of the change: both are kept, or neither.
    """
    await queries.insert_event(
        connection,
        actor=actor.name,
        action=action,
        object_type=object_type,
        object_id=object_id,
        before=before,
        after=after,
        trace_id=actor.trace_id,
        address=actor.address,
    )
