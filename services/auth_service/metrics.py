"""What a process of the authorization server tells Prometheus (docs/metrics.md). Read, never on a request's path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from steelcut.service.telemetry.metrics import (
    cache,
    counter,
    gauge,
    histogram,
    of_databases,
    of_requests,
    one,
)

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from auth_service.state import Process
    from auth_service.token_counts import TokenCounts
    from steelcut.service.telemetry.counting import Connections, Requests


def families(process: Process, requests: Requests, connections: Connections) -> Iterator[Metric]:
    """Tell everything."""
    yield from of_requests(requests, connections)
    yield from of_databases({"token": process.database, "administration": process.admin_database})
    yield from _of_tokens(process)
    clients = process.registry.clients
    yield from cache(
        "client", "clients", hits=clients.hits, misses=clients.misses, size=clients.size, most=clients.most
    )
    yield gauge(
        "client_reads_waiting",
        "Requests that wait for a client to be read",
        (),
        one(process.registry.waiting),
    )
    yield from _of_imported_secrets(process)
    yield from _of_keys(process)
    yield from _of_audit(process)


def _of_tokens(process: Process) -> Iterator[Metric]:
    tokens = process.tokens
    yield histogram(
        "token_step_duration",
        "The steps of a token request, and of what is done behind it",
        "step",
        {
            "form": tokens.form_seconds,
            "authenticate": tokens.authenticate_seconds,
            "client_read": process.registry.read_seconds,
            "secret_hash": process.imported_secrets.hash_seconds,
            "sign": tokens.sign_seconds,
            "audit_write": process.audit.write_seconds,
        },
    )
    yield counter(
        "tokens_early",
        "Tokens issued while one of the same client, audience and scopes had more than half of its life ahead",
        (),
        one(tokens.early),
    )
    yield counter(
        "tokens_stale",
        "Tokens issued by what was last known of the client, while the database was away",
        (),
        one(tokens.stale),
    )
    yield counter(
        "tokens_over_quota",
        "Tokens beyond the quota of a client, observed or refused",
        (),
        one(tokens.over_quota),
    )
    if tokens.issued_to is not None:
        yield from _by_client(tokens, tokens.issued_to)


def _by_client(tokens: TokenCounts, issued_to: Counter[str]) -> Iterator[Metric]:
    yield counter(
        "client_tokens",
        "Tokens issued to each client; to those beyond 10,000 clients under none",
        ("client_id",),
        {(client_id,): count for client_id, count in dict(issued_to).items()},
    )
    yield counter(
        "client_tokens_early",
        "Those of them that were early (steelcut_tokens_early_total)",
        ("client_id",),
        {(client_id,): count for client_id, count in dict(tokens.early_to).items()},
    )


def _of_imported_secrets(process: Process) -> Iterator[Metric]:
    imported = process.imported_secrets
    yield gauge(
        "imported_secrets_in_flight",
        "Slow hashes of imported secrets that are computed or wait",
        (),
        one(imported.in_flight),
    )
    yield gauge(
        "imported_secrets_in_flight_max",
        "How many may be; beyond it is 503",
        (),
        one(imported.most_in_flight),
    )


def _of_keys(process: Process) -> Iterator[Metric]:
    ring = process.key_ring
    yield gauge("signing_key_active", "1 where there is a key to sign with", (), one(ring.can_sign))
    yield gauge(
        "signing_key_created_timestamp_seconds",
        "When each published key was made, as Unix time",
        ("kid", "algorithm", "state"),
        {(key.kid, key.algorithm, key.state): key.created_at for key in ring.stored},
    )
    yield gauge(
        "signing_keys_refreshed_timestamp_seconds",
        "When the keys were last read, as Unix time",
        (),
        one(ring.refreshed_at),
    )


def _of_audit(process: Process) -> Iterator[Metric]:
    audit = process.audit
    yield counter(
        "audit_events_written", "Events of token requests that were written", (), one(audit.written)
    )
    yield counter(
        "audit_events_dropped",
        "Events that are lost, since too many waited for the database",
        (),
        one(audit.dropped),
    )
    yield gauge("audit_events_waiting", "Events that wait to be written", (), one(audit.waiting))
    yield gauge(
        "audit_lag_seconds", "For how long the oldest of them has waited", (), one(audit.lag(process.clock()))
    )
