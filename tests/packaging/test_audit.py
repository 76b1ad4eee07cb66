"""What `make check` says of the packages in the lock: by the real pip-audit, and a database of our own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tools import audit

ROOT = Path(__file__).parents[2]
DIGEST = "0" * 64
HERE = metadata.version("httpx")


@dataclass
class Database:
    """A database of weaknesses, by the interface of OSV; ``asked`` are the packages that somebody asked for."""

    url: str
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, package: str, name: str, fixed: str) -> None:
        """Let all versions of ``package`` before ``fixed`` have a weakness."""
        affected = {
            "package": {"name": package, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }
        self.known[package] = {"id": name, "summary": "It is weak.", "affected": [affected]}

    @property
    def arguments(self) -> list[str]:
        """What makes pip-audit ask it."""
        return ["--vulnerability-service", "osv", "--osv-url", self.url]


@pytest.fixture
def database() -> Iterator[Database]:
    """One that knows of nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = query["package"]["name"]
            made.asked.append(name)
            answer = json.dumps({"vulns": [made.known[name]]} if name in made.known else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Database(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def lock_of(directory: Path, **versions: str) -> Path:
    """Write a lock of these packages."""
    file = directory / "requirements.lock"
    file.write_text(
        "# section: server - some\n"
        + "".join(f"{name}=={version} \\\n    --hash=sha256:{DIGEST}\n" for name, version in versions.items())
    )
    return file


def audited(lock: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the tool as `make check` does; return its exit code and what it said."""
    command = [sys.executable, "tools/audit.py", "--lock", str(lock), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_known_weakness_fails(database: Database, tmp_path: Path) -> None:
    """One sentence with the package, the weakness and what corrects it."""
    database.add("weak", "GHSA-xxxx", "1.1")
    code, out, err = audited(lock_of(tmp_path, sound="2", weak="1.0"), *database.arguments)
    assert (code, out) == (1, "")
    assert err == "weak 1.0 has a known weakness, GHSA-xxxx: corrected in 1.1.\n"


def test_sound_packages_are_all_asked_for_and_nothing_is_said(database: Database, tmp_path: Path) -> None:
    """The first of them twice, to see whether anybody answers."""
    assert audited(lock_of(tmp_path, sound="2", better="3"), *database.arguments) == (0, "", "")
    assert sorted(database.asked) == ["better", "sound", "sound"]


def test_without_a_database_one_sentence_says_so(database: Database, tmp_path: Path) -> None:
    """It is no failure, and no success that was not seen."""
    database.url = "http://127.0.0.1:1/"
    code, out, err = audited(lock_of(tmp_path, sound="2"), *database.arguments)
    assert (code, out, err) == (0, f"{audit.UNANSWERED}\n", "")


def test_accepted_weakness_is_not_reported(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever accepts one writes why."""
    database.add("weak", "GHSA-xxxx", "1.1")
    lock = lock_of(tmp_path, weak="1.0").read_text()
    monkeypatch.setattr(audit, "accepted", lambda: {"GHSA-xxxx": "what is weak in it is not called"})
    assert audit.weaknesses(lock, database.arguments) == []
    monkeypatch.undo()
    assert audit.weaknesses(lock, database.arguments) != []
    assert all(audit.accepted().values())


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (f"a==1 \\\nb==2 \\\n    --hash=sha256:{DIGEST}\n", "a has no hash"),
        ("a==1 \\\n", "a has no hash"),
        (f"a>=1 \\\n    --hash=sha256:{DIGEST}\n", "no version with a hash"),
        (f"a @ file:///a.whl \\\n    --hash=sha256:{DIGEST}\n", "no version with a hash"),
        ("-e .\n", "no version with a hash"),
        ("--no-binary :all:\n", "no version with a hash"),
        (f"a==1 \\\n    --hash=md5:{DIGEST}\n", "a has no hash"),
        (f"httpx==0.0.1 \\\n    --hash=sha256:{DIGEST}\n", f"httpx is here as {HERE}, and locked as 0.0.1"),
    ],
)
def test_what_needs_no_network_always_counts(lines: str, sentence: str, tmp_path: Path) -> None:
    """Each package by version and by hash, from no place of its own, and here in that version."""
    file = tmp_path / "requirements.lock"
    file.write_text(lines)
    code, _, err = audited(file)
    assert code == 1
    assert sentence in err


def test_our_lock_is_such_a_one() -> None:
    """And holds every package that is imported here."""
    locked = audit.pins((ROOT / "requirements.lock").read_text())
    assert {"httpx", "uvicorn", "pytest", "pip-audit"} <= locked.keys()
    assert list(audit.differing(locked)) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import httpx\n\nhttpx.get('https://example.com', verify=False)\n", "B501"),
        ("import hashlib\n\nhashlib.md5(b'')\n", "B324"),
        ("import yaml\n\nyaml.load('a', yaml.Loader)\n", "B506"),
        ("assert True\n", ""),
    ],
)
def test_bandit_finds_by_our_configuration(source: str, found: str, tmp_path: Path) -> None:
    """What it knows is left on, but for what ruff tells line by line."""
    (tmp_path / "source.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "bandit",
        "--quiet",
        "--configfile",
        "pyproject.toml",
        str(tmp_path / "source.py"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, found in done.stdout) == (1 if found else 0, True)
