"""`steelcut dev`: the whole system by one command, found again, and gone when it is told to go."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from steelcut_cli.dev.services import PORTS_TRIED, choose_port
from steelcut_cli.dev.setup import EXAMPLE
from steelcut_cli.errors import Misuse
from tests.cli import terminal
from tests.cli.dev_process import READY, SERVICES, Dev, started
from tests.support.processes import environment_of, memory_of
from tests.support.system import DOCUMENT

pytestmark = pytest.mark.slow

if not sys.platform.startswith("linux"):
    pytest.skip("these tests read /proc", allow_module_level=True)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """One system for all tests that only look."""
    with started(tmp_path_factory.mktemp("dev") / "state") as running:
        running.readuntil(READY)
        yield running
        code, err = running.end()
    assert (code, err) == (0, "")


def test_each_step_is_shown_with_its_result(dev: Dev) -> None:
    """Metadata, token, claims, document, 304, and the refusal without a token."""
    steps = re.findall(r"^  (\d)\. (.*?)  \(", dev.screen, re.MULTILINE)
    assert [number for number, _ in steps] == list("123456")
    for result in (
        "→ 200 token_endpoint http://127.0.0.1:",
        "→ 200 a Bearer token, scope 'read write', expires in 3600 s",
        '→ header {"alg": "ES256", ',
        f'"client_id": "{dev.variables["STEELCUT_CLIENT_ID"]}"',
        '→ 200 {"about": "This is a protected resource"}',
        "→ 304 not modified",
        "→ 401 WWW-Authenticate: Bearer ",
    ):
        assert result in dev.screen


def test_state_is_private(dev: Dev) -> None:
    """The directory and every file with a secret are the owner's alone; no commit takes them."""
    assert stat.S_IMODE(dev.state.stat().st_mode) == 0o700
    for name in ("dev.env", "secrets.json", "auth_service.log", "resource_service.log", "postgres/password"):
        assert stat.S_IMODE((dev.state / name).stat().st_mode) == 0o600, name
    assert (dev.state / ".gitignore").read_text() == "*\n"


def test_variables_for_every_other_command(dev: Dev) -> None:
    """Those that the README names, and those of the operator."""
    assert {
        *("STEELCUT_ISSUER", "STEELCUT_TOKEN_URL", "STEELCUT_DOCUMENT_URL", "STEELCUT_CLIENT_ID"),
        *("STEELCUT_CLIENT_SECRET", "STEELCUT_RESOURCE", "STEELCUT_SCOPE"),
        *("AUTH_DATABASE_URL", "AUTH_OWNER_DATABASE_URL", "AUTH_ADMIN_DATABASE_URL"),
        *("AUTH_MASTER_KEY", "RESOURCE_DATABASE_URL"),
    } <= dev.variables.keys()
    assert terminal.run("fetch", env=dev.variables).out.encode() == DOCUMENT
    assert terminal.run("db", "check", env=dev.variables).code == 0
    assert terminal.run("db", "upgrade", env=dev.variables).code == 0
    (client,) = terminal.run("clients", "list", "--json", env=dev.variables).json
    assert client["name"] == "Jane Doe"
    (key,) = terminal.run("keys", "list", "--json", env=dev.variables).json
    assert key["state"] == "active"


def test_no_secret_is_on_the_screen_in_a_log_or_among_the_processes(dev: Dev) -> None:
    """Not the client's, not the master key, no password."""
    kept = json.loads((dev.state / "secrets.json").read_text())
    secrets = [value for name, value in kept.items() if name != "client_id"]
    secrets.append((dev.state / "postgres" / "password").read_text())
    processes = b"".join(
        Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [dev.process.pid, *dev.children.values()]
    ).decode()
    logs = "".join(
        file.read_text() for file in [*dev.state.glob("*.log"), dev.state / "postgres" / "postgres.log"]
    )
    for secret in secrets:
        assert secret not in dev.screen
        assert secret not in processes
        assert secret not in logs
    assert "eyJ" not in dev.screen


