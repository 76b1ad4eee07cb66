"""One trace from the caller to the statement in the database, told to a collector of OpenTelemetry's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steelcut.service.telemetry.logs import make_logger
from steelcut.service.telemetry.tracing import traced as sending
from tests.support.databases import Databases
from tests.support.replicas import Replica, auth_replicas, resource_replicas
from tests.support.system import GRANT, RESOURCE, Log, Registered, listen, seed, serving
from tests.support.waiting import until

pytestmark = pytest.mark.slow

MASTER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{CALLER}-{CALLERS_SPAN}-01"}


@dataclass
class Collector:
    """Takes spans, as a collector of OpenTelemetry's does."""

    raw: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        batches = [ExportTraceServiceRequest.FromString(raw) for raw in self.raw]
        return [
            span
            for batch in batches
            for of_service in batch.resource_spans
            for of_library in of_service.scope_spans
            for span in of_library.spans
        ]

    def of(self, trace: str) -> list[Span]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id.hex() == trace]

    async def named(self, name: str, trace: str) -> Span:
        """Wait for the span of a trace that has this name."""

        async def there() -> bool:
            return any(span.name == name for span in self.of(trace))

        await until(there, 20)
        return next(span for span in self.of(trace) if span.name == name)

    async def take(self, request: Request) -> Response:
        """Take a batch."""
        self.raw.append(await request.body())
        return Response(b"", media_type="application/x-protobuf")


@dataclass
class Traced:
    """Both services, whose spans are collected."""

    auth: Replica
    resource: Replica
    collector: Collector
    client: Registered


def attributes(span: Span) -> dict[str, str | int]:
    """Return what a span says."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@contextlib.asynccontextmanager
async def traced(databases: Databases, collector: Collector) -> AsyncIterator[Traced]:
    """Run both services with traces."""
    base = "http://127.0.0.1:8001"
    client = await seed(databases, base, MASTER_KEY)
    listener = listen()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    host, port = listener.getsockname()
    common = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    }
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, listener, lifespan="auto"))
        (auth,) = await stack.enter_async_context(
            auth_replicas(databases, MASTER_KEY, 1, AUTH_TRACING="true", **common)
        )
        (resource,) = await stack.enter_async_context(
            resource_replicas(
                databases,
                "http://127.0.0.1:8000",
                base,
                1,
                RESOURCE_TRACING="true",
                RESOURCE_JWKS_URI=f"{auth.url}/.well-known/jwks.json",
                **common,
            )
        )
        yield Traced(auth, resource, collector, client)


async def token(of: Traced, **headers: str) -> httpx.Response:
    """Ask for a token."""
    return await of.auth.http.post("/token", data=GRANT, auth=of.client.basic, headers=headers)


async def test_from_the_caller_to_the_statement(databases: Databases) -> None:
    """The caller's trace goes through both services into their statements, and stands in the log lines."""
    collector = Collector()
    async with traced(databases, collector) as of:
        answer = await token(of, **TRACEPARENT)
        value = answer.json()["access_token"]
        bearer = {"Authorization": f"Bearer {value}"}
        document = await of.resource.http.get(f"/{RESOURCE}", headers={**bearer, **TRACEPARENT})
        assert document.is_success
        issued = await collector.named("POST token", CALLER)
        fetched = await collector.named("GET document", CALLER)
        assert {issued.parent_span_id.hex(), fetched.parent_span_id.hex()} == {CALLERS_SPAN}
        assert issued.kind == fetched.kind == Span.SPAN_KIND_SERVER
        said = attributes(issued)
        assert said["http.response.status_code"] == 200
        assert said["steelcut.client_id"] == of.client.client_id
        assert said["steelcut.trace_id"] == answer.headers["x-trace-id"] != CALLER
        statements = [span for span in collector.of(CALLER) if span.kind == Span.SPAN_KIND_CLIENT]
        assert {span.parent_span_id for span in statements} == {issued.span_id, fetched.span_id}
        assert any("client_secrets" in str(attributes(span)) for span in statements)
        # A trace of one's own, where nobody has begun one, or what was given is none.
        alone = await token(of, traceparent="00-xyz-abc-01")
        own = await _otel_trace_of(collector, alone)
        assert own != CALLER
        refused = await of.auth.http.post("/token?client_secret=hush", data=GRANT, headers=TRACEPARENT)
        assert refused.status_code == 400
        await collector.named("POST token", own)
    everything = b"".join(collector.raw)
    for secret in (of.client.secret, value, MASTER_KEY, "hush"):
        assert secret.encode() not in everything
    assert of.client.secret.rpartition("_")[2].encode() not in everything


