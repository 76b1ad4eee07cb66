"""Fixtures of the audit log's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from steelcut.service.database.connecting import connect
from tests.support.databases import Databases


@pytest.fixture
async def administrator(databases: Databases) -> AsyncIterator[Any]:
    """A connection of the administrator of an empty auth database."""
    connection = await connect(databases.auth_admin)
    yield connection
    await connection.close()


@pytest.fixture
async def owner(databases: Databases) -> AsyncIterator[Any]:
    """A connection of the owner of the same database."""
    connection = await connect(databases.auth.owner)
    yield connection
    await connection.close()
