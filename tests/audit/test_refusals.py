"""Each refusal of the token endpoint is in the log with its true reason, which its caller is not told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.audit.reasons import GAP, reasons
from tests.audit.refusals import Callers, Refusal, callers, refusals
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import System, running_system

# Reasons that lie in the service and not in the request, which test_tokens.py and lifecycle ask for, or in its time or
# number, as in flow/test_overload.py and in limits.
OURS = {
    "TooManyFailures",
    "FormTooSlow",
    f"database: {GAP}",
    "too many imported secrets wait to be verified",
    f"an imported secret could not be verified: {GAP}",
    "no active signing key: run `steelcut keys create`",
    "the active signing key does not open with this master key",
    "the signing keys were not read for too long",
}
ALL = sorted(reasons().keys() - OURS)


@dataclass
class Asked:
    """Everything that was sent and answered, and the events by the trace ids of the answers."""

    system: System
    sent: dict[str, Refusal]
    answers: dict[str, httpx.Response]
    events: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
async def asked(templates: Templates) -> AsyncIterator[Asked]:
    """Ask once for every refusal."""
    async with running_system(await templates.clone()) as system:
        known: Callers = await callers(system)
        sent = refusals(known)
        async with http_client() as http:
            answers = {
                reason: await http.post(system.token_url, **refusal.request)
                for reason, refusal in sent.items()
            }
        await system.auth_process.audit.flush()
        rows = await system.as_owner(
            lambda c: c.fetch("SELECT * FROM audit_events WHERE action LIKE 'token.%' ORDER BY at")
        )
        events: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            events.setdefault(row["trace_id"], []).append(dict(row))
        yield Asked(system, sent, answers, events)


def test_every_reason_of_the_code_is_asked_for(asked: Asked) -> None:
    """A new refusal needs a request here."""
    assert asked.sent.keys() | OURS == reasons().keys()
    assert reasons().keys() > OURS


@pytest.mark.parametrize("reason", ALL)
def test_refusal_is_noted_with_its_true_reason(asked: Asked, reason: str) -> None:
    """One event, under the trace id of the answer, from where, for whom, and no secret in it."""
    refusal, answer = asked.sent[reason], asked.answers[reason]
    (event,) = asked.events[answer.headers["x-trace-id"]]
    told = reason
    for value in refusal.fills:
        told = told.replace(GAP, value, 1)
    assert event["reason"] == told
    assert (event["action"], event["outcome"]) == ("token.refuse", reasons()[reason])
    assert answer.json()["error"] == event["outcome"]
    actor = f"client:{refusal.client_id}" if refusal.client_id else "unknown"
    assert (event["actor"], event["object_type"], event["object_id"]) == (actor, "client", refusal.client_id)
    assert event["address"] == "127.0.0.1"
    assert (event["before"], event["after"]) == (None, None)
    assert asked.system.client.secret not in str(event)
    assert told not in answer.text


def test_answers_look_alike_where_the_reasons_differ(asked: Asked) -> None:
    """Eight ways to fail to prove who one is, eight reasons, one answer."""
    alike = [reason for reason, error in reasons().items() if error == "invalid_client"]
    assert len(alike) == 8
    own = {"date", "x-trace-id"}
    answers = {
        (
            asked.answers[reason].status_code,
            asked.answers[reason].content,
            tuple(sorted((k, v) for k, v in asked.answers[reason].headers.items() if k not in own)),
        )
        for reason in alike
    }
    assert len(answers) == 1
    assert (
        len({asked.events[asked.answers[reason].headers["x-trace-id"]][0]["reason"] for reason in alike}) == 8
    )