async def _otel_trace_of(collector: Collector, answer: httpx.Response) -> str:
    ours = answer.headers["x-trace-id"]

    def found() -> list[Span]:
        return [span for span in collector.spans if attributes(span).get("steelcut.trace_id") == ours]

    async def there() -> bool:
        return bool(found())

    await until(there, 20)
    return found()[0].trace_id.hex()


async def test_nobody_takes_the_spans(databases: Databases) -> None:
    """Requests are answered as ever, and the process ends in time and with 0."""
    client = await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    silent = listen()
    host, port = silent.getsockname()
    environment = {
        "AUTH_TRACING": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    async with auth_replicas(databases, MASTER_KEY, 1, **environment) as (replica,):
        for _ in range(20):
            status, _ = await replica.ask(client)
            assert status == 200
        replica.process.terminate()
        async with asyncio.timeout(10):
            assert await replica.process.wait() == 0
    silent.close()


async def test_no_value_comes_with_an_error(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's errors repeat what it was given, up to whole rows: a span says which statement failed, no more."""
    collector = Collector()
    listener = listen()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    host, port = listener.getsockname()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{host}:{port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")

    async def told() -> bool:
        return bool(collector.spans)

    async with serving(app, listener, lifespan="auto"):
        with sending("test", make_logger("test", "json", Log().stream)):
            connection = await asyncpg.connect(databases.auth.owner)
            with pytest.raises(asyncpg.InvalidTextRepresentationError, match="hush"):
                await connection.execute("SELECT $1::text::integer", "hush")
            await connection.close()
            await until(told, 20)
    (span,) = collector.spans
    assert attributes(span)["db.statement"] == "SELECT $1::text::integer"
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert b"hush" not in b"".join(collector.raw)


@pytest.mark.parametrize(
    "variable",
    [("OTEL_BSP_MAX_QUEUE_SIZE", "0"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")],
    ids=["sending", "spans"],
)
async def test_variable_that_cannot_be_used_is_a_sentence(
    databases: Databases, variable: tuple[str, str]
) -> None:
    """The service does not start with traces that nobody would get."""
    await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    with pytest.raises(ExceptionGroup) as refused:
        async with auth_replicas(databases, MASTER_KEY, 1, AUTH_TRACING="true", **dict([variable])):
            pass
    said = str(refused.value.exceptions[0])
    assert "Traces cannot be sent, look at the variables that begin with OTEL_" in said
    assert "Traceback" not in said


async def test_no_trace_is_told_that_is_none(databases: Databases) -> None:
    """OpenTelemetry can be turned off by a variable of its own."""
    client = await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    environment = {"AUTH_TRACING": "true", "OTEL_SDK_DISABLED": "true"}
    async with auth_replicas(databases, MASTER_KEY, 1, **environment) as (replica,):
        assert (await replica.ask(client))[0] == 200

        async def said() -> bool:
            return '"path":"/token"' in replica.said()

        # A line may come after the answer that it is about.
        await until(said, 10)
        assert "otel_trace_id" not in replica.said()


async def test_library_that_is_not_there_is_a_sentence(databases: Databases, tmp_path: Path) -> None:
    """The service says what to install."""
    await seed(databases, "http://127.0.0.1:8001", MASTER_KEY)
    # Python runs this before anything else: the library cannot be imported.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n")
    with pytest.raises(ExceptionGroup) as refused:
        async with auth_replicas(databases, MASTER_KEY, 1, AUTH_TRACING="true", PYTHONPATH=str(tmp_path)):
            pass
    assert "pip install 'steelcut[tracing]'" in str(refused.value.exceptions[0])
