"""The start of a service: what ends it, and what is said when it cannot be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from resource_service.settings import ResourceSettings
from steelcut.service.database.postgres import Database
from steelcut.service.process.workers import bind
from steelcut.service.refusal import Refusal
from tests.support.databases import Databases
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.slow

SECONDS = 60.0
# Nobody listens at port 1.
NOWHERE = "postgresql://a:b@127.0.0.1:1/x"
SETTINGS = {
    "AUTH_DATABASE_URL": NOWHERE,
    "AUTH_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
    "AUTH_PORT": "0",
    "RESOURCE_DATABASE_URL": NOWHERE,
    "RESOURCE_PORT": "0",
}


@contextlib.asynccontextmanager
async def starting(
    service: str, *arguments: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a service, in a process group of its own as a shell does, and end it in any case."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", service, *arguments),
        env={**os.environ, **SETTINGS, **variables},
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize(
    ("service", "workers", "number"),
    [
        ("auth_service", 1, signal.SIGINT),
        ("resource_service", 1, signal.SIGTERM),
        ("auth_service", 2, signal.SIGTERM),
        ("resource_service", 2, signal.SIGINT),
    ],
)
async def test_start_that_waits_for_its_database_ends_at_a_signal(
    service: str, workers: int, number: signal.Signals
) -> None:
    """At once, with status 0 as a service that serves, and without a word of it."""
    async with starting(service, f"--workers={workers}") as process, asyncio.timeout(SECONDS):
        assert process.stdout is not None
        waiting = 0
        while waiting < workers:
            waiting += b"Waiting for application startup" in await process.stdout.readline()
        # As Ctrl-C does it: to all of them. SIGTERM is for the one that an orchestrator knows.
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
        said = await process.stdout.read()
        assert await process.wait() == 0
    assert b'"error"' not in said
    assert b"Traceback" not in said
    assert b"retry" not in said


@pytest.mark.parametrize("workers", [1, 2])
async def test_port_that_is_taken_is_a_sentence_before_anything_is_begun(workers: int) -> None:
    """It names both settings; nothing waits for the database first, and no worker is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with starting("auth_service", f"--workers={workers}", AUTH_PORT=port) as process:
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    (line,) = said.splitlines()
    assert process.returncode == 3
    assert json.loads(line)["event"] == (
        f"AUTH_PORT {port} on AUTH_HOST 127.0.0.1 is taken: end the process that has it, or set another one."
    )


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "RESOURCE_PORT 18225 on RESOURCE_HOST 192.0.2.1 cannot be had: "),
        ("a.invalid", "RESOURCE_HOST a.invalid is no address of this machine, and no name of one."),
        (f"{'a' * 64}.invalid", f"RESOURCE_HOST {'a' * 64}.invalid is no address of this machine,"),
    ],
)
def test_host_that_cannot_be_listened_on_is_a_sentence(
    host: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An address of another machine, a name that is none, and one that no name can be."""
    settings = ResourceSettings(database_url=SecretStr(NOWHERE), host=host, port=18225)
    with pytest.raises(SystemExit) as end:
        bind(settings, only_ipv6=True)
    assert end.value.code == 3
    (message,) = caplog.messages
    assert message.startswith(said)


async def test_port_that_another_start_took_meanwhile_is_the_same_sentence(databases: Databases) -> None:
    """Two that are started at once both bind, and one of them listens."""
    database = urlsplit(databases.resource.runtime)
    assert database.port is not None
    async with TcpProxy.before(database.port) as proxy, asyncio.timeout(SECONDS):
        proxy.cut()
        with socket.socket() as quicker:
            quicker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            quicker.bind(("127.0.0.1", 0))
            port = str(quicker.getsockname()[1])
            url = databases.resource.runtime.replace(f":{database.port}/", f":{proxy.port}/")
            variables = {"RESOURCE_PORT": port, "RESOURCE_DATABASE_URL": url}
            async with starting("resource_service", **variables) as process:
                assert process.stdout is not None
                while b"Waiting for application startup" not in await process.stdout.readline():
                    pass
                quicker.listen()
                proxy.resume()
                said = await process.stdout.read()
                assert await process.wait() == 3
    assert f"RESOURCE_PORT {port} on RESOURCE_HOST 127.0.0.1 is taken".encode() in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("?foo=bar", "does not take the parameter foo of the database URL of the resource service"),
        ("?sslmode=verify-full", "Set sslrootcert in the database URL of the resource service"),
        (
            "?sslmode=require",
            "speaks no TLS, which sslmode in the database URL of the resource service asks for",
        ),
    ],
)
async def test_options_that_cannot_be_met_are_a_sentence(
    options: str, said: str, databases: Databases
) -> None:
    """It says what to change, and in which URL."""
    with pytest.raises(Refusal, match=re.escape(said)) as refused:
        await Database.open(
            f"{databases.resource.runtime}{options}",
            application="resource service",
            pool_size=1,
            wait_seconds=0.1,
        )
    assert "-password" not in str(refused.value)


async def test_administrator_that_is_the_run_time_role_is_refused(databases: Databases) -> None:
    """At the start, as a publisher is that may not publish: not with the first change."""
    url = databases.auth.runtime
    variables = {"AUTH_DATABASE_URL": url, "AUTH_ADMIN_DATABASE_URL": url}
    async with starting("auth_service", **variables) as process:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 3
    assert b"The role of AUTH_ADMIN_DATABASE_URL may not administer" in said


async def test_authorities_that_cannot_be_read_are_a_sentence(databases: Databases) -> None:
    """By the variable and the file, before a key is fetched in vain."""
    variables = {"RESOURCE_DATABASE_URL": databases.resource.runtime, "SSL_CERT_FILE": "/nowhere.pem"}
    async with starting("resource_service", **variables) as process:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 3
    assert b"SSL_CERT_FILE=/nowhere.pem cannot be read: No such file or directory." in said
    assert b"Traceback" not in said
