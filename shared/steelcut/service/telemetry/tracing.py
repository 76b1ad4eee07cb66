"""Traces by OpenTelemetry: a span for each request, below that of its caller, and one for each statement below it.

Imported only where traces are wanted; needs the extra ``steelcut[tracing]``. Where spans go, and how many of them, say
the variables that OpenTelemetry has for it (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER`` …).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer
    from starlette.types import Scope

    from steelcut.service.telemetry.counting import Outcome
    from steelcut.service.telemetry.logs import Logger

# How long the end of a process waits for who takes the spans.
LAST_SECONDS: Final = 2.0
# W3C Trace Context: what a caller may hand on. Baggage is not read: it would be the caller's word in our spans.
_FIELDS: Final = (b"traceparent", b"tracestate")
_PROPAGATOR: Final = TraceContextTextMapPropagator()

Begin = Callable[["Scope", "dict[str, Any]"], "RequestSpan"]


class RequestSpan:
    """The span of one request, and the current one until it ends."""

    __slots__ = ("_before", "_span")

    def __init__(self, tracer: Tracer, scope: Scope, fields: dict[str, Any]) -> None:
        """Begin it, and put its trace into the ``fields`` of the log line.

        A caller's traceparent says below which span it stands, and nothing else: our trace id stays ours.
        """
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _FIELDS
        }
        self._span = tracer.start_span(
            scope["method"],
            context=_PROPAGATOR.extract(carrier) if carrier else None,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": scope["method"],
                # Never the query, which may carry what should not be kept.
                "url.path": scope["path"],
                "steelcut.trace_id": fields["trace_id"],
            },
        )
        context = self._span.get_span_context()
        # Not where OTEL_SDK_DISABLED says that there are no spans.
        if context.is_valid:
            fields["otel_trace_id"] = f"{context.trace_id:032x}"
        self._before = attach(set_span_in_context(self._span))

    def end(self, outcome: Outcome, fields: dict[str, Any]) -> None:
        """Say how the request ended: as the log line does, in OpenTelemetry's words."""
        detach(self._before)
        span = self._span
        span.update_name(f"{outcome.method} {outcome.route}")
        span.set_attribute("http.route", outcome.route)
        span.set_attribute("http.response.status_code", outcome.status)
        if outcome.kind:
            span.set_attribute("error.type", outcome.kind)
        if "client_id" in fields:
            span.set_attribute("steelcut.client_id", fields["client_id"])
        if outcome.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class _Provider(TracerProvider):
    """Makes spans that say that they failed, and not in whose words.

    PostgreSQL's errors repeat values, up to whole rows: with the error, and its traceback, the collector would get what
    no statement is sent with.
    """

    def get_tracer(self, *arguments: Any, **options: Any) -> Tracer:
        """Return what makes such spans."""
        tracer = super().get_tracer(*arguments, **options)
        silent = partial(tracer.start_as_current_span, record_exception=False, set_status_on_exception=False)
        vars(tracer)["start_as_current_span"] = silent
        return tracer


@contextlib.contextmanager
def traced(service: str, log: Logger) -> Iterator[Begin]:
    """Give what begins a request's span, and send spans until the end of the block.

    Those that are left then have ``LAST_SECONDS``. Raises ``ValueError`` when OpenTelemetry cannot use its variables.
    """
    # A line for each batch that nobody takes, and none for each try.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    provider = _Provider(
        resource=Resource.create({SERVICE_NAME: service, SERVICE_VERSION: version("steelcut")}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    statements = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
    statements.instrument(tracer_provider=provider)
    log.info("traces are sent")
    try:
        yield partial(RequestSpan, provider.get_tracer("steelcut", version("steelcut")))
    finally:
        statements.uninstrument()
        # On a thread of its own, since it would wait for a silent collector for as long as for an export.
        end = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        end.start()
        end.join(LAST_SECONDS)
