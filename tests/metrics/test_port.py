"""Where metrics are to be had: on a port of their own, one for each process, and nowhere else."""

from __future__ import annotations

import contextlib
import resource
import secrets
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import httpx
import orjson
import pytest
from pydantic import SecretStr

from resource_service.settings import ResourceSettings
from steelcut.service.telemetry import exposition
from steelcut.service.telemetry.logs import make_logger
from tests.conftest import StartSystem
from tests.metrics.scrape import SERVED, ports, scrape
from tests.support.databases import Databases
from tests.support.plain_http import http_client
from tests.support.replicas import auth_replicas
from tests.support.system import Log, System, seed
from tests.support.waiting import until


def free_ports() -> int:
    """Return a port that is free, as the one after it is.

    Below those that the system gives to whoever asks for any: until the service has these two, another test would be
    given one of them now and then.
    """
    for _ in range(100):
        port = 20_000 + 2 * secrets.randbelow(6_000)
        with closing(socket.socket()) as one, closing(socket.socket()) as next_one:
            try:
                one.bind(("127.0.0.1", port))
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports beside each other")


async def test_nothing_is_told_without_a_port(system: System, auth: httpx.AsyncClient) -> None:
    """Nor on the port that clients see."""
    assert SERVED not in system.log.text
    assert (await auth.get("/metrics")).status_code == 404


async def test_not_on_the_port_of_the_service(start_system: StartSystem) -> None:
    """A caller who may ask for tokens may not look at the numbers."""
    system: System = await start_system(metrics_port=0)  # type: ignore[misc]
    async with http_client() as http:
        assert (await http.get(f"{system.issuer}/metrics")).status_code == 404


MASTER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


@pytest.mark.slow
async def test_workers_take_ports_beside_each_other(databases: Databases) -> None:
    """What all of them tell together is what happened."""
    client = await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    port = free_ports()
    environment = {"AUTH_WORKERS": "2", "AUTH_METRICS_PORT": str(port)}
    async with auth_replicas(databases, MASTER_KEY, 1, **environment) as (replica,):

        async def both() -> bool:
            return all([await _answers(port), await _answers(port + 1)])

        await until(both, 20)
        statuses = [(await replica.ask(client))[0] for _ in range(12)]
        assert statuses == [200] * 12
        told = [await scrape(port), await scrape(port + 1)]
        assert sum(each.sum("steelcut_http_requests_total", route="token") for each in told) == 12


@pytest.mark.slow
async def test_workers_that_are_replaced_keep_the_ports(databases: Databases) -> None:
    """SIGHUP starts the new one before it ends the old one, which still has its port."""
    await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    port = free_ports()
    environment = {"AUTH_WORKERS": "2", "AUTH_METRICS_PORT": str(port)}
    async with auth_replicas(databases, MASTER_KEY, 1, **environment) as (replica,):
        await until(lambda: _both_since(port, 0), 20)
        began = max([await _began(port), await _began(port + 1)])
        asked = -1

        async def replaced() -> bool:
            nonlocal asked
            # A machine that is busy takes longer than the 5 s that uvicorn gives a new one: then once more.
            given_up = replica.said().count("aborting the restart")
            if given_up > asked:
                asked = given_up
                replica.process.send_signal(signal.SIGHUP)
            return await _both_since(port, began)

        await until(replaced, 60)


async def _both_since(port: int, moment: float) -> bool:
    """Say whether both ports are those of processes that began after ``moment``, in Unix time."""
    try:
        return all([await _began(port) > moment, await _began(port + 1) > moment])
    except httpx.TransportError:
        return False


async def _began(port: int) -> float:
    return (await scrape(port)).sum("process_start_time_seconds")


async def _answers(port: int) -> bool:
    try:
        await scrape(port)
    except httpx.TransportError:
        return False
    return True


async def test_taken_port_is_a_sentence(databases: Databases) -> None:
    """The service does not start without what it was asked to tell."""
    await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(ExceptionGroup) as refused:
            async with auth_replicas(databases, MASTER_KEY, 1, AUTH_METRICS_PORT=port):
                pass
    assert f"Metrics cannot be served: the port {port} of 127.0.0.1 is taken." in str(
        refused.value.exceptions[0]
    )


async def test_fault_on_the_way_to_a_port_is_told_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that waits for a port and has no file descriptor left says so, and waits on."""
    monkeypatch.setattr(exposition, "_WAIT_SECONDS", 0.05)
    port, log = free_ports(), Log()
    settings = ResourceSettings(
        database_url=SecretStr("postgresql://u:p@127.0.0.1/d"), metrics_port=port, workers=2
    )
    logger = make_logger("test", "json", log.stream)

    async def told() -> bool:
        return "Too many open files" in log.text

    async def answers() -> bool:
        return await _answers(port)

    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(closing(socket.create_server(("127.0.0.1", port + n)))) for n in (0, 1)]
        stack.enter_context(exposition.exposed(settings, "test", lambda: iter(()), logger))
        assert "all are taken" in log.text
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            await until(told, 10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        taken[0].close()
        await until(answers, 10)
    assert log.text.count("Too many open files") == 1


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Metrics without a service, whose callers may be silent for 0.2 s; gives the port."""
    monkeypatch.setattr(exposition, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(exposition, "MAX_CALLERS", 3)
    settings = ResourceSettings(database_url=SecretStr("postgresql://u:p@127.0.0.1/d"), metrics_port=0)
    log = Log()
    with exposition.exposed(settings, "test", lambda: iter(()), make_logger("test", "json", log.stream)):
        yield orjson.loads(log.text)["port"]


def test_silent_caller_is_not_waited_for(alone: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Each takes a thread; and of what strangers do on the port the log has no tracebacks."""
    with closing(socket.create_connection(("127.0.0.1", alone), 10)) as caller:
        caller.sendall(b"GET /metrics HTTP/1.1\r\n")
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with closing(socket.create_connection(("127.0.0.1", alone), 10)) as caller:
        caller.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert caller.recv(1) == b""
    assert capfd.readouterr().err == ""


def test_callers_at_once_are_bounded(alone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may be is hung up on at once; whoever comes later is told."""
    monkeypatch.setattr(exposition, "SILENT_SECONDS", 60)
    callers = [socket.create_connection(("127.0.0.1", alone), 10) for _ in range(4)]
    assert callers[3].recv(1) == b""
    for caller in callers:
        caller.close()
    # Their threads have an end to see first.
    for _ in range(100):
        with closing(socket.create_connection(("127.0.0.1", alone), 10)) as caller:
            caller.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                if caller.recv(12) == b"HTTP/1.0 200":
                    return
    raise AssertionError("nobody is told any more")


async def test_stuck_process_still_tells(start_system: StartSystem) -> None:
    """The numbers of a process whose event loop is stuck are those that one wants."""
    system: System = await start_system(metrics_port=0)  # type: ignore[misc]
    port = ports(system.log)["auth_service"]
    with closing(socket.create_connection(("127.0.0.1", port))) as caller:
        caller.settimeout(10)
        # Blocking, on the event loop of the service itself.
        caller.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert caller.recv(12) == b"HTTP/1.0 200"
