"""`steelcut dev`: the whole system by one command, found again, and gone when it is told to go."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from steelcut_cli import dev_services, dev_setup, embedded_postgres
from steelcut_cli.errors import Misuse
from tests.cli import terminal
from tests.support.system import DOCUMENT

pytestmark = pytest.mark.slow

READY = "Both services keep running."
PATIENCE_SECONDS = 60.0
SERVICES = ("auth_service", "resource_service")


@dataclass
class Dev:
    """One running `steelcut dev`; ``screen`` is what it has printed."""

    process: subprocess.Popen[str]
    state: Path
    screen: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """What a shell knows after reading dev.env."""
        lines = (self.state / "dev.env").read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if not line.startswith("#"))
        return {name: shlex.split(value)[0] for name, value in pairs}

    @property
    def children(self) -> dict[str, int]:
        """The processes that it started, by what they are."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                if parent == self.process.pid:
                    found[words[2] if words[1] == "-m" else Path(words[0]).name] = int(folder.name)
        return found

    def read_until(self, text: str) -> None:
        """Read the screen until ``text`` stands on it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.screen += line
            if text in line:
                return
        raise AssertionError(f"{self.screen}\n{self.process.communicate()}")

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what stood on stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.screen += out
        return self.process.returncode, err


@contextlib.contextmanager
def _started(
    state: Path, *options: str, env: Mapping[str, str] | None = None, strict: bool = True
) -> Iterator[Dev]:
    """Start it, by default on free ports; a test that fails leaves nothing running."""
    ports = ("--auth-port", str(_free_port()), "--resource-port", str(_free_port()))
    arguments = ("dev", "--state", str(state), *(options or ports))
    with terminal.process(*arguments, env=env, strict=strict) as process:
        try:
            yield Dev(process, state)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=PATIENCE_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_gone(pid: int) -> bool:
    return not embedded_postgres._is_alive(pid)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """One system for all tests that only look."""
    with _started(tmp_path_factory.mktemp("dev") / "state") as running:
        running.read_until(READY)
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
    environments = {
        name: Path(f"/proc/{dev.children[name]}/environ").read_bytes().decode() for name in SERVICES
    }
    for name, secret in kept.items():
        for service, known in environments.items():
            own = name == f"{service.removesuffix('_service')}_runtime_password"
            own = own or (name in {"master_key", "auth_admin_password"} and service == "auth_service")
            own = own or (name == "resource_publisher_password" and service == "resource_service")
            assert (secret in known) == own, (name, service)


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
    chosen = dev_services.choose_port(None, busy)
    assert busy < chosen < busy + dev_services.PORTS_TRIED
    assert dev_services.choose_port(None, busy, taken=chosen) > chosen
    with pytest.raises(Misuse):
        dev_services.choose_port(busy, 8000)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state for several tests, one after the other: found again, it starts sooner than from nothing."""
    return tmp_path_factory.mktemp("used") / "state"


def test_once_walks_the_flow_and_ends(used: Path) -> None:
    """From nothing to a fetched document and away again; a busy default port is said aloud."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # then somebody else has it, which serves as well
            stranger.bind(("127.0.0.1", 8000))
            stranger.listen()
        with _started(used, "--once") as running:
            out, err = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert (running.process.returncode, err) == (0, "")
    assert re.search(r"^Port 8000 is busy: using 80\d\d\.$", out, re.MULTILINE)
    assert "→ 401" in out
    assert out.endswith("\nStopped.\n")
    assert httpx.URL(running.variables["STEELCUT_ISSUER"]).port != 8000
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.variables["STEELCUT_ISSUER"], trust_env=False)


def test_state_outlives_every_end(tmp_path: Path) -> None:
    """Ctrl-C, kill -9, SIGTERM, other ports: the same client, the same secret, the same key, nobody left over."""
    state = tmp_path / "state"
    with _started(state) as first:
        first.read_until(READY)
        before, children = first.variables, first.children
        assert children.keys() == {*SERVICES, "postgres"}
        published = terminal.run("documents", "publish", "api_v0.0.1", "-", env=before, stdin=b'"mine"')
        assert published.code == 0
        first.process.kill()
    _until(lambda: all(_is_gone(pid) for pid in children.values()))

    with _started(state) as second:
        second.read_until(READY)
        assert '→ 200 "mine"' in second.screen
        for name in ("STEELCUT_CLIENT_ID", "STEELCUT_CLIENT_SECRET", "AUTH_MASTER_KEY"):
            assert second.variables[name] == before[name]
        assert second.variables["STEELCUT_RESOURCE"] != before["STEELCUT_RESOURCE"]
        kid = re.compile(r"signing key +ES256 (\S+)")
        assert kid.findall(second.screen) == kid.findall(first.screen)
        (client,) = terminal.run("clients", "list", "--json", env=second.variables).json
        assert len(client["secret_ids"]) == 1
        children = second.children
        begin = time.monotonic()
        assert second.end(signal.SIGTERM) == (0, "")
        assert time.monotonic() - begin < 10
    assert second.screen.endswith("Stopped.\n")
    assert all(_is_gone(pid) for pid in children.values())
    last_words = [(state / f"{service}.log").read_text() for service in SERVICES]
    assert all("Application shutdown complete" in log for log in last_words)
    assert (
        "database system is shut down" in (state / "postgres" / "postgres.log").read_text().splitlines()[-1]
    )


@pytest.mark.parametrize("victim", ["auth_service", "postgres"])
def test_child_that_dies_ends_everything(used: Path, victim: str) -> None:
    """With its name, its last words and exit code 1; half a system would be a riddle."""
    with _started(used) as running:
        running.read_until(READY)
        children = running.children
        os.kill(children[victim], signal.SIGKILL)
        _, err = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert running.process.returncode == 1
    assert err.startswith(
        "steelcut: PostgreSQL ended: " if victim == "postgres" else f"steelcut: {victim} was killed "
    )
    assert ".log)" in err
    assert len(err.splitlines()) == 1
    assert all(_is_gone(pid) for pid in children.values())


def test_service_that_does_not_start_is_explained(used: Path) -> None:
    """The person's own settings reach the services, the wrong ones too."""
    with _started(used, env={"AUTH_TOKEN_LIFETIME_SECONDS": "forever"}) as running:
        _, err = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert running.process.returncode == 1
    assert err.startswith("steelcut: auth_service ended with exit code 2; its last words: auth_service: ")
    assert "AUTH_TOKEN_LIFETIME_SECONDS" in err


def test_interrupt_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Exit code 130, and no process of it stays."""
    with _started(tmp_path / "state", strict=False) as running:
        running.read_until("PostgreSQL  ")
        code, err = running.end()
    assert (code, err) == (130, "")
    assert READY not in running.screen
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert str(tmp_path).encode() not in (folder / "cmdline").read_bytes()


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
    assert sentence in refused.sentence


def test_example_document_is_the_one_in_the_examples() -> None:
    """Two copies, because an installed command has no checkout around it."""
    example = Path(__file__).parents[2] / "examples" / "protected_resource.json"
    assert example.read_bytes() == dev_setup.EXAMPLE == DOCUMENT


if not sys.platform.startswith("linux"):
    pytest.skip("these tests read /proc", allow_module_level=True)
