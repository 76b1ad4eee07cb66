"""That everything which the tests make the services log is looked at, and that a secret in it is found."""

from __future__ import annotations

import io
import logging

import pytest

from auth_service import client_secrets
from steelcut.service.telemetry.logs import make_logger
from tests.support import logged
from tests.support.plain_http import http_client
from tests.support.system import GRANT, System

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwOi8v.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
SECRETS = {
    "client secret": client_secrets.generate().value,
    "token": TOKEN,
    "credentials": "Authorization: Basic Y2xpZW50X2lkOmNsaWVudF9zZWNyZXQ=",
    "database": "postgresql://auth_runtime:hunter2@127.0.0.1:5432/auth",
    "private key": "-----BEGIN PRIVATE KEY-----",
    "master key": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=",
}


@pytest.mark.parametrize("name", SECRETS)
def test_secret_in_a_line_is_found(name: str) -> None:
    """In a line of ours, and in one of a library's."""
    make_logger("test", "json", io.StringIO()).info("said", value=f"it was {SECRETS[name]} or so")
    with pytest.raises(AssertionError, match="a secret was logged"):
        logged.check()
    logging.getLogger("library").warning("it was %s or so", SECRETS[name])
    with pytest.raises(AssertionError, match="a secret was logged"):
        logged.check()
    logged.check()


async def test_services_are_looked_at(system: System) -> None:
    """A request adds a line to those that were looked at."""
    before = logged.lines()
    async with http_client() as http:
        await http.post(system.token_url, data=GRANT, auth=system.client.basic)
    assert logged.lines() > before
