"""The audit log, read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What somebody did, or was refused.

    ``actor`` is client:ID, cli:USER@HOST, rotation:HOST or unknown; ``outcome`` is done, issued, or an error code
    of RFC 6749 §5.2 with the true ``reason``. ``before`` and ``after`` hold what a change was about, without secrets.
    """

    at: datetime
    event_id: UUID
    actor: str
    action: str
    object_type: str
    object_id: str
    outcome: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    trace_id: str
    address: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; None asks for all.

    ``action`` may end in ``*``. ``client_id`` finds what a client did and what was done to it.
    ``since`` is the first moment that counts, ``until`` the first that does not.
    """

    actor: str | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    client_id: str | None = None
    outcome: str | None = None
    trace_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_COLUMNS = (
    "at, event_id, actor, action, object_type, object_id, outcome, reason, before, after, trace_id, address"
)
# What is not asked for is not in the statement: a plan for every filter at once would use no index.
_CONDITIONS = {
    "actor": "actor = {}",
    "action": "action = {}",
    "action_prefix": "starts_with(action, {})",
    "object_type": "object_type = {}",
    "object_id": "object_id = {}",
    "outcome": "outcome = {}",
    "trace_id": "trace_id = {} AND trace_id <> ''",
    "since": "at >= {}",
    "until": "at < {}",
}
# What was done to a client, and what it did. Each has its index, in order of time; "or" would read all of both.
_OF_CLIENT = ("object_type = 'client' AND object_id = ${0}", "actor = 'client:' || ${0}")
# What the partial indexes of the rare events hold. That a filter finds nothing else is said in the statement, in their
# own words: PostgreSQL does not conclude it from a parameter.
_CHANGES = "(action NOT IN ('token.issue', 'token.refuse') OR outcome = 'done')"
_REFUSALS = "(action = 'token.refuse' OR outcome NOT IN ('issued', 'done'))"
_TOKEN_ACTIONS = ("token.issue", "token.refuse")
_WRITTEN_SINCE = f"""
    SELECT {_COLUMNS}
      FROM audit_events
     WHERE transaction_id >= pg_snapshot_xmin($1::text::pg_snapshot)
       AND NOT pg_visible_in_snapshot(transaction_id, $1::text::pg_snapshot)
     ORDER BY at, event_id
"""


def search(wanted: EventFilter, before: tuple[datetime, UUID] | None, limit: int) -> tuple[str, list[Any]]:
    """Return the statement that finds ``wanted``, newest first, and its parameters."""
    values: dict[str, Any] = {
        name: value for name in EventFilter.__slots__ if (value := getattr(wanted, name)) is not None
    }
    if str(values.get("action", "")).endswith("*"):
        values["action_prefix"] = values.pop("action")[:-1]
    client_id = values.pop("client_id", None)
    conditions = [_CONDITIONS[name].format(f"${number}") for number, name in enumerate(values, 1)]
    if (rare := _rare(wanted)) is not None:
        conditions.append(rare)
    parameters = list(values.values())
    if before is not None:
        parameters += before
        conditions.append(f"(at, event_id) < (${len(parameters) - 1}, ${len(parameters)})")
    parameters.append(limit)
    end = f"ORDER BY at DESC, event_id DESC LIMIT ${len(parameters)}"
    if client_id is None:
        return _select(conditions, end), parameters
    parameters.append(client_id)
    parts = [f"({_select([of.format(len(parameters)), *conditions], end)})" for of in _OF_CLIENT]
    # Most are both: the client's own token requests.
    return f"{' UNION '.join(parts)} {end}", parameters


def _select(conditions: Sequence[str], end: str) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {_COLUMNS} FROM audit_events{where} {end}"


def _rare(wanted: EventFilter) -> str | None:
    """Return the condition of the index that holds all of what is ``wanted``, if one does."""
    action, outcome = "*" if wanted.action is None else wanted.action, wanted.outcome
    if action == "token.refuse" or outcome not in {None, "issued", "done"}:
        return _REFUSALS
    if outcome == "done":
        return _CHANGES
    stem = action.removesuffix("*")
    of_tokens = [
        name for name in _TOKEN_ACTIONS if name == action or (stem != action and name.startswith(stem))
    ]
    return None if of_tokens else _CHANGES


async def events(
    connection: Connection, wanted: EventFilter, before: tuple[datetime, UUID] | None, limit: int
) -> list[AuditEvent]:
    """Read what is ``wanted`` and older than ``before``, newest first."""
    statement, parameters = search(wanted, before, limit)
    return [_event(row) for row in await connection.fetch(statement, *parameters)]


async def snapshot(connection: Connection) -> str:
    """Return which transactions are visible here and now, as PostgreSQL writes it down."""
    text: str = await connection.fetchval("SELECT pg_current_snapshot()::text")
    return text


async def is_snapshot(connection: Connection, text: str) -> bool:
    """Say whether ``text`` is what ``snapshot`` returned."""
    valid: bool = await connection.fetchval("SELECT pg_input_is_valid($1, 'pg_snapshot')", text)
    return valid


async def written_since(connection: Connection, known: str, prefetch: int) -> AsyncIterator[AuditEvent]:
    """Read what was committed after the snapshot ``known``, by its time. The caller holds a transaction."""
    async for row in connection.cursor(_WRITTEN_SINCE, known, prefetch=prefetch):
        yield _event(row)


def _event(row: Any) -> AuditEvent:
    documents = {name: None if row[name] is None else orjson.loads(row[name]) for name in ("before", "after")}
    return AuditEvent(**{**row, **documents})
