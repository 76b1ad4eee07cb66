"""A database URL that names several hosts: those that are down, hang or are of another kind are passed over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import orjson
import pytest
from pydantic import SecretStr

from steelcut.service.database.connecting import connect, database_of
from steelcut.service.database.hosts import connect_to_one
from steelcut.service.database.listen import listening
from steelcut.service.database.migrations import role_of
from steelcut.service.database.postgres import Database
from steelcut.service.database_urls import one_by_one
from steelcut.service.refusal import Refusal
from steelcut.service.settings import check_database_url
from steelcut.service.telemetry.logs import make_logger
from tests.support.databases import Databases, port_of, with_port
from tests.support.replicas import auth_replicas
from tests.support.system import Log, System
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until

NO_TLS: Final = b"N"
READ_WRITE: Final = "target_session_attrs=read-write"


def with_hosts_before(url: str, *ports: int, query: str = READ_WRITE) -> str:
    """Name hosts of this machine before the one of ``url``."""
    head, at, tail = url.rpartition("@")
    return f"{head}{at}{''.join(f'127.0.0.1:{port},' for port in ports)}{tail}?{query}"


SAID_BY_STANDBY: Final = (
    (b"R", struct.pack("!i", 0)),
    (b"S", b"server_version\x0018.0\0"),
    (b"S", b"in_hot_standby\0on\0"),
    (b"S", b"default_transaction_read_only\0off\0"),
    (b"K", struct.pack("!ii", 1, 1)),
    (b"Z", b"I"),
)
SAID_AT_START: Final = ((b"E", b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"),)


@contextlib.asynccontextmanager
async def host(kind: str) -> AsyncIterator[int]:
    """Have a host that cannot be used, for the length of the block; gives its port.

    ``down`` refuses connections, at ``silent`` the system accepts them and nobody ever answers, ``starting`` says so,
    ``standby`` says what a hot standby does when a session begins.
    """
    if kind == "down":
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            yield taken.getsockname()[1]
    elif kind == "silent":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener.getsockname()[1]
    else:
        said = SAID_BY_STANDBY if kind == "standby" else SAID_AT_START
        async with server_that_says([_message(*each) for each in said]) as port:
            yield port


@pytest.fixture
async def down() -> AsyncIterator[int]:
    """The port of a host whose PostgreSQL is down."""
    async with host("down") as port:
        yield port


@pytest.fixture
async def standby() -> AsyncIterator[int]:
    """The port of a host that is a standby, as far as it is asked."""
    async with host("standby") as port:
        yield port


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", 4 + len(content)) + content


@contextlib.asynccontextmanager
async def server_that_says(messages: list[bytes]) -> AsyncIterator[int]:
    """Answer each session of PostgreSQL's protocol with ``messages``, after refusing TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            for reply in (NO_TLS, b"".join(messages)):
                (length,) = struct.unpack("!i", await reader.readexactly(4))
                await reader.readexactly(length - 4)
                writer.write(reply)
                await writer.drain()
            await reader.read()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("kind", ["down", "silent", "starting", "standby"])
