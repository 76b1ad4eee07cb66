"""docker compose as an operator uses it, with a project name, ports, secrets and an image of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
STEELCUT = Path(sys.executable).with_name("steelcut")
RESOURCE = "api_v0.0.1"

# What the shell of a developer may hold would win over the .env file.
FOREIGN = ("AUTH_", "RESOURCE_", "STEELCUT_", "COMPOSE_")

BUILD_SECONDS = 900
COMMAND_SECONDS = 180
WAIT_SECONDS = 60
SETTLE_SECONDS = 5


def docker(*arguments: str) -> str:
    """Run ``docker`` with ``arguments`` and return what it printed; raises ``CalledProcessError``."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def engine_problem() -> str | None:
    """Return why no container can be started here, as a sentence; None when one can."""
    if shutil.which("docker") is None:
        return "make compose-test needs Docker with Compose v2, and there is no docker command here."
    for command, missing in (("compose version", "its compose plugin (v2)"), ("info", "a running engine")):
        try:
            docker(*command.split())
        except subprocess.CalledProcessError:
            return f"make compose-test needs Docker with {missing}: `docker {command}` fails."
    return None


def free_ports(count: int) -> list[int]:
    """Return different ports of this machine's loopback that nothing listens on.

    Below those that the kernel hands out for outgoing connections: a restarted container must find its port free.
    """
    found: set[int] = set()
    while len(found) < count:
        port = 20_000 + secrets.randbelow(10_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)


def fresh_env() -> dict[str, str]:
    """Return what ``steelcut env`` prints, with ports that are free here."""
    printed = subprocess.run([STEELCUT, "env"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in printed.splitlines() if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines)
    auth_port, resource_port, admin_port = free_ports(3)
    return variables | {
        "AUTH_PORT": str(auth_port),
        "AUTH_ISSUER": f"http://127.0.0.1:{auth_port}",
        "RESOURCE_ISSUER": f"http://127.0.0.1:{auth_port}",
        "AUTH_ADMIN_PORT": str(admin_port),
        "RESOURCE_PORT": str(resource_port),
        "RESOURCE_BASE_URL": f"http://127.0.0.1:{resource_port}",
    }


@dataclass(frozen=True)
class Stack:
    """One compose project; ``variables`` is its .env."""

    name: str
    image: str
    env_file: Path
    variables: Mapping[str, str] = field(repr=False)

    @property
    def issuer(self) -> str:
        """The auth service as clients see it."""
        return self.variables["AUTH_ISSUER"]

    @property
    def document_url(self) -> str:
        """The protected document as clients see it."""
        return f"{self.variables['RESOURCE_BASE_URL']}/{RESOURCE}"

    def compose(
        self, *arguments: str, stdin: bytes = b"", timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``docker compose`` with ``arguments`` in this project, whatever its exit code."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return subprocess.run(
            [
                *("docker", "compose", "--project-name", self.name, "--env-file", str(self.env_file)),
                *("--file", str(ROOT / "docker-compose.yml"), *arguments),
            ],
            env=environment | {"STEELCUT_IMAGE": self.image},
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def must(self, *arguments: str, stdin: bytes = b"", timeout: float = COMMAND_SECONDS) -> str:
        """Run ``docker compose`` with ``arguments`` and return what it printed; fail with the logs otherwise."""
        done = self.compose(*arguments, stdin=stdin, timeout=timeout)
        if done.returncode:
            logs = self.compose("logs", "--no-color", "--tail=40").stdout.decode()
            raise AssertionError(
                f"docker compose {' '.join(arguments)} → {done.returncode}\n{done.stderr.decode()}\n{logs}"
            )
        return done.stdout.decode()

    def steelcut(self, *arguments: str, stdin: bytes = b"") -> Any:
        """Run the command line in the project's ``steelcut`` container and return its JSON."""
        return json.loads(self.must("run", "--rm", "-T", "steelcut", *arguments, "--json", stdin=stdin))

    def python(self, service: str, program: str) -> subprocess.CompletedProcess[bytes]:
        """Run a Python program inside a running service's container."""
        return self.compose("exec", "-T", service, "python", "-c", program)

    def up(self, *options: str) -> None:
        """Start everything, and return when all of it is healthy."""
        up = ("up", *options, "--wait")
        started = self.compose(*up, timeout=BUILD_SECONDS)
        if started.returncode and b"is unhealthy" in started.stderr:
            # So an engine calls a container between its start and its first check.
            time.sleep(SETTLE_SECONDS)
        if started.returncode:
            self.must(*up, timeout=BUILD_SECONDS)

    def until_ready(self) -> None:
        """Wait until both services are ready, which is more than healthy: they have the keys that they need.

        A resource service that started before the auth service learns its keys a few seconds later.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        waiting = [f"{self.variables[name]}/readyz" for name in ("AUTH_ISSUER", "RESOURCE_BASE_URL")]
        while waiting:
            try:
                if httpx.get(waiting[0], trust_env=False).is_success:
                    del waiting[0]
                    continue
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{waiting[0]} was not ready in {WAIT_SECONDS} s\n{self.must('logs', '--tail=20')}"
                )
            time.sleep(0.1)


@contextlib.contextmanager
def compose_project(folder: Path, image: str | None = None, **overrides: str) -> Iterator[Stack]:
    """Give a project that does not exist yet, and remove every trace of it afterwards.

    Without ``image`` it builds one of its own.
    """
    name = f"steelcut-test-{secrets.token_hex(4)}"
    variables = fresh_env() | overrides
    env_file = folder / f"{name}.env"
    env_file.touch(mode=0o600)
    env_file.write_text("".join(f"{variable}={value}\n" for variable, value in variables.items()))
    stack = Stack(name=name, image=image or name, env_file=env_file, variables=variables)
    try:
        yield stack
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout=5")
        if image is None:
            docker("image", "rm", "--force", name)
