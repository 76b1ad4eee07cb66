"""What an application tells whoever watches it. Where nobody does, nothing is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from steelcut.service.refusal import Refusal
from steelcut.service.telemetry.counting import Connections, Requests

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from starlette.types import Scope

    from steelcut.service.settings import ServingSettings
    from steelcut.service.telemetry.logs import Logger
    from steelcut.service.telemetry.tracing import RequestSpan


@dataclass(slots=True)
class Watch:
    """Who sees the connections and each request of an application."""

    connections: Connections = field(default_factory=Connections)
    requests: Requests = field(default_factory=Requests)
    # Begins the span of a request; None where there are no traces.
    begin_span: Callable[[Scope, dict[str, Any]], RequestSpan] | None = None


@contextmanager
def observed(
    watch: Watch, process: Any, settings: ServingSettings, log: Logger, *, service: str
) -> Iterator[None]:
    """Serve the metrics of an application and send its traces while the block lasts, where that is wanted.

    The metrics of ``service`` are told by the function ``families`` of its module ``metrics``. Raises ``Refusal`` when
    their port is taken, or the library of the traces is not there or cannot use its variables.
    """
    with ExitStack() as stack:
        if settings.metrics_port is not None:
            exposition = import_module("steelcut.service.telemetry.exposition")
            metrics = import_module(f"{service}.metrics")

            def families() -> Iterable[Metric]:
                told: Iterable[Metric] = metrics.families(process, watch.requests, watch.connections)
                return told

            stack.enter_context(exposition.exposed(settings, service, families, log))
        if settings.tracing:
            try:
                watch.begin_span = stack.enter_context(_tracing().traced(service, log))
            except ValueError as fault:
                # Some of them are read when the library is imported, others when it begins.
                raise Refusal(
                    f"Traces cannot be sent, look at the variables that begin with OTEL_: {fault}"
                ) from None
        yield


def _tracing() -> Any:
    try:
        return import_module("steelcut.service.telemetry.tracing")
    except ImportError:
        raise Refusal(
            "Traces need a library that is not installed: pip install 'steelcut[tracing]'."
        ) from None
