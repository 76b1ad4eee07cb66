"""`steelcut doctor` as a client: the whole way once, and nothing left behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from auth_service.administration.audit_search import search_events
from auth_service.administration.clients import create_client, list_clients
from auth_service.administration.resources import update_resource
from auth_service.queries.audit_reading import EventFilter
from resource_service import documents
from steelcut_cli.doctor.temporary_client import CLIENT_ID
from tests.cli import terminal
from tests.cli.doctoring import Doctor, answering, of_system, secrets_of, shows_none
from tests.support.issuer import resource_service
from tests.support.system import ACTOR, RESOURCE, System, as_owner

StartSystem = Callable[..., Any]
TRIP = ("token request", "token verification", "document request")


@dataclass(frozen=True)
class Stuck:
    """A deployment whose resource service takes a request and says nothing."""

    system: System
    doctor: Doctor
    asked: asyncio.Event


@pytest.fixture
async def own(start_system: StartSystem) -> System:
    """A system of the test's own."""
    system: System = await start_system()
    return system


@pytest.fixture
async def stuck(own: System) -> AsyncIterator[Stuck]:
    """In it a command can be met in the middle of the round trip."""
    asked = asyncio.Event()
    async with served_by(own, answering({}, never=f"/{RESOURCE}", asked=asked)) as base:
        yield Stuck(own, Doctor({**of_system(own), "RESOURCE_BASE_URL": base}), asked)


@asynccontextmanager
async def served_by(system: System, server: Any) -> AsyncIterator[str]:
    """Another resource service in the place of the system's, registered as such; gives its URL."""
    async with server as url:
        base = url if isinstance(url, str) else url.base
        await system.as_admin(
            lambda c: update_resource(c, ACTOR, RESOURCE, {"identifier": f"{base}/{RESOURCE}"})
        )
        yield base


async def clients_of(system: System) -> list[str]:
    """The ids of all clients."""
    page = await system.as_admin(list_clients)
    return [client.client_id for client in page.rows]


async def test_temporary_client_leaves_nothing_but_its_events(own: System) -> None:
    """A token and a document by a client that is gone afterwards; the audit log keeps what was done, and by whom."""
    examined = await Doctor(of_system(own)).examine()
    assert examined.outcome.code == 0
    assert [examined.of(check)["state"] for check in TRIP] == ["ok"] * 3
    assert examined.of("token request")["found"].startswith(
        f"{CLIENT_ID} got a token for {own.document_url} with the scope read in "
    )
    assert "answered 200 with 42 bytes" in examined.of("document request")["found"]
    assert await clients_of(own) == [own.client.client_id]
    await own.auth_process.audit.flush()
    page = await own.as_admin(lambda c: search_events(c, EventFilter(client_id=CLIENT_ID)))
    assert [event.action for event in page.rows] == ["client.delete", "token.issue", "client.create"]
    assert page.rows[0].actor.startswith("cli:")


async def test_temporary_client_is_gone_also_when_the_trip_fails(own: System) -> None:
    """The token is there and the resource service refuses it, since it trusts somebody else."""
    other = resource_service(own.databases, "http://127.0.0.1:1")
    async with served_by(own, other) as base:
        examined = await Doctor({**of_system(own), "RESOURCE_BASE_URL": base}).examine()
    assert examined.of("token request")["state"] == "ok"
    finding = examined.of("document request")
    assert finding["state"] == "failed"
    assert "401 invalid_token" in finding["found"]
    assert "steelcut doctor explain invalid_token" in finding["advice"]
    assert await clients_of(own) == [own.client.client_id]


async def test_ctrl_c_in_the_middle_leaves_nothing(stuck: Stuck) -> None:
    """Whoever loses patience need not clean up."""
    process = terminal.process("doctor", env=stuck.doctor.variables)
    await asyncio.wait_for(stuck.asked.wait(), 30)
    assert CLIENT_ID in await clients_of(stuck.system)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(process.communicate)
    assert (process.returncode, err) == (130, "")
    assert await clients_of(stuck.system) == [stuck.system.client.client_id]


async def test_killed_in_the_middle(stuck: Stuck) -> None:
    """What is left ends within a minute, and the next run that comes after that removes it."""
    process = terminal.process("doctor", env=stuck.doctor.variables)
    await asyncio.wait_for(stuck.asked.wait(), 30)
    process.kill()
    await asyncio.to_thread(process.communicate)
    system, doctor = stuck.system, Doctor(of_system(stuck.system))
    (left,) = [
        client for client in (await system.as_admin(list_clients)).rows if client.client_id == CLIENT_ID
    ]
    assert left.expires_at is not None
    assert (left.expires_at - left.created_at).total_seconds() == pytest.approx(60, abs=1)
    await system.as_admin(lambda c: update_resource(c, ACTOR, RESOURCE, {"identifier": system.document_url}))
    soon = await doctor.examine()
    assert soon.of("token round trip")["state"] == "not checked"
    assert "try again in a minute" in soon.of("token round trip")["found"]
    await system.as_owner(
        lambda c: c.execute("UPDATE clients SET expires_at = now() WHERE client_id = $1", CLIENT_ID)
    )
    later = await doctor.examine()
    assert [later.of(check)["state"] for check in TRIP] == ["ok"] * 3
    assert await clients_of(system) == [system.client.client_id]


