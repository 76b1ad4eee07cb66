"""What a process of the resource server tells Prometheus (docs/metrics.md). Read, never on a request's path."""

from __future__ import annotations

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

    from resource_service.state import Process
    from steelcut.service.telemetry.counting import Connections, Requests


def families(process: Process, requests: Requests, connections: Connections) -> Iterator[Metric]:
    """Tell everything."""
    yield from of_requests(requests, connections)
    yield from of_databases({"documents": process.database, "publishing": process.publisher})
    yield histogram(
        "document_step_duration",
        "The steps of a request for a document",
        "step",
        {"verify": process.verifier.new_token_seconds, "document_read": process.documents.read_seconds},
    )
    documents = process.documents.documents
    yield from cache(
        "document",
        "documents, in bytes",
        hits=documents.hits,
        misses=documents.misses,
        size=documents.size,
        most=documents.most,
    )
    yield counter(
        "documents_stale",
        "Answers by what was last known of the document, while the database was away",
        (),
        one(process.documents.stale_answers),
    )
    remembered = process.verifier.cache_info()
    yield from cache(
        "token",
        "verified tokens",
        hits=remembered.hits,
        misses=remembered.misses,
        size=remembered.currsize,
        most=remembered.maxsize,
    )
    keys = process.keys
    yield gauge("issuer_keys", "Keys of the issuer that are known", (), one(len(keys.known)))
    age = keys.age()
    yield gauge(
        "issuer_keys_age_seconds",
        "How long ago they were fetched; nothing where they never were",
        (),
        {} if age is None else one(age),
    )
    yield counter(
        "issuer_keys_failed_fetches",
        "Times that the issuer did not give its keys",
        (),
        one(keys.failed_fetches),
    )
