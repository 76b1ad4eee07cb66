"""The code on the page about guarding runs as it stands there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi.testclient import TestClient

from steelcut.testing import Issuer

PAGE = Path("docs/guard.md").read_text()
# All but the two lines at the top, which stand in the whole of the first block.
_, *BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ISSUER, AUDIENCE = "https://auth.example.com", "https://api.example.com/orders"


def run(source: str) -> dict[str, Any]:
    """Run a block as a module of its own and return its names."""
    module = ModuleType("page")
    exec(compile(source, "docs/guard.md", "exec"), module.__dict__)  # noqa: S102 - the page is ours
    return module.__dict__


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number: int) -> None:
    """Each block names only what there is, and takes no argument that there is not."""
    block = BLOCKS[number]
    if "import Flask" in block and find_spec("flask") is None:
        compile(block, "docs/guard.md", "exec")
    else:
        run(block)


def test_fastapi_block_guards() -> None:
    """The first example opens to who may come in, and to nobody else."""
    client = TestClient(run(BLOCKS[0])["app"])
    with Issuer(ISSUER) as issuer:
        for method, path, scope in (
            ("GET", "/orders", "read"),
            ("PUT", "/orders/1", "admin"),
            ("GET", "/internal/figures", "admin"),
        ):
            good = issuer.bearer(audience=AUDIENCE, scope=scope)
            assert client.request(method, path, headers=good).status_code == 200
            little = issuer.bearer(audience=AUDIENCE, scope="list")
            assert client.request(method, path, headers=little).status_code == 403
            assert client.request(method, path).status_code == 401
    assert client.get("/.well-known/oauth-protected-resource/orders").json()["resource"] == AUDIENCE


def test_starlette_block_guards() -> None:
    """So does the second, which leaves the path of the health check open."""
    client = TestClient(run(BLOCKS[1])["app"])
    with Issuer(ISSUER) as issuer:
        answer = client.get("/orders", headers=issuer.bearer(audience=AUDIENCE))
        assert answer.text == "for test-client"
    assert client.get("/orders").status_code == 401
    assert client.get("/health").text == "well"


def test_two_lines_at_the_top_are_those_of_the_example() -> None:
    """What a reader sees first is what the first example does."""
    guard, reader = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
    assert reader in BLOCKS[0].splitlines()
    assert all(part in BLOCKS[0] for part in re.findall(r'"[^"]+"', guard))
