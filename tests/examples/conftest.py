"""The examples as a reader would use them: their files, the running system, the variables of ``steelcut dev``."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.system import Registered, System

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Ended:
    """A program that ran to its end."""

    code: int
    out: str
    err: str


@pytest.fixture
def variables(system: System, tmp_path: Path) -> dict[str, str]:
    """What ``steelcut dev`` writes for a client, and a home of its own for what is kept."""
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "STEELCUT_ISSUER": system.issuer,
        "STEELCUT_TOKEN_URL": system.token_url,
        "STEELCUT_DOCUMENT_URL": system.document_url,
        "STEELCUT_CLIENT_ID": system.client.client_id,
        "STEELCUT_CLIENT_SECRET": system.client.secret,
        "STEELCUT_RESOURCE": system.document_url,
        "STEELCUT_SCOPE": "read",
    }


def credentials(client: Registered) -> dict[str, str]:
    """Return the variables by which a program is ``client``."""
    return {"STEELCUT_CLIENT_ID": client.client_id, "STEELCUT_CLIENT_SECRET": client.secret}


async def run(*command: str, variables: dict[str, str]) -> Ended:
    """Run a program to its end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def run_example(variables: dict[str, str]) -> Callable[..., Awaitable[Ended]]:
    """Run an example, as ``python FILE`` or as it is."""

    def start(name: str, **changes: str) -> Awaitable[Ended]:
        path = EXAMPLES / name
        command = [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]
        return run(*command, variables={**variables, **changes})

    return start


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Import an example as a server would, anew, under the variables given."""

    def imported(name: str, **variables: str) -> ModuleType:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return imported
