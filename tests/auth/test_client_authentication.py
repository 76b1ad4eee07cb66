"""Who is asking: RFC 6749 §2.3 and §2.3.1."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from auth_service import client_secrets
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, System


def basic(raw: str | bytes) -> str:
    """An Authorization header around ``raw``, whatever it is."""
    data = raw.encode() if isinstance(raw, str) else raw
    return "Basic " + base64.b64encode(data).decode()


NATIVE = client_secrets.generate().value

FAILED: list[tuple[str, str]] = [
    ("unknown client", basic(f"nobody:{NATIVE}")),
    ("wrong secret", basic(f"CLIENT:{NATIVE}")),
    ("secret of no known form", basic("CLIENT:password")),
    ("empty secret", basic("CLIENT:")),
    ("empty client", basic(f":{NATIVE}")),
    ("mistyped secret", basic("CLIENT:SECRETx")),
    ("truncated secret", basic("CLIENT:SECRE-")),
    ("another scheme", "Bearer abc"),
    ("scheme alone", "Digest"),
    ("empty header", ""),
]


@pytest.mark.parametrize("header", [f[1] for f in FAILED], ids=[f[0] for f in FAILED])
async def test_failed_authentication(auth: httpx.AsyncClient, system: System, header: str) -> None:
    """§5.2: every failure is 401 with a Basic challenge, and all look alike."""
    if header.startswith("Basic "):
        decoded = base64.b64decode(header[6:]).decode()
        secret = system.client.secret
        decoded = decoded.replace("CLIENT", system.client.client_id)
        decoded = decoded.replace("SECRE-", secret[:-1]).replace("SECRET", secret)
        header = basic(decoded)
    response = await auth.post("/token", data=GRANT, headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json() == {
        "error": "invalid_client",
        "error_description": "Client authentication failed.",
    }
    assert response.headers["www-authenticate"].startswith('Basic realm="token"')


MALFORMED: list[tuple[str, str]] = [
    ("not base64", "Basic !!!"),
    ("base64 without padding", "Basic YTpi Yw"),
    ("url-safe base64", "Basic " + base64.urlsafe_b64encode(b"\xfb\xff:b").decode()),
    ("no colon", basic("abc")),
    ("bytes outside ASCII", basic(b"\xff\xfe:secret")),
    ("NUL in the client id", basic("a%00b:secret")),
    ("NUL in the secret", basic("a:s%00")),
    ("newline in the client id", basic("a%0Ab:secret")),
    ("encoded bytes outside ASCII", basic("caf%C3%A9:secret")),
    ("client id too long", basic("a" * 256 + ":secret")),
    ("secret too long", basic("a:" + "s" * 1025)),
    ("only the scheme", "Basic"),
]


@pytest.mark.parametrize("header", [m[1] for m in MALFORMED], ids=[m[0] for m in MALFORMED])
async def test_malformed_basic(auth: httpx.AsyncClient, header: str) -> None:
    """A header that is no Basic credential is refused before anything is looked up."""
    response = await auth.post("/token", data=GRANT, headers={"Authorization": header})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_two_authorization_headers(auth: httpx.AsyncClient, system: System) -> None:
    """Two identities in one request are none."""
    header = basic(f"{system.client.client_id}:{system.client.secret}")
    response = await auth.post(
        "/token", data=GRANT, headers=[("Authorization", header), ("Authorization", header)]
    )
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
async def test_scheme_is_case_insensitive(auth: httpx.AsyncClient, system: System, scheme: str) -> None:
    """RFC 9110 §11.1: schemes have no case."""
    credentials = basic(f"{system.client.client_id}:{system.client.secret}").removeprefix("Basic")
    response = await auth.post("/token", data=GRANT, headers={"Authorization": scheme + credentials})
    assert response.status_code == 200


async def test_both_halves_are_form_decoded(start_system: Any) -> None:
    """§2.3.1: an id with a space, a colon and a percent sign arrives as it was registered."""
    system: System = await start_system()
    odd = await system.register("Odd", client_id="a b:c%d+e")
    async with http_client() as http:
        header = basic(f"a+b%3Ac%25d%2Be:{odd.secret}")
        response = await http.post(system.token_url, data=GRANT, headers={"Authorization": header})
    assert response.status_code == 200
    payload = response.json()["access_token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["client_id"] == "a b:c%d+e"


@pytest.mark.parametrize("half", ["client_id", "client_secret"])
async def test_half_a_credential_in_the_body(auth: httpx.AsyncClient, system: System, half: str) -> None:
    """An id without a secret, or a secret without an id, proves nothing."""
    value = system.client.client_id if half == "client_id" else system.client.secret
    response = await auth.post("/token", data={**GRANT, half: value})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_secret_in_the_uri_is_refused(auth: httpx.AsyncClient, system: System) -> None:
    """§2.3.1: never in the URI, and the owner is told that the secret is burnt."""
    query = {**GRANT, "client_id": system.client.client_id, "client_secret": system.client.secret}
    response = await auth.post("/token", params=query, data=GRANT)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert "Rotate" in response.json()["error_description"]
    assert system.client.secret not in system.log.text


async def test_new_secret_works_at_once(start_system: Any) -> None:
    """A secret that was added after the client was cached is looked up before it is refused."""
    system: System = await start_system(cache_max_age_seconds=300)
    async with http_client() as http:
        await http.post(system.token_url, data=GRANT, auth=system.client.basic)
        fresh = client_secrets.generate()
        await system.as_owner(
            lambda c: c.execute(
                "INSERT INTO client_secrets (client_id, secret_id, hash) VALUES ($1, $2, $3)",
                system.client.client_id,
                fresh.secret_id,
                client_secrets.hash_secret(fresh.value),
            )
        )
        response = await http.post(system.token_url, data=GRANT, auth=(system.client.client_id, fresh.value))
    assert response.status_code == 200


async def test_expired_secret_is_refused(start_system: Any) -> None:
    """A secret ends at its moment, also when the client is cached."""
    system: System = await start_system(cache_max_age_seconds=300)
    now = system.auth_process.clock()
    await system.as_owner(
        lambda c: c.execute("UPDATE client_secrets SET expires_at = to_timestamp($1)", now + 60)
    )
    async with http_client() as http:
        before = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
        system.auth_process.clock = lambda: now + 61
        after = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
    assert (before.status_code, after.status_code) == (200, 401)


async def test_secret_of_another_client(start_system: Any) -> None:
    """A good secret opens its own client only."""
    system: System = await start_system()
    other = await system.register("Other")
    async with http_client() as http:
        response = await http.post(system.token_url, data=GRANT, auth=(system.client.client_id, other.secret))
    assert response.status_code == 401


async def test_removed_client_is_out_within_the_cache_age(start_system: Any) -> None:
    """A deleted client keeps its cached life for ``AUTH_CACHE_MAX_AGE_SECONDS`` and not a moment longer."""
    system: System = await start_system(cache_max_age_seconds=0)
    async with http_client() as http:
        before = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
        await system.as_owner(lambda c: c.execute("DELETE FROM clients"))
        after = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
    assert (before.status_code, after.status_code) == (200, 401)


async def test_registry_keeps_no_more_than_its_size(start_system: Any) -> None:
    """However many clients ask, one process keeps ``AUTH_CACHE_SIZE`` of them; the others are read again."""
    system: System = await start_system(cache_max_age_seconds=300, cache_size=2)
    clients = [system.client, *[await system.register(f"Client {number}") for number in range(3)]]
    async with http_client() as http:
        for client in clients:
            response = await http.post(system.token_url, data=GRANT, auth=client.basic)
            assert response.status_code == 200
    registry = system.auth_process.registry
    kept = [client for client in clients if registry.cached(client.client_id) is not None]
    assert kept == clients[-2:]


async def test_warm_client_costs_no_query(start_system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second token of a client is made without the database; the first by one query."""
    system: System = await start_system(cache_max_age_seconds=300)
    await system.heard()
    loads = []
    load = system.auth_process.registry.load

    async def counted(client_id: str) -> Any:
        loads.append(client_id)
        return await load(client_id)

    monkeypatch.setattr(system.auth_process.registry, "load", counted)
    async with http_client() as http:
        for _ in range(3):
            response = await http.post(
                system.token_url, data={**GRANT, "resource": RESOURCE}, auth=system.client.basic
            )
            assert response.status_code == 200
    assert loads == [system.client.client_id]