async def test_pool_and_listener_use_the_host_that_serves(kind: str, databases: Databases) -> None:
    """Whatever the first host does, statements and notifications come from the second, within the time of one."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    began = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        url = with_hosts_before(databases.resource.runtime, await stack.enter_async_context(host(kind)))
        database = await Database.open(url, application="test", pool_size=2, wait_seconds=0.5)
        stack.push_async_callback(database.close)
        log = make_logger("test", "json", Log().stream)
        listens = listening(url, {"news": heard.put_nowait}, missed=began.set, log=log)
        await stack.enter_async_context(listens)
        await asyncio.wait_for(began.wait(), 3)
        async with database.connection() as connection:
            await connection.execute("SELECT pg_notify('news', 'heard')")
        assert await asyncio.wait_for(heard.get(), 3) == "heard"


async def test_silent_host_is_not_waited_for(databases: Databases) -> None:
    """While a host that is gone may yet answer, the next one is asked beside it."""
    async with host("silent") as silent:
        url = with_hosts_before(databases.auth.runtime, silent)
        async with asyncio.timeout(3):
            connection = await connect_to_one(url, timeout=60)
    await connection.close()


async def test_service_with_a_dead_first_host(down: int, system: System) -> None:
    """A whole auth service is ready, and issues a token."""
    url = with_hosts_before(system.databases.auth.runtime, down)
    async with auth_replicas(
        system.databases, system.master_key, 1, AUTH_DATABASE_URL=url, AUTH_ISSUER=system.issuer
    ) as [service]:
        status, answer = await service.ask(await system.register("Asks past a dead host"))
        assert status == 200
        assert answer["access_token"]


async def test_administration_with_a_dead_first_host(down: int, databases: Databases) -> None:
    """A command connects too, as the role that the URL names."""
    connection = await connect(with_hosts_before(databases.auth_admin, down))
    try:
        assert await connection.fetchval("SELECT current_user") == "auth_admin"
    finally:
        await connection.close()


async def test_only_standbys_are_left(standby: int, databases: Databases) -> None:
    """The start waits, then names the reason in a sentence; so does a command."""
    url = one_by_one(with_hosts_before(databases.auth.runtime, standby))[0]
    with pytest.raises(Refusal, match=r"No host .* of the test was what its target_session_attrs asks for"):
        await Database.open(url, application="test", pool_size=1, wait_seconds=0.2)
    with pytest.raises(
        Refusal, match="No host in the database URL is what its target_session_attrs asks for"
    ):
        await connect(url)


async def test_listener_outlives_a_time_without_a_primary(standby: int, databases: Databases) -> None:
    """A listener that found standbys alone, as in a failover, hears again once there is a primary."""
    url = databases.resource.runtime
    log = Log()
    began = asyncio.Event()

    async def warned() -> bool:
        return bool(log.text)

    # A virtual address of the cluster.
    async with (
        TcpProxy.before(standby) as proxy,
        listening(
            with_port(url, proxy.port),
            {"news": lambda _: None},
            missed=began.set,
            log=make_logger("test", "json", log.stream),
        ),
    ):
        await until(warned, 3)
        proxy.leads_to = port_of(url)
        await asyncio.wait_for(began.wait(), 3)
    reasons = {orjson.loads(line)["reason"] for line in log.text.splitlines()}
    assert reasons == {"TargetServerAttributeNotMatched"}


async def test_listener_that_cannot_use_its_url_says_so() -> None:
    """Nobody would notice otherwise that changes are not heard of: services work on, by what they know."""
    log = Log()

    async def warned_twice() -> bool:
        return len(log.text.splitlines()) > 1

    url = "postgresql://u:secret-word@a..b/d"
    stream = make_logger("test", "json", log.stream)
    async with listening(url, {"news": lambda _: None}, missed=lambda: None, log=stream):
        await until(warned_twice, 3)
    assert {orjson.loads(line)["reason"] for line in log.text.splitlines()} == {"UnicodeError"}
    assert "secret-word" not in log.text


async def test_command_at_a_server_that_is_starting() -> None:
    """It says that there is nothing to mend, only to wait."""
    async with host("starting") as port:
        with pytest.raises(Refusal, match="PostgreSQL is starting, stopping or recovering"):
            await connect(f"postgresql://u:p@127.0.0.1:{port}/d")


@pytest.mark.parametrize("attributes", ["any", "primary", "read-write", "prefer-standby"])
async def test_primary_serves_who_does_not_insist_on_another(
    attributes: str, down: int, databases: Databases
) -> None:
    """It is reached behind a dead host, and as the last resort of those who prefer a standby."""
    url = with_hosts_before(databases.auth.runtime, down, query=f"target_session_attrs={attributes}")
    connection = await connect_to_one(url, timeout=2)
    try:
        assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()


@pytest.mark.parametrize("attributes", ["standby", "read-only"])
async def test_primary_is_not_taken_for_a_standby(attributes: str, databases: Databases) -> None:
    """Where no host is what is asked for, the last one says so."""
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect_to_one(f"{databases.auth.runtime}?target_session_attrs={attributes}", timeout=2)


async def test_standby_is_preferred_wherever_it_stands(standby: int, databases: Databases) -> None:
    """Readers that can do with a standby leave the primary alone."""
    place, _, database = databases.auth.runtime.rpartition("/")
    url = f"{place},127.0.0.1:{standby}/{database}?target_session_attrs=prefer-standby"
    connection = await connect_to_one(url, timeout=2)
    try:
        assert connection.get_settings().in_hot_standby == "on"
    finally:
        connection.terminate()


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://u:p@a:1/db", ["postgresql://u:p@a:1/db"]),
        ("postgresql://u:p@a:1,b/db?x=a,b", ["postgresql://u:p@a:1/db?x=a,b", "postgresql://u:p@b/db?x=a,b"]),
        ("postgresql://p,[::1]:2/db", ["postgresql://p/db", "postgresql://[::1]:2/db"]),
        ("postgresql:///db?host=/run", ["postgresql:///db?host=/run"]),
    ],
    ids=["one", "two", "without-credentials", "socket"],
)
def test_url_of_each_host(url: str, each: list[str]) -> None:
    """All else of the URL stays as it is."""
    assert one_by_one(url) == each


def test_any_of_several_hosts_may_be_an_ipv6_address() -> None:
    """Whichever it is, the URL is accepted and says of which database and role it is."""
    url = "postgresql://role:secret@db.example.com,[::1]:5433/name"
    assert check_database_url(SecretStr(url)).get_secret_value() == url
    assert (database_of(url), role_of(url)) == ("name", ("role", "secret"))


def test_port_of_any_of_several_hosts_is_looked_at() -> None:
    """Not that of the first alone."""
    with pytest.raises(ValueError, match="a port is no number"):
        check_database_url(SecretStr("postgresql://role:secret@db.example.com,[::1]:0/name"))
