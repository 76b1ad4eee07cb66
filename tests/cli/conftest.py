"""Fixtures of the command line's tests."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from tests.cli import terminal
from tests.cli.terminal import Outcome
from tests.support.databases import Databases
from tests.support.system import System

Steelcut = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def operator(databases: Databases) -> dict[str, str]:
    """The variables of somebody who administers two empty databases."""
    return {
        "AUTH_OWNER_DATABASE_URL": databases.auth.owner,
        "AUTH_ADMIN_DATABASE_URL": databases.auth_admin,
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "RESOURCE_OWNER_DATABASE_URL": databases.resource.owner,
        "RESOURCE_PUBLISHER_DATABASE_URL": databases.publisher,
        "RESOURCE_DATABASE_URL": databases.resource.runtime,
        "RESOURCE_BASE_URL": "http://127.0.0.1:8001",
    }


@pytest.fixture
def steelcut(operator: dict[str, str]) -> Steelcut:
    """Run a command as that operator; ``env`` adds variables."""
    return runner(operator)


@pytest.fixture
def caller(system: System) -> dict[str, str]:
    """The variables of a client of the shared system."""
    return {
        "STEELCUT_ISSUER": system.issuer,
        "STEELCUT_CLIENT_ID": system.client.client_id,
        "STEELCUT_CLIENT_SECRET": system.client.secret,
        "STEELCUT_DOCUMENT_URL": system.document_url,
    }


@pytest.fixture
def as_client(caller: dict[str, str]) -> Steelcut:
    """Run a command as that client; ``env`` adds variables, and takes one away by an empty value."""
    return runner(caller)


def runner(variables: Mapping[str, str]) -> Steelcut:
    """Return what runs a command by ``variables``; ``env`` adds some, and takes one away by an empty value."""

    async def run(*arguments: str, env: Mapping[str, str] | None = None, **given: Any) -> Outcome:
        # In a thread, because the command has an event loop of its own and the services run in ours.
        return await asyncio.to_thread(terminal.run, *arguments, env={**variables, **(env or {})}, **given)

    return run
