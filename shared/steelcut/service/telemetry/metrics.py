"""What a process has counted, for Prometheus: on a port of its own, which nobody sees but who is meant to.

A thread answers, so that a process whose event loop is stuck still tells. Imported only where
metrics are wanted. Names and units are those of Prometheus (base units, ``_total``, ``_seconds``).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import socket
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from steelcut.service.refusal import Refusal
from steelcut.service.telemetry.counting import BOUNDS, Durations

if TYPE_CHECKING:
    from threading import Thread

    from prometheus_client.metrics_core import Metric

    from steelcut.service.database.postgres import Database
    from steelcut.service.settings import ServingSettings
    from steelcut.service.telemetry.counting import Connections, Requests
    from steelcut.service.telemetry.logs import Logger

# What there is to tell now.
Families = Callable[[], "Iterable[Metric]"]
Labels = tuple[str, ...]
PREFIX: Final = "steelcut_"
# Callers at once, each on a thread, and how long one of them may say nothing: there is no password.
MAX_CALLERS: Final = 32
SILENT_SECONDS: Final = 5.0
# How often a port is tried that another process has.
_WAIT_SECONDS: Final = 0.5


def counter(name: str, meaning: str, labels: Labels, values: Mapping[Labels, float]) -> CounterMetricFamily:
    """Return what only grows; ``_total`` is added to its name."""
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauge(name: str, meaning: str, labels: Labels, values: Mapping[Labels, float]) -> GaugeMetricFamily:
    """Return what goes up and down."""
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def one(value: float) -> Mapping[Labels, float]:
    """Return the values of a family without labels."""
    return {(): value}


def histogram(name: str, meaning: str, label: str, values: Mapping[str, Durations]) -> HistogramMetricFamily:
    """Return durations in seconds by one label."""
    family = HistogramMetricFamily(f"{PREFIX}{name}_seconds", meaning, labels=(label,))
    for key, durations in values.items():
        counts, total, reached = list(durations.counts), durations.total, 0
        buckets = []
        for bound, count in zip((*BOUNDS, math.inf), counts, strict=True):
            reached += count
            buckets.append(("+Inf" if math.isinf(bound) else repr(bound), reached))
        family.add_metric((key,), buckets, total)
    return family


def of_requests(requests: Requests, connections: Connections) -> Iterator[Metric]:
    """Tell what every service has: its requests, and the connections that they come on."""
    durations = requests.durations()
    routes: defaultdict[str, list[Durations]] = defaultdict(list)
    for outcome, taken in durations.items():
        routes[outcome.route].append(taken)
    yield counter(
        "http_requests",
        "Requests answered, by route, method, status, and what they were refused for",
        ("route", "method", "status", "reason"),
        {
            (outcome.route, outcome.method, str(outcome.status), outcome.kind): taken.count
            for outcome, taken in durations.items()
        },
    )
    yield histogram(
        "http_request_duration",
        "From the head of a request to the end of its answer",
        "route",
        {route: Durations.of(taken) for route, taken in routes.items()},
    )
    yield gauge("http_connections", "Open connections of callers", (), one(connections.open))
    yield counter(
        "http_refused",
        "What was refused before it was a request: malformed, too large, too slow",
        ("status",),
        {(str(status),): count for status, count in dict(connections.refused).items()},
    )


def of_databases(databases: Mapping[str, Database | None]) -> Iterator[Metric]:
    """Tell about the pools, by their names."""
    pools = {name: database for name, database in databases.items() if database is not None}
    yield gauge(
        "database_connections",
        "Connections to PostgreSQL, by pool and whether they are lent",
        ("pool", "state"),
        {
            (name, state): count
            for name, database in pools.items()
            for state, count in (("lent", database.lent), ("idle", database.idle))
        },
    )
    yield gauge(
        "database_connections_max",
        "How many connections a pool may have",
        ("pool",),
        {(name,): database.most for name, database in pools.items()},
    )
    yield counter(
        "database_faults",
        "Times that PostgreSQL did not answer, or not in time",
        ("pool",),
        {(name,): database.faults for name, database in pools.items()},
    )
    yield gauge(
        "database_last_answer_timestamp_seconds",
        "When PostgreSQL last answered, as Unix time",
        ("pool",),
        {(name,): database.answered_at for name, database in pools.items()},
    )


def cache(name: str, what: str, *, hits: int, misses: int, size: float, most: float) -> Iterator[Metric]:
    """Tell about a cache: how often it had what was asked for, and how full it is."""
    yield counter(
        f"{name}_cache_requests",
        f"Questions to the cache of {what}, by whether it had a fresh answer",
        ("result",),
        {("hit",): hits, ("miss",): misses},
    )
    yield gauge(f"{name}_cache_size", f"What is in the cache of {what}", (), one(size))
    yield gauge(f"{name}_cache_size_max", f"What the cache of {what} may hold", (), one(most))


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
        while not self._listens():  # noqa: ASYNC110 - of another process, which tells nobody
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
