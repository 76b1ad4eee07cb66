"""The audit log over HTTP: what happened, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.admin.operators import kind, operating
from tests.support.system import RESOURCE, System


async def test_a_change_over_http_is_found_by_its_trace_id(
    administered: System, api: httpx.AsyncClient
) -> None:
    """By whom, from where, what it was before and after; the token's event is there too."""
    made = await api.post("/clients", json={"name": "Traced", "grants": {RESOURCE: ["read"]}})
    async with operating(administered, "audit:read") as reader:
        found = await reader.get("/audit-events", params={"trace_id": made.headers["x-trace-id"]})
        (event,) = found.json()["items"]
        assert found.headers["cache-control"] == "no-store"
        assert (event["action"], event["object_id"]) == ("client.create", made.json()["client_id"])
        assert event["actor"].startswith("client:operator-")
        assert (event["address"], event["outcome"], event["before"]) == ("127.0.0.1", "done", None)
        assert event["after"]["grants"] == {RESOURCE: ["read"]}
        assert datetime.fromisoformat(event["at"]) > datetime.now(UTC) - timedelta(minutes=1)
        assert made.json()["client_secret"] not in found.text


async def test_filters_and_pages(administered: System, api: httpx.AsyncClient) -> None:
    """Each event once, newest first; Link leads on with the same filters."""
    for number in range(5):
        await api.post("/clients", json={"name": f"Paged {number}", "grants": {RESOURCE: ["read"]}})
    async with operating(administered, "audit:read") as reader:
        query = {"action": "client.*", "object_type": "client", "limit": "2"}
        answer = await reader.get("/audit-events", params=query)
        seen = []
        while True:
            seen += [(event["at"], event["event_id"]) for event in answer.json()["items"]]
            if "link" not in answer.headers:
                break
            answer = await reader.get(httpx.URL(reader.base_url).join(answer.links["next"]["url"]))
        assert answer.json()["next_cursor"] is None
        assert len(seen) == len(set(seen)) >= 5
        assert [at for at, _ in seen] == sorted((at for at, _ in seen), reverse=True)
        later = {"since": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        assert (await reader.get("/audit-events", params=later)).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2031-01-01T00:00:00"},
        {"cursor": "nonsense"},
        {"limit": "0"},
        {"limit": "1001"},
        {"actor": "a\x00b"},
        {"who": "me"},
    ],
)
async def test_what_cannot_be_meant(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    """Is said, and nothing is searched."""
    assert kind(await api.get("/audit-events", params=query))[0] == 400
