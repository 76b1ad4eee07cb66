"""``examples/proxies/nginx-tls.conf`` before an auth service that speaks plain HTTP: TLS for those outside."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.lifecycle.key_operator import new_master_key
from tests.proxy import nginx
from tests.support.certificates import Authority
from tests.support.databases import Databases
from tests.support.plain_http import http_client
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import GRANT, Registered, as_owner, listen, seed
from tests.support.waiting import until
from tools.programs import Program

EXAMPLE = Path(__file__).parents[2] / "examples" / "proxies" / "nginx-tls.conf"
FORGED = "203.0.113.9"


@dataclass(frozen=True)
class Fronted:
    """An auth service behind nginx, and who asks there."""

    issuer: str
    replica: Replica
    client: Registered
    authority: Authority
    databases: Databases


@pytest.fixture
async def fronted(databases: Databases, nginx_program: Program, tmp_path: Path) -> AsyncIterator[Fronted]:
    """The example with other addresses and a certificate of the test's."""
    authority = Authority.new(tmp_path)
    certificate, key = authority.certify(tmp_path / "tls")
    master_key = new_master_key()
    client = await seed(databases, "https://api.example.com", master_key)
    listener = listen()
    issuer = f"https://{nginx.address(listener)}"
    options = {"AUTH_ISSUER": issuer, "AUTH_TRUSTED_PROXIES": "127.0.0.1"}
    async with auth_replicas(databases, master_key, 1, **options) as (replica,):
        text = EXAMPLE.read_text(encoding="utf-8")
        for written, wanted in (
            ("listen 443 ssl;", f"listen {nginx.address(listener)} ssl;"),
            ("server 127.0.0.1:8000 ", f"server {replica.url.removeprefix('http://')} "),
            ("/etc/nginx/tls/auth.pem", str(certificate)),
            ("/etc/nginx/tls/auth.key", str(key)),
        ):
            assert text.count(written) == 1, written
            text = text.replace(written, wanted)
        with listener, nginx.running(nginx_program, tmp_path, listener, text):
            yield Fronted(issuer, replica, client, authority, databases)


async def test_clients_come_by_tls_and_see_one_service(fronted: Fronted) -> None:
    """Tokens, metadata under the public name, each field once, and no address that a caller invents."""
    forged = {"X-Forwarded-For": FORGED, "Forwarded": f"for={FORGED}"}
    async with http_client(
        base_url=fronted.issuer, verify=fronted.authority.trusted(), headers=forged, timeout=10
    ) as http:
        token = await http.post("/token", data=GRANT, auth=fronted.client.basic)
        metadata = await http.get("/.well-known/oauth-authorization-server")
        large = await http.post("/token", content=b"a" * 70_000)
    assert token.status_code == 200
    assert metadata.json()["token_endpoint"] == f"{fronted.issuer}/token"
    assert large.status_code == 413
    for name in ("strict-transport-security", "content-security-policy", "x-content-type-options"):
        assert len(token.headers.get_list(name)) == 1, name
    assert "max-age" in token.headers["strict-transport-security"]

    async def noted() -> list[str]:
        events = await as_owner(
            fronted.databases.auth.owner,
            lambda c: c.fetch(
                "SELECT to_jsonb(e)::text AS text FROM audit_events e WHERE action = 'token.issue'"
            ),
        )
        return [event["text"] for event in events]

    await until(noted, 10)
    (event,) = await noted()
    assert "127.0.0.1" in event
    assert FORGED not in event


async def test_nothing_older_than_tls_1_2(fronted: Fronted) -> None:
    """And nothing plain: nginx says that it wants TLS, and hands nothing on."""
    old = fronted.authority.trusted()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = fronted.issuer.removeprefix("https://").partition(":")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(host, int(port), ssl=old)
    async with http_client() as stranger:
        plain = await stranger.post(
            f"{fronted.issuer.replace('https:', 'http:')}/token", data=GRANT, auth=fronted.client.basic
        )
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(f"{fronted.issuer}/healthz")
    assert plain.status_code == 400
    assert "x-trace-id" not in plain.headers