def test_each_service_knows_its_own_secrets_only(dev: Dev) -> None:
    """What the resource service does not have, nobody gets out of it, nor what an owner has."""
    kept = json.loads((dev.state / "secrets.json").read_text())
    memories = {name: memory_of(dev.children[name]) for name in SERVICES}
    for name, secret in kept.items():
        for service, known in memories.items():
            assert secret not in environment_of(dev.children[service]), (name, service)
            if name.startswith("client_"):
                continue  # what a caller shows, the auth service has seen
            own = name == f"{service.removesuffix('_service')}_runtime_password"
            own = own or (name in {"master_key", "auth_admin_password"} and service == "auth_service")
            own = own or (name == "resource_publisher_password" and service == "resource_service")
            is_known = secret.encode() in known
            assert is_known == own, (name, service)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_printed_lines_work_and_show_no_secret_to_other_users(dev: Dev, tmp_path: Path) -> None:
    """Copied into a shell they fetch the document; what curl is started with holds neither secret nor token."""
    lines = dev.screen.split("Try it yourself\n")[1].split(READY)[0]
    arguments = tmp_path / "arguments"
    shim = tmp_path / "bin" / "curl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {arguments}\nexec {shutil.which("curl")} "$@"\n')
    shim.chmod(0o700)
    steelcut = tmp_path / "bin" / "steelcut"
    steelcut.write_text(f'#!/bin/sh\nexec {shlex.join(terminal.COMMAND)} "$@"\n')
    steelcut.chmod(0o700)
    script = re.sub(r"(?m)^  \S*(?=( token| fetch)$)", "  steelcut", lines)
    variables = terminal.environment({"PATH": f"{shim.parent}:{os.environ['PATH']}", "no_proxy": "*"})
    done = subprocess.run(["sh", "-euc", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == DOCUMENT.decode().strip()
    assert "HTTP/1.1 200 OK" in done.stdout
    assert done.stdout.endswith(DOCUMENT.decode())
    seen = arguments.read_text()
    assert dev.variables["STEELCUT_TOKEN_URL"] in seen
    assert dev.variables["STEELCUT_CLIENT_SECRET"] not in seen
    assert "eyJ" not in seen


def test_services_describe_themselves(dev: Dev) -> None:
    """The pages that the screen names are there."""
    pages = re.findall(r"docs: (\S+?),", dev.screen)
    assert len(pages) == 2
    assert all(httpx.get(page, trust_env=False).status_code == 200 for page in pages)


def test_documents_can_be_put_without_further_ado(dev: Dev) -> None:
    """The client that was made publishes over HTTP, and takes it back."""
    known = dev.variables
    credentials = (known["STEELCUT_CLIENT_ID"], known["STEELCUT_CLIENT_SECRET"])
    with httpx.Client(trust_env=False) as http:
        form = {"grant_type": "client_credentials", "scope": "write"}
        token = http.post(known["STEELCUT_TOKEN_URL"], data=form, auth=credentials).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        url = f"{known['STEELCUT_DOCUMENT_URL']}/q3"
        assert http.put(url, content=b"3", headers={"Content-Type": "application/json"}).status_code == 201
        assert http.delete(url).status_code == 204


def test_services_run_behind_our_own_protocol(dev: Dev) -> None:
    """What tests/flow/test_http_edges.py shows of the protocol holds for the services as they are started."""
    many = [(f"X-{number}", "y") for number in range(200)]
    for name in ("AUTH_ISSUER", "RESOURCE_BASE_URL"):
        refused = httpx.get(f"{dev.variables[name]}/healthz", headers=many, trust_env=False)
        assert refused.status_code == 431


def test_second_one_on_the_same_state_is_refused(dev: Dev) -> None:
    """It would share the database and fight for it."""
    refused = terminal.run("dev", "--once", "--state", str(dev.state))
    assert refused.code == 1
    assert refused.sentence.startswith(f"{dev.state} is in use by process {dev.process.pid}. ")
    assert dev.process.poll() is None


def test_named_port_that_is_busy_is_refused(dev: Dev, tmp_path: Path) -> None:
    """Whoever names a port wants that one."""
    busy = dev.variables["AUTH_PORT"]
    for option in ("--auth-port", "--resource-port"):
        refused = terminal.run("dev", "--once", "--state", str(tmp_path / "state"), option, busy)
        assert refused.code == 2
        assert refused.sentence.startswith(f"Port {busy} on 127.0.0.1 is busy: ")
    twice = terminal.run(
        "dev", "--state", str(tmp_path / "state"), "--auth-port", "9876", "--resource-port", "9876"
    )
    assert twice.code == 2
    assert twice.sentence == "Both services were given the port 9876: name two."


def test_default_port_that_is_busy_gives_way(dev: Dev) -> None:
    """To the next free one."""
    busy = int(dev.variables["AUTH_PORT"])
    chosen = choose_port(None, busy)
    assert busy < chosen < busy + PORTS_TRIED
    assert choose_port(None, busy, taken=chosen) > chosen
    with pytest.raises(Misuse):
        choose_port(busy, 8000)


def test_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """`--state .` in a project must not replace its .gitignore."""
    (tmp_path / ".gitignore").write_text("mine\n")
    mode = tmp_path.stat().st_mode
    refused = terminal.run("dev", "--once", "--state", str(tmp_path))
    assert refused.code == 1
    assert (
        refused.sentence
        == f"{tmp_path} holds other things: name an empty or a new directory with --state DIR."
    )
    assert [file.name for file in tmp_path.iterdir()] == [".gitignore"]
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert tmp_path.stat().st_mode == mode


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    """As a read-only checkout; it says what helps."""
    (tmp_path / "file").touch()
    refused = terminal.run("dev", "--once", "--state", str(tmp_path / "file" / "state"))
    assert refused.code == 1
    assert refused.sentence.endswith("(Not a directory): name another place with --state DIR.")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "is missing: remove"), ("{", "cannot be read: remove"), ("{}", "cannot be read: remove")],
)
def test_lost_secrets_are_said_at_once(tmp_path: Path, content: str | None, sentence: str) -> None:
    """Without them the database is closed; nothing is made over it."""
    state = tmp_path / "state"
    (state / "postgres").mkdir(parents=True)
    (state / "dev.lock").touch()
    if content is not None:
        (state / "secrets.json").write_text(content)
    refused = terminal.run("dev", "--once", "--state", str(state))
    assert refused.code == 1
    # On stdout it may have said that a port of this machine is busy.
    assert refused.err.count("\n") == 1
    assert sentence in refused.err


def test_example_document_is_the_one_in_the_examples() -> None:
    """Two copies, because an installed command has no checkout around it."""
    example = Path(__file__).parents[2] / "examples" / "protected_resource.json"
    assert example.read_bytes() == EXAMPLE == DOCUMENT
