"""TLS in the services themselves, by their settings: real processes, and clients that verify."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from steelcut.service.process.tls import Tls
from tests.cli import terminal
from tests.support.certificates import Authority
from tests.support.databases import Databases, Templates
from tests.support.plain_http import http_client
from tests.support.processes import workers_of
from tests.support.replicas import Replica, free_port, running
from tests.support.system import DOCUMENT, RESOURCE, Registered, seed
from tests.support.waiting import until

pytestmark = pytest.mark.slow

PASSWORD = "what opens the key"


@dataclass(frozen=True)
class Served:
    """Both services over TLS, and a client of theirs."""

    auth: Replica
    resource: Replica
    client: Registered

    def said(self) -> str:
        """Return what both wrote so far."""
        return self.auth.said() + self.resource.said()


@pytest.fixture(scope="module")
async def served(
    templates: Templates, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """Both, for all tests that only look."""
    databases = await templates.clone()
    async with serving_both(databases, authority, tmp_path_factory.mktemp("served")) as both:
        yield both
    await templates.drop(databases)


@pytest.fixture
async def alone(databases: Databases, authority: Authority, tmp_path: Path) -> AsyncIterator[Served]:
    """Both, for a test that changes something; the files of the auth service are in its own ``auth``."""
    async with serving_both(databases, authority, tmp_path) as both:
        yield both


@contextlib.asynccontextmanager
async def serving_both(databases: Databases, authority: Authority, folder: Path) -> AsyncIterator[Served]:
    """Run both, seen by who trusts their authority; the auth service has two workers and an encrypted key."""
    auth_port, resource_port = str(free_port()), str(free_port())
    issuer, base = f"https://127.0.0.1:{auth_port}", f"https://127.0.0.1:{resource_port}"
    master_key = base64.b64encode(secrets.token_bytes(32)).decode()
    client = await seed(databases, base, master_key)
    certificate, key = authority.certify(folder / "auth", PASSWORD)
    (folder / "password").write_text(PASSWORD + "\n")
    auth = {
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_MASTER_KEY": master_key,
        "AUTH_ISSUER": issuer,
        "AUTH_PORT": auth_port,
        "AUTH_WORKERS": "2",
        "AUTH_TLS_CERTIFICATE_FILE": str(certificate),
        "AUTH_TLS_KEY_FILE": str(key),
        "AUTH_TLS_KEY_PASSWORD_FILE": str(folder / "password"),
    }
    certificate, key = authority.certify(folder / "resource")
    resource = {
        "RESOURCE_DATABASE_URL": databases.resource.runtime,
        "RESOURCE_ISSUER": issuer,
        "RESOURCE_BASE_URL": base,
        "RESOURCE_PORT": resource_port,
        "RESOURCE_TLS_CERTIFICATE_FILE": str(certificate),
        "RESOURCE_TLS_KEY_FILE": str(key),
        # It asks the issuer for its keys, as a client that verifies.
        "SSL_CERT_FILE": str(authority.file),
    }
    trusted = authority.trusted()
    async with (
        running("auth_service", "auth", auth, trusted) as auth_replica,
        running("resource_service", "resource", resource, trusted) as resource_replica,
    ):
        yield Served(auth_replica, resource_replica, client)


async def serial_of(url: str, authority: Authority) -> str:
    """Return which certificate a service shows to a new connection."""
    host, _, port = url.removeprefix("https://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=authority.trusted())
    shown: dict[str, Any] = writer.get_extra_info("peercert")
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return str(shown["serialNumber"])


async def spoken(url: str, context: ssl.SSLContext) -> str:
    """Return the version of TLS that a service agrees on with ``context``."""
    host, _, port = url.removeprefix("https://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    version = str(writer.get_extra_info("ssl_object").version())
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return version


def refused_while_sending(url: str, context: ssl.SSLContext) -> bytes:
    """Send more than may come, and read the answer only then, as a simple client does; a reset would have lost it."""
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    with (
        socket.create_connection(address, timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=address[0]) as tls,
    ):
        tls.sendall(
            b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\nConnection: close\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        for _ in range(200):
            tls.sendall(b"a" * 16_384)
        return tls.recv(64)


async def test_whole_way_over_tls(served: Served, authority: Authority) -> None:
    """A token, the keys that verify it and the document that it opens; probes; and what is refused while it comes."""
    status, answer = await served.auth.ask(served.client)
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    document = await served.resource.http.get(f"/{RESOURCE}", headers=bearer)
    metadata = (await served.auth.http.get("/.well-known/oauth-authorization-server")).json()
    assert (status, document.status_code, document.content) == (200, 200, DOCUMENT)
    assert metadata["token_endpoint"] == f"{served.auth.url}/token"
    for replica in (served.auth, served.resource):
        ready = await replica.http.get("/readyz")
        assert ready.status_code == 200
        assert ready.headers["strict-transport-security"] == "max-age=31536000"
    answer_to_much = await asyncio.to_thread(refused_while_sending, served.auth.url, authority.trusted())
    assert answer_to_much.startswith(b"HTTP/1.1 413 ")
    assert "Traceback" not in served.said()


@pytest.mark.long
async def test_doctor_by_an_authority_of_ones_own(served: Served, authority: Authority) -> None:
    """`steelcut doctor` goes the whole way as a client that verifies, and so fails where it does not trust."""
    variables = {
        "AUTH_ISSUER": served.auth.url,
        "RESOURCE_BASE_URL": served.resource.url,
        "STEELCUT_CLIENT_ID": served.client.client_id,
        "STEELCUT_CLIENT_SECRET": served.client.secret,
    }
    found = {}
    for trusted in (str(authority.file), ""):
        process = terminal.process("doctor", "--json", env={**variables, "SSL_CERT_FILE": trusted})
        out, _ = await asyncio.to_thread(process.communicate)
        found[trusted] = {finding["check"]: finding for finding in json.loads(out)["findings"]}
    by_ours, by_none = found.values()
    for check in ("issuer metadata", "resource service", "token request", "document request"):
        assert by_ours[check]["state"] == "ok"
    assert by_none["issuer metadata"]["state"] == "failed"
    assert "certificate verify failed" in by_none["issuer metadata"]["found"]


async def test_nothing_but_good_tls(served: Served, authority: Authority) -> None:
    """TLS 1.2 and 1.3, by a certificate that a stranger does not believe; the rest is not answered."""
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = authority.trusted()
        context.minimum_version = context.maximum_version = version
        assert await spoken(served.auth.url, context) == name
    old = authority.trusted()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await spoken(served.auth.url, old)
    async with http_client() as stranger:
        with pytest.raises(httpx.TransportError):
            await stranger.get(f"{served.auth.url.replace('https:', 'http:')}/healthz")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(f"{served.auth.url}/healthz")
    assert (await served.auth.ask(served.client))[0] == 200
    assert "Traceback" not in served.said()


@pytest.mark.long
async def test_renewed_certificate_is_taken_by_new_workers(
    alone: Served, authority: Authority, tmp_path: Path
) -> None:
    """SIGHUP replaces one worker after the other; files that do not fit leave the old ones serving."""
    url, pid = alone.auth.url, alone.auth.process.pid
    workers = workers_of(pid)
    before = await serial_of(url, authority)
    authority.certify(tmp_path / "auth", PASSWORD)
    alone.auth.process.send_signal(signal.SIGHUP)

    async def all_new() -> bool:
        now = workers_of(pid)
        return len(now) == len(workers) and not now & workers

    await until(all_new, 60)
    renewed = await serial_of(url, authority)
    assert renewed != before

    (tmp_path / "auth" / "key.pem").write_text("no key")
    alone.auth.process.send_signal(signal.SIGHUP)

    async def told() -> bool:
        return "holds no private key in PEM" in alone.said()

    await until(told, 60)
    assert await serial_of(url, authority) == renewed
    assert (await alone.auth.ask(alone.client))[0] == 200
    assert "Traceback" not in alone.said()


@pytest.mark.parametrize("password", [None, SecretStr(PASSWORD)])
async def test_renewed_certificate_is_taken_without_a_new_start(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture, password: SecretStr | None
) -> None:
    """By a process that serves: new connections see it, open ones go on, and half of a pair changes nothing."""
    plain = password.get_secret_value() if password else None
    certificate, key = authority.certify(tmp_path / "tls", plain)
    tls = Tls(certificate, key, password, "CERTIFICATE", "KEY", "PASSWORD")
    context = tls()
    renewing = asyncio.create_task(tls.renewing(context, 0.01))

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while line := await reader.readline():
                writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.trusted())
    with caplog.at_level("INFO", "uvicorn.error"):
        before = await serial_of(url, authority)
        other, other_key = authority.certify(tmp_path / "other", plain)

        certificate.write_bytes(other.read_bytes())
        await until(said(caplog, "KEY: the key is not that of the first certificate"), 10)
        assert await serial_of(url, authority) == before

        key.unlink()
        await until(said(caplog, "KEY cannot be read"), 10)
        assert await serial_of(url, authority) == before

        other_key.rename(key)
        await until(said(caplog, "was read anew"), 10)
        assert await serial_of(url, authority) != before
    writer.write(b"still here\n")
    assert await reader.readline() == b"still here\n"
    writer.close()
    renewing.cancel()
    server.close()
    await asyncio.wait({renewing})
    assert renewing.cancelled()
    assert PASSWORD not in caplog.text


async def test_service_takes_its_renewed_certificate(
    databases: Databases, authority: Authority, tmp_path: Path
) -> None:
    """It goes on serving, with the new one, and ends as ever."""
    certificate, key = authority.certify(tmp_path / "tls")
    master_key = base64.b64encode(secrets.token_bytes(32)).decode()
    client = await seed(databases, "https://api.example.com", master_key)
    variables = {
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_MASTER_KEY": master_key,
        "AUTH_ISSUER": "https://auth.example.com",
        "AUTH_TLS_CERTIFICATE_FILE": str(certificate),
        "AUTH_TLS_KEY_FILE": str(key),
    }
    async with running("tests.hardening.renewing", "auth", variables, authority.trusted()) as service:
        before = await serial_of(service.url, authority)
        authority.certify(tmp_path / "tls")

        async def renewed() -> bool:
            return await serial_of(service.url, authority) != before

        await until(renewed, 10)
        assert (await service.ask(client))[0] == 200
        assert "Traceback" not in service.said()
    assert service.process.returncode == 0


def said(caplog: pytest.LogCaptureFixture, words: str) -> Callable[[], Awaitable[bool]]:
    """Return what asks whether the log has these words."""

    async def found() -> bool:
        return words in caplog.text

    return found
