"""Somebody asks what happened: every filter, page by page, by the indexes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from auth_service.administration.audit_search import search_events
from auth_service.administration.errors import Invalid
from auth_service.administration.paging import cursor_of
from auth_service.queries import audit_reading
from auth_service.queries.audit_reading import EventFilter

NOW = datetime.now(UTC).replace(microsecond=0)
EVENTS = (
    # minutes ago, actor, action, object type, object id, outcome, trace id
    (50, "cli:ann@desk", "client.create", "client", "billing", "done", ""),
    (40, "cli:bob@desk", "resource.create", "resource", "reports", "done", ""),
    (30, "client:billing", "token.issue", "client", "billing", "issued", "t30"),
    (20, "client:other", "token.refuse", "client", "other", "invalid_client", "t20"),
    (10, "client:billing", "secret.rotate", "client", "billing", "done", "t10"),
    (0, "client:billing", "client.disable", "client", "other", "done", "t00"),
)


@pytest.fixture(autouse=True)
async def _six_events(owner: Any) -> None:
    await owner.executemany(
        "INSERT INTO audit_events (at, actor, action, object_type, object_id, outcome, trace_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [(NOW - timedelta(minutes=ago), *rest) for ago, *rest in EVENTS],
    )


@pytest.mark.parametrize(
    ("wanted", "minutes_ago"),
    [
        (EventFilter(), [0, 10, 20, 30, 40, 50]),
        (EventFilter(actor="client:billing"), [0, 10, 30]),
        (EventFilter(action="client.create"), [50]),
        (EventFilter(action="client.*"), [0, 50]),
        (EventFilter(action="*"), [0, 10, 20, 30, 40, 50]),
        (EventFilter(action="%"), []),
        (EventFilter(object_type="resource"), [40]),
        (EventFilter(object_type="client", object_id="other"), [0, 20]),
        (EventFilter(client_id="billing"), [0, 10, 30, 50]),
        (EventFilter(outcome="invalid_client"), [20]),
        (EventFilter(trace_id="t30"), [30]),
        (EventFilter(trace_id=""), []),
        (EventFilter(since=NOW - timedelta(minutes=20)), [0, 10, 20]),
        (EventFilter(until=NOW - timedelta(minutes=20)), [30, 40, 50]),
        (EventFilter(client_id="billing", action="token.*", since=NOW - timedelta(hours=1)), [30]),
    ],
)
async def test_filters(administrator: Any, wanted: EventFilter, minutes_ago: list[int]) -> None:
    """Each narrows by itself and together with others; the newest comes first."""
    page = await search_events(administrator, wanted)
    assert [(NOW - event.at).total_seconds() / 60 for event in page.rows] == minutes_ago
    assert page.next_cursor is None


async def test_pages_hold_each_event_once(administrator: Any, owner: Any) -> None:
    """Also those of one and the same moment, and whatever is written meanwhile."""
    for number in range(5):
        await owner.execute(
            "INSERT INTO audit_events (at, actor, action, object_type, object_id) VALUES ($1, 'x', 'y', 'z', $2)",
            NOW - timedelta(minutes=30),
            str(number),
        )
    seen, cursor = [], None
    while True:
        page = await search_events(administrator, cursor=cursor, limit=2)
        seen += [event.event_id for event in page.rows]
        await administrator.execute(
            "INSERT INTO audit_events (actor, action, object_type, object_id) VALUES ('x', 'y', 'z', 'new')"
        )
        if (cursor := page.next_cursor) is None:
            break
    assert len(seen) == len(set(seen)) == len(EVENTS) + 5


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        (EventFilter(actor="a\x00b"), {}),
        (EventFilter(since=datetime(2031, 1, 1)), {}),  # noqa: DTZ001 - that is the mistake
        (EventFilter(since=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))), {}),
        (EventFilter(), {"limit": 0}),
        (EventFilter(), {"limit": 1001}),
        (EventFilter(), {"cursor": "nonsense"}),
        (EventFilter(), {"cursor": "WyIyMDMxIiwiMSJd"}),
        (EventFilter(), {"cursor": "WyJub3ciLCJ4Il0"}),
        # Moments that are none in UTC.
        *(
            (EventFilter(), {"cursor": cursor_of([at, str(UUID(int=0))])})
            for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
        ),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    administrator: Any, wanted: EventFilter, options: dict[str, Any]
) -> None:
    """With a sentence, before the database is asked."""
    with pytest.raises(Invalid):
        await search_events(administrator, wanted, **options)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (EventFilter(), "audit_events_pkey"),
        (EventFilter(actor="client:x"), "audit_events_by_actor"),
        (EventFilter(object_type="client", object_id="x"), "audit_events_by_object"),
        (EventFilter(trace_id="x"), "audit_events_by_trace"),
    ],
)
async def test_search_reads_by_an_index(owner: Any, wanted: EventFilter, index: str) -> None:
    """A log of years is not read from end to end."""
    await owner.execute("SET enable_seqscan = off")
    statement, parameters = audit_reading.search(wanted, None, 101)
    plan = "\n".join(row[0] for row in await owner.fetch(f"EXPLAIN {statement}", *parameters))
    month = f"audit_events_{NOW:%Y_%m}"
    parts = {f"{month}_{index.removeprefix('audit_events_')}", *_indexes_like(index, month)}
    assert any(part in plan for part in parts), plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("wanted", "months"),
    [
        (EventFilter(since=NOW - timedelta(seconds=1)), 0),
        (EventFilter(until=NOW - timedelta(days=92)), 1),
        (EventFilter(), 1),
    ],
)
async def test_months_that_are_not_asked_for_are_not_read(
    owner: Any, wanted: EventFilter, months: int
) -> None:
    """A question about today costs the same whether one month of the log is kept or ten years."""
    await owner.execute(
        "CREATE TABLE audit_events_2001_01 PARTITION OF audit_events FOR VALUES FROM ('2001-01-01Z') TO ('2001-02-01Z')"
    )
    statement, parameters = audit_reading.search(wanted, None, 101)
    plan = json.loads(await owner.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters))
    assert str(plan).count("'Relation Name': 'audit_events_2001_01'") == months


async def test_a_client_is_followed_page_by_page(administrator: Any) -> None:
    """What it did and what was done to it, each once, though its own tokens are both."""
    pages: list[list[float]] = []
    cursor = None
    while not pages or cursor:
        page = await search_events(administrator, EventFilter(client_id="billing"), cursor=cursor, limit=3)
        pages.append([(NOW - event.at).total_seconds() / 60 for event in page.rows])
        cursor = page.next_cursor
    assert pages == [[0, 10, 30], [50]]


async def test_what_a_client_did_and_what_was_done_to_it_is_found_by_two_indexes(owner: Any) -> None:
    """A client that is seldom seen is found in a long log without reading all of it."""
    await owner.execute(
        "INSERT INTO audit_events (at, actor, action, object_type, object_id)"
        " SELECT $1::timestamptz - i * interval '1 ms', 'client:busy', 'token.issue', 'client', 'busy'"
        "   FROM generate_series(1, 20000) i",
        NOW,
    )
    await owner.execute("ANALYZE audit_events")
    statement, parameters = audit_reading.search(EventFilter(client_id="other"), None, 101)
    plan = str(await owner.fetch(f"EXPLAIN {statement}", *parameters))
    month = f"audit_events_{NOW - timedelta(seconds=20):%Y_%m}"
    assert f"{month}_object_type_object_id_at_idx" in plan
    assert f"{month}_actor_at_idx" in plan


def _indexes_like(index: str, month: str) -> list[str]:
    # PostgreSQL names the index of a partition after the partition and the columns.
    columns = {
        "audit_events_by_actor": "actor_at",
        "audit_events_by_object": "object_type_object_id_at",
        "audit_events_by_trace": "trace_id",
        "audit_events_pkey": "pkey",
    }[index]
    return [f"{month}_{columns}_idx", f"{month}_{columns}"]
