"""`steelcut dev` ends: when it is done, told to, killed, or when a part of it dies; nothing is left over or lost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.cli import terminal
from tests.cli.dev_process import PATIENCE_SECONDS, READY, SERVICES, is_gone, started, until

pytestmark = pytest.mark.slow

if not sys.platform.startswith("linux"):
    pytest.skip("these tests read /proc", allow_module_level=True)


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
        with started(used, "--once") as running:
            out, err = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert (running.process.returncode, err) == (0, "")
    assert re.search(r"^Port 8000 is busy: using 80\d\d\.$", out, re.MULTILINE)
    assert "→ 401" in out
    assert out.endswith("\nStopped.\n")
    assert httpx.URL(running.variables["STEELCUT_ISSUER"]).port != 8000
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.variables["STEELCUT_ISSUER"], trust_env=False)


@pytest.mark.long
def test_state_outlives_every_end(tmp_path: Path) -> None:
    """Ctrl-C, kill -9, SIGTERM, other ports: the same client, the same secret, the same key, nobody left over."""
    state = tmp_path / "state"
    with started(state) as first:
        first.readuntil(READY)
        before, children = first.variables, first.children
        assert children.keys() == {*SERVICES, "postgres"}
        published = terminal.run("documents", "publish", "api_v0.0.1", "-", env=before, stdin=b'"mine"')
        assert published.code == 0
        first.process.kill()
    until(lambda: all(is_gone(pid) for pid in children.values()))

    with started(state) as second:
        second.readuntil(READY)
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
    assert all(is_gone(pid) for pid in children.values())
    last_words = [(state / f"{service}.log").read_text() for service in SERVICES]
    assert all("Application shutdown complete" in log for log in last_words)
    assert (
        "database system is shut down" in (state / "postgres" / "postgres.log").read_text().splitlines()[-1]
    )


@pytest.mark.parametrize("victim", ["auth_service", pytest.param("postgres", marks=pytest.mark.long)])
def test_child_that_dies_ends_everything(used: Path, victim: str) -> None:
    """With its name, its last words and exit code 1; half a system would be a riddle."""
    with started(used) as running:
        running.readuntil(READY)
        children = running.children
        os.kill(children[victim], signal.SIGKILL)
        _, err = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert running.process.returncode == 1
    assert err.startswith(
        "steelcut: PostgreSQL ended: " if victim == "postgres" else f"steelcut: {victim} was killed "
    )
    assert ".log)" in err
    assert len(err.splitlines()) == 1
    assert all(is_gone(pid) for pid in children.values())


def test_service_that_does_not_start_is_explained(used: Path) -> None:
    """The person's own settings reach the services, the wrong ones too."""
    with started(used, env={"AUTH_TOKEN_LIFETIME_SECONDS": "forever"}) as running:
        _, err = running.process.communicate(timeout=PATIENCE_SECONDS)
    assert running.process.returncode == 1
    assert err.startswith("steelcut: auth_service ended with exit code 2; its last words: auth_service: ")
    assert "AUTH_TOKEN_LIFETIME_SECONDS" in err


def test_interrupt_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Exit code 130, and no process of it stays."""
    with started(tmp_path / "state", strict=False) as running:
        running.readuntil("PostgreSQL  ")
        code, err = running.end()
    assert (code, err) == (130, "")
    assert READY not in running.screen
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert str(tmp_path).encode() not in (folder / "cmdline").read_bytes()
