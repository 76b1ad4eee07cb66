"""docker compose: from nothing to a fetched document, through restarts, and what must not be possible."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.compose.flow import Caller
from tests.compose.stack import STEELCUT, WAIT_SECONDS, Stack, compose_project, docker, fresh_env

SECRETS = (
    "AUTH_ADMIN_PASSWORD",
    "AUTH_DB_PASSWORD",
    "AUTH_MASTER_KEY",
    "AUTH_OWNER_PASSWORD",
    "AUTH_RUNTIME_PASSWORD",
    "RESOURCE_DB_PASSWORD",
    "RESOURCE_OWNER_PASSWORD",
    "RESOURCE_PUBLISHER_PASSWORD",
    "RESOURCE_RUNTIME_PASSWORD",
)
HOW_TO_MAKE = "steelcut env"

CONNECT = "import socket; socket.create_connection(({host!r}, 5432), timeout=3).close(); print('connected')"


def test_a_client_gets_a_token_and_opens_the_document(caller: Caller) -> None:
    """The whole flow through the published ports; without a token the document stays shut."""
    answer = caller.fetch(caller.token())
    assert answer.status_code == 200
    assert answer.content == caller.document
    assert httpx.get(caller.stack.document_url, trust_env=False).status_code == 401


def test_the_command_line_on_the_host_finds_its_way_by_discovery(caller: Caller) -> None:
    """Issuer, client and secret are all that a caller outside of the containers must know."""
    done = subprocess.run(
        [STEELCUT, "fetch", caller.stack.document_url, "--issuer", caller.stack.issuer],
        env={"STEELCUT_CLIENT_ID": caller.client_id, "STEELCUT_CLIENT_SECRET": caller.client_secret},
        capture_output=True,
        check=True,
    )
    assert done.stdout == caller.document


@pytest.mark.parametrize("service", ["auth", "resource"])
def test_a_live_token_survives_a_restart(caller: Caller, service: str) -> None:
    """Neither service keeps anything that a token needs; the other one does not even notice."""
    token = caller.token()
    assert caller.fetch(token).status_code == 200
    caller.stack.must("restart", service)
    caller.stack.until_ready()
    assert caller.fetch(token).content == caller.document
    assert caller.fetch(caller.token()).content == caller.document


def test_a_live_token_opens_the_document_while_the_auth_service_is_down(caller: Caller) -> None:
    """Verification is the resource service's own work, with keys it already has."""
    token = caller.token()
    assert caller.fetch(token).status_code == 200
    caller.stack.must("stop", "auth")
    try:
        assert caller.fetch(token).content == caller.document
    finally:
        caller.stack.must("start", "auth")
        caller.stack.until_ready()


def test_everything_is_still_there_after_down_and_up(caller: Caller) -> None:
    """Containers go, volumes stay: clients, keys and documents are found again, and migrations change nothing."""
    token = caller.token()
    caller.stack.must("down")
    caller.stack.up()
    caller.stack.until_ready()
    assert caller.fetch(token).content == caller.document
    assert caller.fetch(caller.token()).content == caller.document


def test_the_admin_api_is_on_a_service_of_its_own(caller: Caller) -> None:
    """By its profile and on its port; the one that clients reach has nothing there, and its role can change nothing."""
    stack = caller.stack
    profile = ("--profile", "administration")
    stack.must(*profile, "up", "--detach", "--wait", "auth-admin")
    try:
        operator = stack.steelcut("admin", "create", "Operations")
        form = {"grant_type": "client_credentials", "resource": "admin"}
        basic = (operator["client_id"], operator["client_secret"])
        answer = httpx.post(f"{stack.issuer}/token", data=form, auth=basic, trust_env=False)
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        path = f"admin/v1/clients/{caller.client_id}"
        admin = f"http://127.0.0.1:{stack.variables['AUTH_ADMIN_PORT']}"
        shown = httpx.get(f"{admin}/{path}", headers=headers, trust_env=False)
        assert shown.json()["name"] == "Jane Doe"
        assert httpx.get(f"{stack.issuer}/{path}", headers=headers, trust_env=False).status_code == 404
        disabled = httpx.post(f"{admin}/{path}/disable", headers=headers, trust_env=False)
        assert disabled.json()["state"] == "disabled"
        form = {"grant_type": "client_credentials"}
        basic = (caller.client_id, caller.client_secret)
        deadline = time.monotonic() + WAIT_SECONDS
        while httpx.post(f"{stack.issuer}/token", data=form, auth=basic, trust_env=False).is_success:
            assert time.monotonic() < deadline
        httpx.post(f"{admin}/{path}/enable", headers=headers, trust_env=False).raise_for_status()
        while not httpx.post(f"{stack.issuer}/token", data=form, auth=basic, trust_env=False).is_success:
            assert time.monotonic() < deadline
    finally:
        stack.must(*profile, "rm", "--stop", "--force", "auth-admin")


def test_a_document_is_replaced_over_http(caller: Caller) -> None:
    """The resource service has the publisher's role; a client without the scope is told which one it lacks."""
    headers = {"Authorization": f"Bearer {caller.token()}", "Content-Type": "application/json"}
    refused = httpx.put(caller.stack.document_url, content=b"{}", headers=headers, trust_env=False)
    assert refused.status_code == 403
    assert 'scope="write"' in refused.headers["www-authenticate"]


