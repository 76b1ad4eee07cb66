"""What a process has counted, in the shapes of Prometheus; names and units are its own (``_total``, ``_seconds``).

Imported only where metrics are wanted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from steelcut.service.telemetry.counting import BOUNDS, Durations

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from steelcut.service.database.postgres import Database
    from steelcut.service.telemetry.counting import Connections, Requests

Labels = tuple[str, ...]
PREFIX: Final = "steelcut_"


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
