"""Hostile tokens against the running resource server (RFC 8725, RFC 9068 §4, RFC 6750 §3)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from auth_service.administration.keys import create_key
from auth_service.master_key import MasterKey
from tests.rfc.forgeries import Forger, Forgery, all_forgeries
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, DOCUMENT, System, running_system
from tests.support.tokens import IssuerKey, unbase64url

FORGERIES = all_forgeries()
CHALLENGE = (
    'Bearer error="invalid_token", '
    'error_description="The access token is not valid here. Request a new one for this resource.", '
    'scope="read", resource_metadata="{}/.well-known/oauth-protected-resource/api_v0.0.1"'
)


@pytest.fixture(scope="module")
async def attacked(templates: Templates) -> AsyncIterator[System]:
    """A system whose issuer publishes four keys, of all algorithms."""
    async with running_system(await templates.clone()) as system:
        master_key = MasterKey.from_base64(system.master_key)

        async def add_keys(connection: Any) -> None:
            for algorithm in ("ES256", "RS256", "EdDSA"):
                await create_key(connection, ACTOR, master_key, algorithm)

        await system.as_owner(add_keys)
        await system.auth_process.refresh()
        yield system


@pytest.fixture(scope="module")
def forger(attacked: System) -> Forger:
    """A forger who has stolen the issuer's keys."""
    ring = attacked.auth_process.key_ring
    stolen: dict[str, list[IssuerKey]] = {}
    for key in ring._keys.values():
        algorithm = _algorithm(key.header_segment)
        stolen.setdefault(algorithm, []).append(IssuerKey(key.kid, algorithm, key._private_key))
    active = ring.active.kid
    first, second = sorted(stolen["ES256"], key=lambda key: key.kid != active)
    return Forger(
        issuer=attacked.issuer,
        audience=attacked.document_url,
        es256=first,
        second_es256=second,
        rs256=stolen["RS256"][0],
        eddsa=stolen["EdDSA"][0],
        own=IssuerKey.generate("ES256", kid="forged"),
    )


@pytest.fixture(scope="module")
async def client(attacked: System, forger: Forger) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a resource server that knows all four keys."""
    async with http_client(base_url=attacked.resource_base) as client:
        for key in (forger.es256, forger.eddsa, forger.rs256, forger.second_es256):
            response = await get(client, key.token(forger.claims()))
            assert response.status_code == 200, (key.algorithm, response.text)
        yield client


def _algorithm(header_segment: bytes) -> str:
    algorithm: str = json.loads(unbase64url(header_segment.decode()))["alg"]
    return algorithm


async def get(client: httpx.AsyncClient, token: str) -> httpx.Response:
    """Ask for the protected document."""
    return await client.get("/api_v0.0.1", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("forgery", "reason"), FORGERIES.values(), ids=FORGERIES)
async def test_forged_token_opens_nothing(
    attacked: System, client: httpx.AsyncClient, forger: Forger, forgery: Forgery, reason: str
) -> None:
    """A forged token gets 401 and our challenge, the log knows why, and a good token beside it still opens."""
    response = await get(client, forgery(forger))
    assert response.status_code == 401, response.text
    assert response.json()["error"] == "invalid_token"
    assert response.headers["www-authenticate"] == CHALLENGE.format(attacked.resource_base)
    line = attacked.log.of(response)
    assert reason in line["reason"]
    assert len(line["reason"]) < 120
    assert line["reason"].isascii()
    assert (await get(client, forger.good())).content == DOCUMENT
