"""`steelcut doctor explain` for error codes and trace ids, and for what is neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import httpx
import pytest

import auth_service.errors
import resource_service.errors
from auth_service.administration import clients
from auth_service.client_secrets import PREFIX
from steelcut.errors import OAuthError
from steelcut_cli.doctor.error_codes import ERROR_CODES
from steelcut_cli.doctor.explaining import SECRET_PREFIX
from steelcut_cli.doctor.reasons import explain_reason
from tests.admin.operators import operating
from tests.audit.reasons import GAP, reasons
from tests.cli import terminal
from tests.cli.doctoring import Doctor, of_databases, secrets_of, shows_none
from tests.cli.terminal import Outcome
from tests.support.system import ACTOR, GRANT, RESOURCE, System

# What the boundary around every request answers with, beside what classes of errors say.
_OF_THE_BOUNDARY = ("server_error", "not_found", "invalid_request")


def _codes(kind: type[OAuthError]) -> Iterator[str]:
    for each in kind.__subclasses__():
        if "error" in vars(each):
            yield each.error
        yield from _codes(each)


def test_every_code_that_we_answer_with_is_explained() -> None:
    """Whatever a caller reads in an answer of ours is in the table."""
    answered = {*_codes(OAuthError), *_OF_THE_BOUNDARY}
    assert {auth_service.errors.InvalidClient.error, resource_service.errors.NotFound.error} <= answered
    assert answered <= ERROR_CODES.keys()


@pytest.mark.parametrize("error", ERROR_CODES)
def test_error_code_in_words(error: str) -> None:
    """Who answers it, with which status, where it is specified, what it means and what to do."""
    shown = terminal.run("doctor", "explain", error)
    assert (shown.code, shown.err) == (0, "")
    for value in asdict(ERROR_CODES[error]).values():
        assert value in shown.out
    assert "RFC " in ERROR_CODES[error].section
    assert terminal.run("doctor", "explain", error, "--json").json == asdict(ERROR_CODES[error])


@pytest.mark.parametrize("value", ["invalid_nonsense", "Invalid_Client", "1234", "a.b", "not a thing", ""])
def test_value_that_is_nothing(value: str) -> None:
    """One sentence that says what it may be, exit code 2."""
    refused = terminal.run("doctor", "explain", value)
    assert refused.code == 2
    assert "error code" in refused.sentence


def test_secret_is_not_explained() -> None:
    """Somebody pasted the wrong thing: it is not repeated, and they are told that it was seen."""
    assert f"{PREFIX}_" == SECRET_PREFIX
    secret = f"{PREFIX}_abc_secretword_crc"
    refused = terminal.run("doctor", "explain", secret)
    assert refused.code == 2
    assert "steelcut secrets rotate" in refused.sentence
    assert shows_none(refused, [secret, "secretword"])


def test_code_from_the_standard_input() -> None:
    """Whatever may be an argument may come there."""
    shown = terminal.run("doctor", "explain", "-", stdin=b"invalid_scope\n")
    assert "RFC 6749 §5.2, §3.3" in shown.out


async def test_refused_token_by_its_trace_id(auth: httpx.AsyncClient, system: System) -> None:
    """The caller read "Client authentication failed."; the operator reads why, and how the client stands now."""
    client = await system.register("Sleeper")
    await system.as_admin(lambda c: clients.disable_client(c, ACTOR, client.client_id))
    answer = await auth.post("/token", data=GRANT, auth=client.basic)
    shown = await _explain(system, answer)
    assert shown.code == 0
    for words in (
        f"client {client.client_id} is disabled",
        "Somebody has disabled the client",
        f"steelcut clients enable {client.client_id}",
        "invalid_client",
        "RFC 6749 §5.2",
        f"client {client.client_id}",
        f"disabled; secrets: {client.secret.split('_')[1]} (live); granted: {RESOURCE}: read",
    ):
        assert words in shown.out
    assert shows_none(shown, secrets_of(of_databases(system.databases), client.secret))


async def test_refusal_whose_client_nobody_knows(auth: httpx.AsyncClient, system: System) -> None:
    """Then there is no client to show."""
    answer = await auth.post("/token", data=GRANT, auth=("nobody", system.client.secret))
    (event,) = (await _explain(system, answer, "--json")).json
    assert event["reason"] == "unknown client 'nobody'"
    assert event["meaning"].startswith("There is no client of this id")
    assert event["actor"] == "unknown"
    assert "client_now" not in event


async def test_client_that_was_deleted_since(auth: httpx.AsyncClient, system: System) -> None:
    """The log outlives it, and what it was refused for does too."""
    client = await system.register("Passer-by")
    answer = await auth.post("/token", data={**GRANT, "scope": "none"}, auth=client.basic)
    await system.as_admin(lambda c: clients.delete_client(c, ACTOR, client.client_id))
    (event,) = (await _explain(system, answer, "--json")).json
    assert event["client_now"] == "it is deleted"
    assert "not granted to this client" in event["meaning"]
    assert f"steelcut clients update {client.client_id} --grant" in event["advice"]


async def test_issued_token_by_its_trace_id(auth: httpx.AsyncClient, system: System) -> None:
    """For what, for how long, and by which secret; never the token."""
    answer = await auth.post("/token", data=GRANT, auth=system.client.basic)
    shown = await _explain(system, answer)
    assert f"A token for {system.document_url} with the scope read, for 3600 s" in shown.out
    assert shows_none(shown, [answer.json()["access_token"], system.client.secret])


async def test_administrative_change_by_its_trace_id(start_system: Callable[..., Any]) -> None:
    """Who changed what over HTTP, and to what; a secret that was made by it is nowhere."""
    own: System = await start_system(admin=True)
    async with operating(own, "clients:write") as api:
        made = await api.post("/clients", json={"name": "Traced", "grants": {RESOURCE: ["read"]}})
    shown = await _explain(own, made)
    for words in (
        "client.create",
        "client:operator-",
        f"client {made.json()['client_id']}",
        '"name": "Traced"',
    ):
        assert words in shown.out
    assert shows_none(shown, [made.json()["client_secret"]])


async def test_trace_id_that_the_log_does_not_know(resource: httpx.AsyncClient, system: System) -> None:
    """A refusal of the resource service is in its own log alone, which is said."""
    answer = await resource.get(f"/{RESOURCE}", headers={"Authorization": "Bearer x.y.z"})
    refused = await _explain(system, answer)
    assert refused.code == 1
    assert "The resource service writes its refusals to its log alone" in refused.sentence


async def test_trace_id_without_the_administrators_url() -> None:
    """The variable is named."""
    refused = await Doctor({}).explain("ab" * 16)
    assert refused.code == 2
    assert "AUTH_ADMIN_DATABASE_URL is not set" in refused.err


@pytest.mark.parametrize("reason", sorted({*reasons(), "QuotaExceeded"}))
def test_every_reason_of_the_log_is_explained(reason: str) -> None:
    """Whatever the token endpoint may write there has words of its own, and something to do."""
    meaning, advice = explain_reason(reason.replace(GAP, "billing"))
    assert meaning != reason
    assert "See the log" not in advice


def test_reason_of_another_version() -> None:
    """What is not known is shown as it is."""
    assert explain_reason("because of the weather")[0] == "because of the weather"


async def _explain(system: System, answer: httpx.Response, *arguments: str) -> Outcome:
    await system.auth_process.audit.flush()
    doctor = Doctor(of_databases(system.databases))
    return await doctor.explain(answer.headers["x-trace-id"], *arguments)
