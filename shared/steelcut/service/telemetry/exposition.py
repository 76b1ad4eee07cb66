"""The metrics of a process on a port of its own, which nobody sees but who is meant to.

A thread answers, so that a process whose event loop is stuck still tells. Imported only where metrics are wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)
from prometheus_client.registry import Collector

from steelcut.service.refusal import Refusal
from steelcut.service.telemetry.metrics import gauge

if TYPE_CHECKING:
    from threading import Thread

    from prometheus_client.metrics_core import Metric

    from steelcut.service.settings import ServingSettings
    from steelcut.service.telemetry.logs import Logger

# What there is to tell now.
Families = Callable[[], "Iterable[Metric]"]
# Callers at once, each on a thread, and how long one of them may say nothing: there is no password.
MAX_CALLERS: Final = 32
SILENT_SECONDS: Final = 5.0
# How often a port is tried that another process has.
_WAIT_SECONDS: Final = 0.5


class _Everything(Collector):
    def __init__(self, service: str, families: Families) -> None:
        self._service = service
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield gauge(
            "build_info",
            "The version of Steelcut, as a label of the value 1",
            ("service", "version"),
            {(self._service, version("steelcut")): 1},
        )
        yield from self._families()


@contextlib.contextmanager
def exposed(settings: ServingSettings, service: str, families: Families, log: Logger) -> Iterator[None]:
    """Serve ``families`` at ``/metrics`` for as long as the block lasts, with what is known of the process itself.

    Several processes take the ports after that of the setting, each the first that is free. One that finds none waits
    for it, within a running event loop: it is there to replace another, which has the port until it is ended. A process
    that is alone raises ``Refusal``.
    """
    registry = CollectorRegistry(auto_describe=False)
    for of_the_process in (ProcessCollector, PlatformCollector, GCCollector):
        of_the_process(registry=registry)
    registry.register(_Everything(service, families))
    place = _Place(settings, registry, log)
    try:
        place.take()
        yield
    finally:
        place.leave()


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each caller on a thread of its own, so many at once, and hangs up on the others."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._room = threading.Semaphore(MAX_CALLERS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(SILENT_SECONDS)
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Who goes away, or says nothing, is no fault of ours.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log no request."""


def _serve(host: str, port: int, registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    """Begin to serve. Raises ``OSError``."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    of_the_family: type[WSGIServer] = type("_ServerOfFamily", (_Server,), {"address_family": family})
    server = make_server(host, port, make_wsgi_app(registry), of_the_family, _Handler)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return server, thread


class _Place:
    """The port at which one process is asked."""

    def __init__(self, settings: ServingSettings, registry: CollectorRegistry, log: Logger) -> None:
        self._settings = settings
        self._registry = registry
        self._log = log
        self._served: tuple[WSGIServer, Thread] | None = None
        self._waiting: asyncio.Task[None] | None = None

    def take(self) -> None:
        """Serve at the first port that is free, now or later. Raises ``Refusal``."""
        if self._listens():
            return
        first, host = self._settings.metrics_port, self._settings.metrics_host
        if self._settings.workers == 1:
            raise Refusal(f"Metrics cannot be served: the port {first} of {host} is taken.")
        self._log.warning("metrics wait for a port: all are taken", host=host, first=first)
        self._waiting = asyncio.create_task(self._take_the_next())

    def leave(self) -> None:
        """Serve no longer."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._served is not None:
            server, thread = self._served
            server.shutdown()
            server.server_close()
            thread.join()

    async def _take_the_next(self) -> None:
        said = ""
        while True:
            try:
                if self._listens():
                    return
            except Refusal as refusal:
                # It may pass, as a want of file descriptors does; one line for it, not two in a second.
                if str(refusal) != said:
                    said = str(refusal)
                    self._log.warning("metrics still wait for a port", reason=said)
            await asyncio.sleep(_WAIT_SECONDS)

    def _listens(self) -> bool:
        first, host = self._settings.metrics_port, self._settings.metrics_host
        assert first is not None  # noqa: S101 - what this is called for
        for port in range(first, first + (self._settings.workers if first else 1)):
            try:
                self._served = _serve(host, port, self._registry)
            except OSError as fault:
                if fault.errno != errno.EADDRINUSE:
                    raise Refusal(f"Metrics cannot be served at {host}:{port}: {fault.strerror}.") from None
            else:
                self._log.info("metrics are served", host=host, port=self._served[0].server_port)
                return True
        return False
