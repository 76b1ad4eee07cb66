"""A trace id, looked up in the audit log: what was decided under it, why, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth_service.administration import clients
from auth_service.administration import secrets as secret_administration
from auth_service.administration.audit_search import search_events
from auth_service.administration.errors import NotFound
from auth_service.queries.audit_reading import EventFilter
from steelcut_cli import output
from steelcut_cli.connections import administer
from steelcut_cli.doctor.error_codes import ERROR_CODES
from steelcut_cli.doctor.reasons import explain_reason
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from auth_service.queries.audit_reading import AuditEvent
    from steelcut_cli.connections import Connection

TRACE_CHARACTERS: Final = 32


def explain_trace(trace_id: str) -> list[dict[str, Any]]:
    """Return the events of one request with what they mean, the earliest first. Raises :class:`Refusal`.

    Reads AUTH_ADMIN_DATABASE_URL.
    """
    events = administer(lambda connection: _events(connection, trace_id))
    if not events:
        raise Refusal(
            "No event of the audit log has this trace id. The resource service writes its refusals to its log alone:"
            " look there for the id. A service writes its events a moment after its answers, and"
            " AUTH_AUDIT_MONTHS_KEPT says how long they are kept."
        )
    return events


async def _events(connection: Connection, trace_id: str) -> list[dict[str, Any]]:
    page = await search_events(connection, EventFilter(trace_id=trace_id))
    return [await _explained(connection, event) for event in reversed(page.rows)]


async def _explained(connection: Connection, event: AuditEvent) -> dict[str, Any]:
    told: dict[str, Any] = {
        "at": output.moment(event.at),
        "action": event.action,
        "actor": event.actor,
        "object": f"{event.object_type} {event.object_id}".strip(),
        "address": event.address,
        "outcome": event.outcome,
        "reason": event.reason,
        "trace_id": event.trace_id,
    }
    if event.action == "token.refuse":
        told["meaning"], advice = explain_reason(event.reason)
        # Ready to be copied, where it is known who it was.
        told["advice"] = advice.replace("CLIENT_ID", event.object_id) if event.object_id else advice
        code = ERROR_CODES.get(event.outcome)
        told["specified_in"] = code.section if code else ""
        told["client_now"] = await _client_now(connection, event.object_id)
    elif event.action == "token.issue":
        after = event.after or {}
        told["meaning"] = (
            f"A token for {', '.join(after.get('audience', []))} with the scope {' '.join(after.get('scopes', []))},"
            f" for {after.get('lifetime_seconds')} s, by the secret {after.get('secret_id')}."
        )
        told["token_id"] = after.get("token_id")
        told["advice"] = "If a resource server refuses it: `steelcut doctor explain - --resource RESOURCE`."
    else:
        told["meaning"] = f"An administrative change, which was {event.outcome}."
        told["before"], told["after"] = event.before, event.after
        told["advice"] = ""
    return {name: value for name, value in told.items() if value not in (None, "")}


async def _client_now(connection: Connection, client_id: str) -> str:
    if not client_id:
        return ""
    try:
        client = await clients.show_client(connection, client_id)
    except NotFound:
        return "it is deleted"
    secrets = await secret_administration.list_secrets(connection, client_id)
    shown = [
        f"{secret.secret_id} ({'live' if secret.live else 'expired'}"
        f"{f', until {output.moment(secret.expires_at)}' if secret.live and secret.expires_at else ''})"
        for secret in secrets
    ]
    granted = "; ".join(f"{resource}: {' '.join(scopes)}" for resource, scopes in client.grants.items())
    return f"{client.state}; secrets: {', '.join(shown) or 'none'}; granted: {granted or 'nothing'}"
