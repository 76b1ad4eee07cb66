"""Each number is what happened: nothing is counted twice, nothing is forgotten, nobody's name is a label by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from auth_service.token_counts import SAMPLED
from steelcut.service.telemetry.counting import BOUNDS
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.conftest import StartSystem
from tests.metrics.scrape import Scrape, ports, scrape
from tests.support.outage import whole_outage
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, Registered, System
from tests.support.waiting import until
from tests.support.wire import Wire


@dataclass
class Watched:
    """A system of which metrics are told."""

    system: System
    http: httpx.AsyncClient

    async def token(self, client: Registered | None = None, **form: str) -> httpx.Response:
        """Ask for a token."""
        auth = (client or self.system.client).basic
        return await self.http.post(self.system.token_url, data={**GRANT, **form}, auth=auth)

    async def document(self, token: str, **headers: str) -> httpx.Response:
        """Ask for the document."""
        return await self.http.get(
            self.system.document_url, headers={"Authorization": f"Bearer {token}", **headers}
        )

    async def auth(self) -> Scrape:
        """Read what the authorization server tells."""
        return await scrape(ports(self.system.log)["auth_service"])

    async def resource(self) -> Scrape:
        """Read what the resource server tells."""
        return await scrape(ports(self.system.log)["resource_service"])


@pytest.fixture
async def watched(start_system: StartSystem) -> AsyncIterator[Watched]:
    """A system whose services tell their metrics."""
    system: System = await start_system(metrics_port=0, resource_options={"metrics_port": 0})  # type: ignore[misc]
    await system.heard()
    async with http_client() as http:
        yield Watched(system, http)


async def test_requests_by_outcome(watched: Watched) -> None:
    """Tokens, and refusals by what they were refused for: what the log has in words, in a few names."""
    client, other = watched.system.client, await watched.system.register("other")
    for _ in range(3):
        assert (await watched.token()).is_success
    refused = {
        "wrong_secret": await watched.token(Registered(client.client_id, other.secret)),
        "mistyped_secret": await watched.token(Registered(client.client_id, client.secret[:-1])),
        "invalid_scope": await watched.token(scope="admin"),
        "invalid_target": await watched.token(resource="https://api.example.com"),
        "unsupported_grant_type": await watched.token(grant_type="password"),
        "no_credentials": await watched.http.post(watched.system.token_url, data=GRANT),
        "parameters_in_uri": await watched.http.post(f"{watched.system.token_url}?client_secret=x"),
        "not_a_form": await watched.http.post(watched.system.token_url, json=GRANT),
    }
    told = await watched.auth()
    labels = {"route": "token", "method": "POST"}
    assert told.value("steelcut_http_requests_total", **labels, status="200", reason="") == 3
    counted = {
        kind: told.value(
            "steelcut_http_requests_total", **labels, status=str(answer.status_code), reason=kind
        )
        for kind, answer in refused.items()
    }
    assert counted == dict.fromkeys(refused, 1)
    assert told.sum("steelcut_http_requests_total", route="token") == 3 + len(refused)
    assert told.value("steelcut_http_request_duration_seconds_count", route="token") == 3 + len(refused)


async def test_unknown_clients_and_paths_share_one_name(watched: Watched) -> None:
    """However much is invented, there is one number for it."""
    before = len((await watched.auth()).values)
    for number in range(20):
        await watched.token(Registered(f"invented-{number}", watched.system.client.secret))
        await watched.http.get(f"{watched.system.issuer}/invented-{number}")
    told = await watched.auth()
    assert told.sum("steelcut_http_requests_total", reason="unknown_client") == 20
    assert told.sum("steelcut_http_requests_total", route="none", reason="not_found") == 20
    assert len(told.values) - before < 100
    assert "invented" not in told.text


async def test_documents_by_outcome(watched: Watched) -> None:
    """The document, the same unchanged, and who may not have it."""
    token = (await watched.token()).json()["access_token"]
    before = await watched.resource()
    first = await watched.document(token)
    unchanged = await watched.document(token, **{"If-None-Match": first.headers["etag"]})
    assert (first.status_code, unchanged.status_code) == (200, 304)
    await watched.document("a.b.c")
    await watched.http.get(watched.system.document_url)
    told = (await watched.resource()).since(before)
    labels = {"route": "document", "method": "GET"}
    assert told.value("steelcut_http_requests_total", **labels, status="200", reason="") == 1
    assert told.value("steelcut_http_requests_total", **labels, status="304", reason="") == 1
    assert told.value("steelcut_http_requests_total", **labels, status="401", reason="invalid_token") == 1
    assert told.value("steelcut_http_requests_total", **labels, status="401", reason="no_credentials") == 1
    assert told.value("steelcut_token_cache_requests_total", result="hit") == 1
    assert told.value("steelcut_document_cache_requests_total", result="miss") == 1
    assert told.value("steelcut_document_cache_requests_total", result="hit") == 1
    assert told.value("steelcut_document_cache_size") > len(first.content)
    assert told.value("steelcut_document_step_duration_seconds_count", step="document_read") == 1
    # The token, and what is none.
    assert told.value("steelcut_document_step_duration_seconds_count", step="verify") == 2
    now = await watched.resource()
    assert now.value("steelcut_issuer_keys") == 1
    assert 0 <= now.value("steelcut_issuer_keys_age_seconds") < 60


async def test_a_token_for_somebody_else_is_told_apart(watched: Watched) -> None:
    """Why tokens are refused is what one asks when a deployment has gone wrong."""
    other = await watched.system.as_admin(
        lambda c: c.execute(
            "UPDATE resources SET identifier = identifier || '-moved' WHERE name = $1", RESOURCE
        )
    )
    assert other == "UPDATE 1"
    await watched.system.heard()
    token = (await watched.token()).json()["access_token"]
    assert (await watched.document(token)).status_code == 401
    told = await watched.resource()
    assert told.sum("steelcut_http_requests_total", route="document", reason="other_audience") == 1


async def test_steps_and_caches_of_a_token(watched: Watched) -> None:
    """One read of the client, then the cache; the steps of one token in so many are timed, the first among them."""
    before = await watched.auth()
    for _ in range(SAMPLED + 1):
        await watched.token()
    told = (await watched.auth()).since(before)
    assert told.value("steelcut_client_cache_requests_total", result="miss") == 1
    assert told.value("steelcut_client_cache_requests_total", result="hit") == SAMPLED
    assert told.value("steelcut_client_cache_size") == 1
    for step, count in {"form": 2, "authenticate": 2, "sign": 2, "client_read": 1, "secret_hash": 0}.items():
        name = "steelcut_token_step_duration_seconds"
        assert told.value(f"{name}_count", step=step) == count, step
        assert (told.value(f"{name}_sum", step=step) > 0) == bool(count)
        buckets = [told.value(f"{name}_bucket", step=step, le=str(bound)) for bound in BOUNDS]
        assert buckets == sorted(buckets)
        assert told.value(f"{name}_bucket", step=step, le="+Inf") == count


async def test_client_that_does_not_keep_its_tokens(start_system: StartSystem) -> None:
    """Counted for all together, and by its id only where that was asked for."""
    system: System = await start_system(metrics_port=0, metrics_by_client=True)  # type: ignore[misc]
    tidy = await system.register("tidy")
    async with http_client() as http:
        watched = Watched(system, http)
        await watched.token(tidy)
        for _ in range(4):
            await watched.token()
        told = await watched.auth()
    assert told.value("steelcut_tokens_early_total") == 3
    assert told.value("steelcut_client_tokens_total", client_id=system.client.client_id) == 4
    assert told.value("steelcut_client_tokens_early_total", client_id=system.client.client_id) == 3
    assert told.value("steelcut_client_tokens_total", client_id=tidy.client_id) == 1
    assert told.value("steelcut_client_tokens_early_total", client_id=tidy.client_id) == 0


async def test_no_client_is_named_unless_asked_for(watched: Watched) -> None:
    """Metrics are seen by more people than the audit log."""
    await watched.token()
    told = await watched.auth()
    assert watched.system.client.client_id not in told.text
    assert watched.system.client.secret not in told.text
    assert "steelcut_client_tokens_total" not in told.names


async def test_quota_is_counted_in_both_modes(start_system: StartSystem) -> None:
    """Beyond it a token is issued all the same, or refused: either is counted."""
    for mode in ("observe", "enforce"):
        system: System = await start_system(metrics_port=0, quota_tokens="2/hour", quota_mode=mode)  # type: ignore[misc]
        async with http_client() as http:
            watched = Watched(system, http)
            for _ in range(5):
                await watched.token()
            told = await watched.auth()
        assert told.value("steelcut_tokens_over_quota_total") == 3, mode
        refused = told.sum(
            "steelcut_http_requests_total", route="token", status="429", reason="quota_exceeded"
        )
        assert refused == (3 if mode == "enforce" else 0)


async def test_audit_events_wait_and_are_written(watched: Watched) -> None:
    """What the database has not taken is seen, with its age; after its return there is none."""
    await watched.system.as_owner(lambda c: c.execute("ALTER TABLE audit_events RENAME TO away"))
    for _ in range(7):
        assert (await watched.token()).is_success
    told = await watched.auth()
    assert told.value("steelcut_audit_events_waiting") == 7
    assert told.value("steelcut_audit_lag_seconds") > 0
    await watched.system.as_owner(lambda c: c.execute("ALTER TABLE away RENAME TO audit_events"))

    async def written() -> bool:
        return (await watched.auth()).value("steelcut_audit_events_written_total") == 7

    await until(written, 10)
    told = await watched.auth()
    assert told.value("steelcut_audit_events_waiting") == told.value("steelcut_audit_lag_seconds") == 0
    assert told.value("steelcut_audit_events_dropped_total") == 0
    assert told.value("steelcut_token_step_duration_seconds_count", step="audit_write") >= 1


async def test_keys_pools_and_build(watched: Watched) -> None:
    """The age of the key that signs, the connections to the database, the version, the process."""
    told = await watched.auth()
    (created,) = [
        value
        for (name, _), value in told.values.items()
        if name == "steelcut_signing_key_created_timestamp_seconds"
    ]
    assert 0 <= told.value("steelcut_signing_keys_refreshed_timestamp_seconds") - created < 60
    assert told.value("steelcut_signing_key_active") == 1
    assert told.sum("steelcut_signing_key_created_timestamp_seconds", state="active") == created
    assert told.sum("steelcut_database_connections", pool="token") >= 1
    assert told.value("steelcut_database_connections_max", pool="token") == 10
    assert told.sum("steelcut_build_info", service="auth_service") == 1
    assert told.value("process_resident_memory_bytes") > 1_000_000


async def test_outage_is_seen(watched: Watched, postgres: EmbeddedPostgres) -> None:
    """Who is known goes on, which is counted; who is not gets 503; and PostgreSQL has not answered since."""
    await watched.token()
    token = (await watched.token()).json()["access_token"]
    await watched.document(token)
    before = await watched.auth()
    await watched.system.heard()
    async with whole_outage(postgres, watched.system.databases):
        watched.system.auth_process.registry.missed()
        watched.system.resource_app.state.process.documents.missed()
        assert (await watched.token()).is_success
        assert (await watched.document(token)).is_success
        unknown = await watched.token(Registered("not-read-yet", watched.system.client.secret))
        assert unknown.status_code == 503
        told, documents = await watched.auth(), await watched.resource()
    faults = "steelcut_database_faults_total"
    assert told.value(faults, pool="token") > before.value(faults, pool="token")
    assert documents.value(faults, pool="documents") > 0
    assert told.value("steelcut_tokens_stale_total") == documents.value("steelcut_documents_stale_total") == 1
    labels = {"route": "token", "reason": "temporarily_unavailable", "status": "503"}
    assert told.sum("steelcut_http_requests_total", **labels) == 1
    answered = "steelcut_database_last_answer_timestamp_seconds"
    # Told as Unix time of what is kept by another clock.
    assert told.value(answered, pool="token") == pytest.approx(before.value(answered, pool="token"), abs=10)


async def test_what_is_no_request_is_counted_too(watched: Watched) -> None:
    """A head that is malformed never becomes a request."""
    async with Wire.open(watched.system.issuer) as wire:
        before = await watched.auth()
        await wire.send(b"NONSENSE\r\n\r\n")
        answer = await wire.answer()
    assert answer is not None
    assert answer.status == 400

    async def gone() -> bool:
        return (await watched.auth()).value("steelcut_http_connections") == before.value(
            "steelcut_http_connections"
        ) - 1

    await until(gone, 10)
    assert (await watched.auth()).value("steelcut_http_refused_total", status="400") == 1