async def test_somebody_else_s_client_of_that_id_is_left_alone(own: System) -> None:
    """It is not used, and not deleted."""
    await own.as_admin(lambda c: create_client(c, ACTOR, "Theirs", {RESOURCE: ["read"]}, client_id=CLIENT_ID))
    examined = await Doctor(of_system(own)).examine()
    assert "it is left alone" in examined.of("token round trip")["found"]
    assert CLIENT_ID in await clients_of(own)


async def test_client_that_cannot_be_deleted(own: System) -> None:
    """That is a failure of its own, with the command that removes it."""
    await own.as_owner(lambda c: c.execute("REVOKE DELETE ON clients FROM auth_admin"))
    examined = await Doctor(of_system(own)).examine()
    finding = examined.of("temporary client")
    assert finding["state"] == "failed"
    assert f"steelcut clients delete {CLIENT_ID}" in finding["found"]
    assert examined.of("document request")["state"] == "ok"


async def test_read_only_makes_no_client(own: System) -> None:
    """For those who may look and change nothing."""
    examined = await Doctor(of_system(own)).examine("--read-only")
    assert examined.outcome.code == 0
    assert examined.of("token round trip")["state"] == "not checked"
    page = await own.as_admin(lambda c: search_events(c, EventFilter(client_id=CLIENT_ID)))
    assert page.rows == []


async def test_client_of_one_s_own(system: System, tmp_path: Path) -> None:
    """By options and a file, without any database; a secret on the command line is no option."""
    file = tmp_path / "secret"
    file.write_text(f"{system.client.secret}\n")
    doctor = Doctor({"AUTH_ISSUER": system.issuer, "RESOURCE_BASE_URL": system.resource_base})
    options = ("--client-id", system.client.client_id, "--client-secret-file", str(file))
    examined = await doctor.examine(*options)
    assert [examined.of(check)["state"] for check in TRIP] == ["ok"] * 3
    assert system.client.client_id in examined.of("token request")["found"]
    assert shows_none(examined, [system.client.secret])
    refused = await doctor.steelcut("doctor", "--client-secret", system.client.secret)
    assert refused.code == 2


async def test_client_of_the_environment(system: System) -> None:
    """As `steelcut token` and `steelcut fetch` read it."""
    doctor = Doctor(
        {
            "STEELCUT_ISSUER": system.issuer,
            "STEELCUT_CLIENT_ID": system.client.client_id,
            "STEELCUT_CLIENT_SECRET": system.client.secret,
            "STEELCUT_DOCUMENT_URL": system.document_url,
        }
    )
    examined = await doctor.examine()
    assert [examined.of(check)["state"] for check in TRIP] == ["ok"] * 3
    assert shows_none(examined, [system.client.secret])


async def test_secret_that_is_wrong(system: System) -> None:
    """What the token endpoint answered, and where its true reason is; the secret is not repeated."""
    wrong = "scut_" + "x" * 40
    doctor = Doctor({**of_system(system), "STEELCUT_CLIENT_ID": system.client.client_id})
    examined = await doctor.examine(STEELCUT_CLIENT_SECRET=wrong)
    finding = examined.of("token request")
    assert (examined.outcome.code, finding["state"]) == (1, "failed")
    assert "401 invalid_client" in finding["found"]
    trace_id = finding["found"].rpartition(" ")[2]
    assert finding["advice"] == f"`steelcut doctor explain {trace_id}` says why."
    assert shows_none(examined, secrets_of(doctor.variables, wrong))


@pytest.mark.parametrize(
    ("document", "state", "words"),
    [
        ("/missing", "warning", "took the token, and has no document"),
        ("_other", "failed", "401 invalid_token"),
    ],
)
async def test_document_that_is_not_opened(system: System, document: str, state: str, words: str) -> None:
    """One that is not there says nothing against the token; one of another resource is not opened by it."""
    doctor = Doctor(
        {
            **of_system(system),
            "STEELCUT_CLIENT_ID": system.client.client_id,
            "STEELCUT_CLIENT_SECRET": system.client.secret,
            "STEELCUT_DOCUMENT_URL": system.document_url + document,
        }
    )
    finding = (await doctor.examine()).of("document request")
    assert finding["state"] == state
    assert words in finding["found"]


async def test_resource_service_that_went_away(own: System) -> None:
    """The token is had, and nobody is there to take it."""
    async with served_by(own, answering({})) as base:
        pass
    doctor = Doctor({**of_system(own), "RESOURCE_BASE_URL": base})
    finding = (await doctor.examine()).of("document request")
    assert (finding["state"], "Connection refused" in finding["found"]) == ("failed", True)


async def test_half_a_client_is_misuse(system: System) -> None:
    """What was asked for by an option is not silently replaced by something else."""
    doctor = Doctor(of_system(system))
    without_secret = await doctor.steelcut("doctor", "--client-id", "billing")
    assert without_secret.code == 2
    assert "STEELCUT_CLIENT_SECRET" in without_secret.sentence
    without_id = await doctor.steelcut("doctor", "--client-secret-file", "-", stdin=b"secret-word")
    assert (without_id.code, "--client-id" in without_id.sentence) == (2, True)


async def test_document_of_the_trip_is_not_shown(own: System) -> None:
    """It is protected: its size is told, and nothing of it."""
    body = b'{"salary": "secret-word"}'
    await as_owner(own.databases.resource.owner, lambda c: documents.publish(c, RESOURCE, None, body))
    await own.heard()
    examined = await Doctor(of_system(own)).examine()
    assert examined.of("document request")["state"] == "ok"
    assert shows_none(examined, ["secret-word"])
