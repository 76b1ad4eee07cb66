"""What a service was given in its environment is not there any more once it has read it."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from auth_service.settings import AuthSettings
from resource_service.settings import ResourceSettings
from steelcut.service.process.environment import wipe
from steelcut.service.settings import load
from steelcut_cli import environment
from tests.support.databases import Databases
from tests.support.processes import environment_of, family_of
from tests.support.replicas import auth_replicas, resource_replicas, running
from tests.support.system import System

pytestmark = pytest.mark.slow

MARK = "hunter2"


def every_secret() -> dict[str, str]:
    """Return each variable of the house that holds a secret, with a value that is easily found again."""
    names = [v.name for variables in environment.sections().values() for v in variables if v.secret]
    url = f"postgresql://somebody:{MARK}@127.0.0.1:1/nothing"
    return {name: url if name.endswith("_URL") else f"{MARK}-{name}" for name in names}


def given(service: str, secrets_file: Path) -> dict[str, str]:
    """Return the environment of a service that shares its `.env` with all others; the master key is in a file."""
    variables = every_secret() | {"AUTH_LIMITS_URL": f"redis://:{MARK}@127.0.0.1:1/0"}
    for name in ("AUTH_MASTER_KEY", "AUTH_PREVIOUS_MASTER_KEY", f"{service.upper()}_TLS_KEY_PASSWORD"):
        del variables[name]
    secrets_file.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    return {**variables, "AUTH_MASTER_KEY_FILE": str(secrets_file), "NAME": service}


@pytest.mark.parametrize(("service", "workers"), [("auth", "1"), ("resource", "2")])
async def test_no_secret_is_left_and_nothing_inherits_one(service: str, workers: str, tmp_path: Path) -> None:
    """Neither in the process nor in what it starts; what is no secret stays, and so does the path of a file."""
    file = tmp_path / "master-key"
    variables = {**given(service, file), f"{service.upper()}_WORKERS": workers}
    async with running("tests.hardening.telling", service, variables) as telling:
        told = (await telling.http.get("/readyz")).json()
        kernel = {pid: environment_of(pid) for pid in family_of(telling.process.pid)}
    assert MARK in told["read"]
    assert told["own"]["AUTH_MASTER_KEY_FILE"] == str(file)
    assert told["own"]["NAME"] == service
    assert "PATH" in told["own"]
    assert MARK not in str(told["own"])
    assert MARK not in told["inherited"]
    assert len(kernel) > int(workers) - 1
    assert [pid for pid, text in kernel.items() if MARK in text] == []


async def test_services_work_without_what_they_have_wiped(system: System) -> None:
    """Both serve, with workers too, and the kernel shows none of what they were started with."""
    databases: Databases = system.databases
    async with (
        auth_replicas(databases, system.master_key, 1, AUTH_WORKERS="2") as (auth,),
        resource_replicas(databases, system.issuer, system.resource_base, 1) as (resource,),
    ):
        status, _ = await auth.ask(system.client)
        ready = await resource.http.get("/readyz")
        family = family_of(auth.process.pid) | family_of(resource.process.pid)
        kernel = "".join(map(environment_of, family))
    assert (status, ready.status_code) == (200, 200)
    assert len(family) > 3
    for secret in (
        system.master_key,
        databases.auth.runtime,
        databases.resource.runtime,
        databases.publisher,
    ):
        assert secret not in kernel


@pytest.mark.parametrize("settings_class", [AuthSettings, ResourceSettings])
def test_every_secret_of_the_house_is_known(
    settings_class: type[AuthSettings | ResourceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In small letters too, as the settings are read; a variable that was not set does not matter."""
    variables: Mapping[str, str] = every_secret()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("auth_master_key", MARK)
    wipe(settings_class)
    assert [name for name, value in os.environ.items() if MARK in value] == []
    wipe(settings_class)


def test_who_makes_an_application_keeps_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read settings changes nothing: only a process that is there for nothing else wipes."""
    monkeypatch.setenv("RESOURCE_DATABASE_URL", f"postgresql://somebody:{MARK}@127.0.0.1:1/nothing")
    load(ResourceSettings)
    assert MARK in os.environ["RESOURCE_DATABASE_URL"]