@pytest.mark.usefixtures("caller")
def test_the_resource_service_cannot_reach_the_auth_database(stack: Stack) -> None:
    """By name or by address there is no way; the same program connects where a way is meant to be."""
    address = _address(stack, "auth-db")
    for host in ("auth-db", address):
        tried = stack.python("resource", CONNECT.format(host=host))
        assert tried.returncode != 0
        assert b"connected" not in tried.stdout
        assert stack.python("auth", CONNECT.format(host=host)).stdout.strip() == b"connected"
    assert stack.python("resource", CONNECT.format(host="resource-db")).stdout.strip() == b"connected"
    assert stack.python("auth", CONNECT.format(host=_address(stack, "resource-db"))).returncode != 0


@pytest.mark.usefixtures("caller")
@pytest.mark.parametrize("service", ["auth", "resource"])
def test_a_service_has_no_privilege_and_can_write_nowhere(stack: Stack, service: str) -> None:
    """Not root, no capability, none to gain, a read-only file system, and no secret of the other side."""
    status = stack.python(service, "print(open('/proc/self/status').read())").stdout.decode()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == ["10001"] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    written = stack.python(service, "open('/opt/steelcut/x', 'w')")
    assert b"Read-only file system" in written.stderr
    environment = stack.python(service, "import os; print('\\n'.join(os.environ))").stdout.decode().split()
    other = {"auth": "RESOURCE_DATABASE_URL", "resource": "AUTH_DATABASE_URL"}[service]
    assert other not in environment
    assert not [name for name in environment if "OWNER" in name or "ADMIN" in name or "BOOTSTRAP" in name]


@pytest.mark.usefixtures("caller")
def test_the_databases_are_not_published(stack: Stack) -> None:
    """Only the two services answer on this machine, and on its loopback alone."""
    published = {
        service["Service"]: {(port["URL"], port["PublishedPort"]) for port in service["Publishers"] or ()}
        for service in map(json.loads, stack.must("ps", "--format=json").splitlines())
    }
    ports = {name: {each for each in found if each[1]} for name, found in published.items()}
    assert ports["auth"] == {("127.0.0.1", int(stack.variables["AUTH_PORT"]))}
    assert ports["resource"] == {("127.0.0.1", int(stack.variables["RESOURCE_PORT"]))}
    assert not ports["auth-db"] | ports["resource-db"]


@pytest.mark.parametrize("missing", SECRETS)
def test_a_missing_secret_is_named(tmp_path: Path, missing: str) -> None:
    """Nothing starts, and the sentence says which variable, and what makes it."""
    env_file = tmp_path / ".env"
    env_file.write_text(
        "".join(f"{name}={value}\n" for name, value in fresh_env().items() if name != missing)
    )
    stack = Stack(name="steelcut-test-missing", image="none", env_file=env_file, variables={})
    done = stack.compose("config", "--quiet")
    assert done.returncode != 0
    assert missing in done.stderr.decode()
    assert HOW_TO_MAKE in done.stderr.decode()


@pytest.mark.parametrize("placeholder", SECRETS)
def test_a_placeholder_stops_the_start(stack: Stack, placeholder: str, tmp_path: Path) -> None:
    """The first container refuses it with a sentence, before a database is made that would keep it."""
    with compose_project(tmp_path, stack.image, **{placeholder: "change-me"}) as other:
        assert other.compose("up", "--no-build", "--wait").returncode != 0
        assert HOW_TO_MAKE in other.must("logs", "configuration")
        assert other.must("ps", "--all", "--quiet", "auth-db", "resource-db", "--status=running") == ""


def test_a_placeholder_that_reaches_a_service_is_refused_there(stack: Stack, tmp_path: Path) -> None:
    """The service's own check stands behind the one of compose."""
    with compose_project(tmp_path, stack.image, AUTH_MASTER_KEY="change-me") as other:
        done = other.compose("run", "--rm", "-T", "--no-deps", "auth")
    assert done.returncode == 2
    assert "AUTH_MASTER_KEY" in done.stderr.decode()
    assert HOW_TO_MAKE in done.stderr.decode()


def test_the_master_key_may_come_from_a_file(stack: Stack, tmp_path: Path) -> None:
    """With AUTH_MASTER_KEY empty and AUTH_MASTER_KEY_FILE the path of a file, the file's content is the key."""
    key_file = tmp_path / "master-key"
    key_file.write_text("no key at all")
    key_file.chmod(0o644)
    with compose_project(
        tmp_path, stack.image, AUTH_MASTER_KEY="", AUTH_MASTER_KEY_FILE=str(key_file)
    ) as other:
        done = other.compose("run", "--rm", "-T", "--no-deps", "auth")
        assert done.returncode == 2
        assert "base64" in done.stderr.decode()
        key_file.write_text(stack.variables["AUTH_MASTER_KEY"])
        done = other.compose(
            *("run", "--rm", "-T", "--no-deps", "auth", "python", "-c"),
            "from auth_service.settings import AuthSettings as S; print(len(S().master_key))",
        )
        assert done.stdout.strip() == b"44"


def test_the_image_holds_no_compiler_and_no_secret(stack: Stack) -> None:
    """What is not there cannot be used, and whoever has the image can read all of it."""
    tools = "import shutil; print([tool for tool in ('cc', 'gcc', 'make') if shutil.which(tool)])"
    assert stack.python("auth", tools).stdout.strip() == b"[]"
    described = docker("image", "inspect", stack.image) + docker("history", "--no-trunc", stack.image)
    assert not [name for name in SECRETS if stack.variables[name] in described]


def _address(stack: Stack, service: str) -> str:
    container = stack.must("ps", "--quiet", service).strip()
    networks = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])
