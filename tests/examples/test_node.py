"""examples/node: openid-client, unmodified, gets a token here and opens a document with it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import DOCUMENT, System
from tools.node_packages import NODE

EXAMPLE = Path("examples/node")
PACKAGES = Path(sys.prefix) / "node" / "node_modules"

Client = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture(scope="module")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example beside its packages, as `npm install` there would have it."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("client.mjs", "package.json"):
        shutil.copy(EXAMPLE / name, folder)
    (folder / "node_modules").symlink_to(PACKAGES)
    return folder / "client.mjs"


@pytest.fixture
def client(installed_example: Path, system: System) -> Client:
    """Runs the example for the system's own client, but for the variables given; its exit code and two streams."""

    async def run(*arguments: str, **changed: str) -> tuple[int, str, str]:
        variables = {
            "STEELCUT_ISSUER": system.issuer,
            "STEELCUT_CLIENT_ID": system.client.client_id,
            "STEELCUT_CLIENT_SECRET": system.client.secret,
            **changed,
        }
        process = await asyncio.create_subprocess_exec(
            NODE,
            installed_example,
            *arguments,
            env={"PATH": os.environ["PATH"], **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return run


async def test_a_document_is_opened(client: Client, system: System) -> None:
    """The issuer's URL, the client's credentials and the document's URL are all that it is told."""
    code, out, err = await client(system.document_url, STEELCUT_SCOPE="read")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(DOCUMENT)


async def test_variables_say_all_of_it(client: Client, system: System) -> None:
    """What `steelcut dev` writes suffices: the resource by its short name, the document by its URL, no scope."""
    code, _, err = await client(STEELCUT_DOCUMENT_URL=system.document_url, STEELCUT_RESOURCE="api_v0.0.1")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"STEELCUT_CLIENT_SECRET": "wrong"}, "invalid_client"),
        ({"STEELCUT_SCOPE": "unheard_of"}, "invalid_scope"),
        ({"STEELCUT_RESOURCE": "https://elsewhere.example/"}, "invalid_target"),
    ],
    ids=["wrong secret", "unknown scope", "another resource"],
)
async def test_a_refusal_is_told_in_the_server_s_words(
    client: Client, system: System, changed: dict[str, str], error: str
) -> None:
    """openid-client understands each error of the token endpoint (RFC 6749 §5.2, RFC 8707 §2)."""
    code, out, err = await client(system.document_url, **changed)
    assert (code, out) == (1, "")
    assert err.startswith(f"{error}: ")
    assert err.count("\n") == 1


async def test_a_token_that_grants_too_little_is_refused_by_the_document(
    client: Client, system: System
) -> None:
    """openid-client understands the challenge of the resource server too (RFC 6750 §3)."""
    writer = await system.register("writer", ("write",))
    code, out, err = await client(
        system.document_url, STEELCUT_CLIENT_ID=writer.client_id, STEELCUT_CLIENT_SECRET=writer.secret
    )
    assert (code, out) == (1, "")
    assert err.startswith("insufficient_scope: ")


async def test_what_is_missing_is_named(client: Client) -> None:
    """Without a document's URL it says what it needs, and exits with 2."""
    code, _, err = await client()
    assert code == 2
    assert "give the URL of a document" in err


def test_the_example_asks_for_the_release_that_is_tested() -> None:
    """What `npm install` brings to a reader of the example is what these tests ran with, or newer."""
    asked: dict[str, Any] = json.loads((EXAMPLE / "package.json").read_text())["dependencies"]
    pinned: dict[str, Any] = json.loads(Path("tools/node/package.json").read_text())["dependencies"]
    assert asked == {"openid-client": f"^{pinned['openid-client']}"}
