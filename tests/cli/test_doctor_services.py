"""`steelcut doctor` on running services: each wrong in one way, and wrong indeed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth_service.administration import admin_api
from auth_service.administration.resources import create_resource
from auth_service.master_key import MasterKey
from resource_service import documents
from steelcut_cli.doctor.clock_reading import Reading
from steelcut_cli.doctor.clocks import check
from tests.cli.doctoring import Doctor, answering, of_system, secrets_of, shows_none
from tests.lifecycle.key_operator import KeyOperator, new_master_key
from tests.support.databases import Databases
from tests.support.issuer import resource_service
from tests.support.system import ACTOR, RESOURCE, System, as_owner, running_system
from tests.support.tokens import IssuerKey

CLOCKS = [f"clock of the {which}" for which in ("auth database", "resource database")] + [
    "clock of the auth service",
    "clock of the resource service",
]


@pytest.fixture
def doctor(system: System) -> Doctor:
    """Somebody who has all variables of the shared system."""
    return Doctor(of_system(system))


async def test_deployment_as_it_should_be(doctor: Doctor, system: System) -> None:
    """Nothing is wrong, nothing is left out that could be checked, and no secret is shown."""
    examined = await doctor.examine()
    assert examined.outcome.code == 0
    assert examined.only("failed") == examined.only("warning") == examined.only("not checked") == []
    assert set(CLOCKS) <= set(examined.only("ok"))
    assert {
        "auth service",
        "resource service",
        "issuer metadata",
        "resource metadata",
    } <= examined.states().keys()
    assert {"token request", "token verification", "document request"} <= examined.states().keys()
    assert {"signing key", "master key", "published keys", "key age", "audiences"} <= examined.states().keys()
    assert shows_none(examined, secrets_of(doctor.variables, system.client.secret))


async def test_services_alone(system: System) -> None:
    """Whoever has their URLs and no database hears what can be told from outside."""
    examined = await Doctor(
        {"AUTH_ISSUER": system.issuer, "RESOURCE_BASE_URL": system.resource_base}
    ).examine()
    assert examined.outcome.code == 0
    assert examined.only("failed") == []
    assert {"auth service", "issuer metadata", "resource service"} <= set(examined.only("ok"))
    assert {"signing key", "audiences", "resource metadata"} <= set(examined.only("not checked"))
    assert "AUTH_DATABASE_URL" in examined.of("signing key")["advice"]


async def test_services_that_are_stopped(databases: Databases) -> None:
    """Both are told, with what to do; what stands upon them is not checked, what stands by itself is."""
    async with running_system(databases) as own:
        doctor = Doctor(of_system(own))
    examined = await doctor.examine()
    assert examined.outcome.code == 1
    assert examined.only("failed") == ["auth service", "issuer metadata", "resource service"]
    for check_name in examined.only("failed"):
        assert "Connection refused" in examined.of(check_name)["found"]
        assert "Start it" in examined.of(check_name)["advice"]
    assert set(examined.only("not checked")) == {"published keys", "resource metadata", "token round trip"}
    assert examined.of("signing key")["state"] == "ok"


async def test_issuer_with_a_path(start_system: Callable[..., Any]) -> None:
    """Its metadata stands elsewhere, its probe at the root (ADR 0010)."""
    own: System = await start_system(issuer_path="/tenants/one")
    examined = await Doctor(of_system(own)).examine()
    assert examined.outcome.code == 0
    assert examined.only("failed") == examined.only("not checked") == []


async def test_keys_that_the_resource_service_reads_elsewhere(doctor: Doctor, system: System) -> None:
    """They must be those that the issuer publishes; an address for the service alone cannot be judged from here."""
    right = await doctor.examine(RESOURCE_JWKS_URI=f"{system.issuer}/.well-known/jwks.json")
    assert right.of("RESOURCE_JWKS_URI")["state"] == "ok"
    async with answering({"keys": [IssuerKey.generate().jwk()]}) as url:
        wrong = await doctor.examine(RESOURCE_JWKS_URI=url)
    assert wrong.of("RESOURCE_JWKS_URI")["state"] == "failed"
    assert f"{url} has key-1, and the issuer publishes " in wrong.of("RESOURCE_JWKS_URI")["found"]
    gone = await doctor.examine(RESOURCE_JWKS_URI=url)
    assert gone.of("RESOURCE_JWKS_URI")["state"] == "not checked"


async def test_service_that_is_not_ready(start_system: Callable[..., Any]) -> None:
    """The probe's own words: here no key signs yet, and the issuer's keys are not known."""
    own: System = await start_system()
    keys = KeyOperator(own.databases)
    (kid,) = await keys.states()
    await own.as_owner(lambda c: c.execute("UPDATE signing_keys SET state = 'retired', retired_at = now()"))
    await own.auth_process.refresh()
    examined = await Doctor(of_system(own)).examine()
    assert examined.of("auth service")["state"] == "failed"
    assert "signing_key: no key signs yet" in examined.of("auth service")["found"]
    assert examined.of("signing key")["state"] == "failed"
    assert "steelcut keys create" in examined.of("signing key")["advice"]
    assert kid not in examined.outcome.out


async def test_something_else_that_answers() -> None:
    """Another program at that URL, or a proxy that reaches nothing."""
    async with answering({"hello": "world"}) as url:
        examined = await Doctor({"AUTH_ISSUER": url, "RESOURCE_BASE_URL": url}).examine()
    assert examined.of("auth service")["state"] == "failed"
    assert "not as the probe of a service does" in examined.of("auth service")["found"]
    assert examined.of("issuer metadata")["state"] == "failed"
    async with answering({"detail": "no"}, status="404 Not Found") as url:
        hidden = await Doctor({"RESOURCE_BASE_URL": url}).examine()
    assert hidden.of("resource service")["state"] == "warning"


async def test_issuer_by_another_name(doctor: Doctor, system: System) -> None:
    """The same address, and not the same issuer: metadata counts for the one it names (RFC 8414 §3.3)."""
    by_name = system.issuer.replace("127.0.0.1", "localhost")
    examined = await doctor.examine(AUTH_ISSUER=by_name, RESOURCE_ISSUER=by_name)
    finding = examined.of("issuer metadata")
    assert (examined.outcome.code, finding["state"]) == (1, "failed")
    assert f"The service at {by_name} calls itself {system.issuer}" in finding["found"]
    assert f"does not name {by_name}" in examined.of("resource metadata")["found"]


async def test_resource_service_that_trusts_another_issuer(doctor: Doctor, system: System) -> None:
    """What is running counts, whatever this environment says."""
    other = "http://127.0.0.1:1"
    async with resource_service(system.databases, other) as guarded:
        examined = await doctor.examine(RESOURCE_BASE_URL=guarded.base)
    finding = examined.of("resource metadata")
    assert finding["state"] == "failed"
    assert f"does not name {system.issuer}, but ['{other}']" in finding["found"]
    assert "RESOURCE_ISSUER" in finding["advice"]


async def test_base_url_that_is_not_registered(doctor: Doctor, system: System) -> None:
    """The commonest mistake: each token has an audience that the resource service does not know."""
    by_name = system.resource_base.replace("127.0.0.1", "localhost")
    examined = await doctor.examine(RESOURCE_BASE_URL=by_name)
    finding = examined.of("audiences")
    assert (examined.outcome.code, finding["state"]) == (1, "failed")
    assert (
        f"{RESOURCE} is registered as {system.document_url}, and served as {by_name}/{RESOURCE}"
        in finding["found"]
    )
    assert f"steelcut resources update {RESOURCE} --identifier {by_name}/{RESOURCE}" in finding["advice"]
    # The service that runs was given another one.
    assert (
        f"The service calls {by_name}/{RESOURCE} {system.document_url}."
        == examined.of("resource metadata")["found"]
    )


async def test_base_url_without_the_resource_database(doctor: Doctor) -> None:
    """What is registered is enough to see that nothing lies there."""
    examined = await doctor.examine(
        RESOURCE_BASE_URL="http://127.0.0.1:2",
        RESOURCE_DATABASE_URL="",
        RESOURCE_OWNER_DATABASE_URL="",
        RESOURCE_PUBLISHER_DATABASE_URL="",
    )
    assert (
        "None of the 1 registered resources lies under http://127.0.0.1:2."
        in examined.of("audiences")["found"]
    )


async def test_documents_and_resources_without_each_other(start_system: Callable[..., Any]) -> None:
    """One that nobody can get a token for, one that has nothing to show: warnings, with the command that helps."""
    own: System = await start_system()
    await as_owner(own.databases.resource.owner, lambda c: documents.publish(c, "orphan", None, b"{}"))
    await own.as_admin(lambda c: create_resource(c, ACTOR, "bare", f"{own.resource_base}/bare", ["read"]))
    examined = await Doctor(of_system(own)).examine()
    found = [f["found"] + f["advice"] for f in examined.findings if f["check"] == "audiences"]
    assert examined.states()["audiences"] == "warning"
    assert any("orphan has documents and is not registered" in text for text in found)
    assert any("steelcut documents publish bare FILE" in text for text in found)


async def test_admin_api_by_another_name(start_system: Callable[..., Any]) -> None:
    """After a change of the issuer its own resource is left behind."""
    own: System = await start_system()
    await own.as_admin(lambda c: admin_api.create_admin(c, ACTOR, "Operations", "https://old.example.com"))
    finding = (await Doctor(of_system(own)).examine()).of("admin API")
    assert finding["state"] == "failed"
    assert f"--identifier {own.issuer}/admin/v1" in finding["advice"]


async def test_wrong_master_key(doctor: Doctor) -> None:
    """Both are named by their ids, which give nothing of them away."""
    wrong = new_master_key()
    examined = await doctor.examine(AUTH_MASTER_KEY=wrong)
    finding = examined.of("master key")
    assert (examined.outcome.code, finding["state"]) == (1, "failed")
    assert "It does not open the active key" in finding["found"]
    assert shows_none(examined, [wrong, *secrets_of(doctor.variables)])


async def test_master_key_that_is_being_changed(doctor: Doctor, system: System) -> None:
    """The old one opens, and the step that is left is named."""
    examined = await doctor.examine(
        AUTH_MASTER_KEY=new_master_key(), AUTH_PREVIOUS_MASTER_KEY=system.master_key
    )
    finding = examined.of("master key")
    assert (examined.outcome.code, finding["state"]) == (0, "warning")
    assert "steelcut keys reseal" in finding["advice"]


async def test_keys_of_another_database(doctor: Doctor, start_system: Callable[..., Any]) -> None:
    """The service that answers runs on another database than the one that is looked at."""
    other: System = await start_system()
    urls = {name: url for name, url in of_system(other).items() if name.startswith("AUTH_") and "URL" in name}
    finding = (await doctor.examine(**urls)).of("published keys")
    assert finding["state"] == "failed"
    assert "which this database does not have" in finding["found"]


async def test_key_that_the_service_does_not_publish_yet(start_system: Callable[..., Any]) -> None:
    """A replica that is deaf to changes: the key is there, and verifiers will not know it."""
    own: System = await start_system(cache_max_age_seconds=300)
    keys = KeyOperator(own.databases, MasterKey.from_base64(own.master_key))
    old = next(iter(await keys.states()))
    # Nothing is notified: the service goes on with what it knows.
    await own.as_owner(lambda c: c.execute("ALTER TABLE signing_keys DISABLE TRIGGER USER"))
    new = (await keys.create()).kid
    examined = await Doctor(of_system(own)).examine()
    finding = examined.of("published keys")
    assert (finding["state"], new in finding["found"]) == ("warning", True)
    await keys.promote(new, force=True)
    finding = (await Doctor(of_system(own)).examine()).of("published keys")
    assert finding["state"] == "failed"
    assert finding["found"].startswith(f"{new} signs, and ")
    assert old not in finding["found"]


async def test_key_that_is_older_than_its_rotation(start_system: Callable[..., Any]) -> None:
    """Whoever was to rotate does not."""
    own: System = await start_system()
    await KeyOperator(own.databases).let_time_pass(100 * 86_400)
    doctor = Doctor(of_system(own))
    assert (await doctor.examine()).of("key age")["state"] == "ok"
    finding = (await doctor.examine(AUTH_KEY_ROTATION_DAYS="90")).of("key age")
    assert finding["state"] == "warning"
    assert "has signed for 100 d, and AUTH_KEY_ROTATION_DAYS is 90: nobody rotates." in finding["found"]


@pytest.mark.parametrize(
    ("seconds", "state"), [(120, "failed"), (-120, "failed"), (22, "warning"), (2, "ok")]
)
async def test_clock_that_is_wrong(doctor: Doctor, seconds: int, state: str) -> None:
    """By the Date header of a service, in whole seconds, beside the leeway of 30."""
    async with answering({}, date=datetime.now(UTC) + timedelta(seconds=seconds)) as url:
        finding = (await doctor.examine(RESOURCE_BASE_URL=url)).of("clock of the resource service")
    assert finding["state"] == state
    assert "the leeway is 30 s" in finding["found"]
    if state != "ok":
        assert ("ahead of" if seconds > 0 else "behind") in finding["found"]


async def test_leeway_that_is_set(doctor: Doctor) -> None:
    """What counts is the resource service's own."""
    async with answering({}, date=datetime.now(UTC) + timedelta(seconds=10)) as url:
        examined = await doctor.examine(RESOURCE_BASE_URL=url, RESOURCE_LEEWAY_SECONDS="5")
    assert examined.of("clock of the resource service")["state"] == "failed"


def test_this_machine_is_wrong_when_all_others_agree() -> None:
    """Whoever asks from a laptop whose clock is off hears that, and nothing about the deployment."""
    readings = {name: Reading(120.0 + number / 10, 0.5) for number, name in enumerate(CLOCKS)}
    *others, own = check(readings, 30)
    assert {finding.state for finding in others} == {"ok"}
    assert (own.check, own.state) == ("clock of this machine", "warning")
    assert "behind the others" in own.found


def test_two_that_differ() -> None:
    """One other clock alone proves nothing of ours, which then counts as right."""
    (finding,) = check({"clock of the auth service": Reading(-100.0, 0.5)}, 30)
    assert finding.state == "failed"
    assert "100.0 s behind" in finding.found


def test_uncertainty_is_on_the_clock_s_side() -> None:
    """A slow answer says little of a clock, and accuses nobody."""
    (finding,) = check({"clock of the auth service": Reading(32.0, 20.0)}, 30)
    assert finding.state == "ok"
