"""One system in containers for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.flow import Caller
from tests.compose.stack import RESOURCE, ROOT, Stack, compose_project, engine_problem


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """A Docker engine; without one a single sentence is better than an error per test."""
    if problem := engine_problem():
        pytest.exit(problem, returncode=1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system, made from nothing: ``steelcut env``, ``docker compose up --build --wait``."""
    with compose_project(tmp_path_factory.mktemp("compose")) as stack:
        stack.up("--build")
        yield stack


@pytest.fixture(scope="session")
def caller(stack: Stack) -> Caller:
    """A registered client, with a key to sign its tokens and a document that they open."""
    stack.steelcut("keys", "create")
    stack.steelcut("resources", "create", RESOURCE, "--scope", "read")
    client = stack.steelcut("clients", "create", "Jane Doe", "--grant", f"{RESOURCE}=read")
    document = (ROOT / "examples" / "protected_resource.json").read_bytes()
    stack.steelcut("documents", "publish", RESOURCE, "-", stdin=document)
    stack.until_ready()
    return Caller(stack, client["client_id"], client["client_secret"], document)
