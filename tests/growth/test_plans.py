"""Every statement that is run often finds its rows by an index, however many there are: the plans say so."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import pytest

from auth_service.queries import (
    admission,
    audit,
    audit_reading,
    clients,
    idempotency,
    keys,
    secrets,
    token,
    transfer,
    usage,
    wasteful,
)
from auth_service.queries import resources as resource_queries
from auth_service.queries.audit_reading import EventFilter
from resource_service import queries as documents
from steelcut.service.database.connecting import database_of
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Templates
from tests.support.system import RESOURCE, seed

pytestmark = pytest.mark.slow

TAG: Final = "0" * 32
NOW: Final = datetime.now(UTC)
CLIENT: Final = "many-00012345"
SECRET: Final = "many00012345"
Call = Callable[[Any], Awaitable[Any]]

AUTH: Final[dict[Callable[..., Any], Call]] = {
    token.clients_by_id: lambda c: token.clients_by_id(c, [CLIENT, "many-00054321", "nobody"]),
    token.imported_hashes: lambda c: token.imported_hashes(c, 3),
    admission.standing_scopes: lambda c: admission.standing_scopes(c, CLIENT, "many", "https://many", NOW),
    audit.upsert_usage: lambda c: audit.upsert_usage(
        c, {(CLIENT, SECRET): (NOW, "127.0.0.1")}, {(CLIENT, RESOURCE, "read"): NOW}
    ),
    clients.client: lambda c: clients.client(c, CLIENT),
    clients.clients: lambda c: clients.clients(
        c, after=CLIENT, text=None, resource=None, state=None, limit=50
    ),
    clients.lock_client: lambda c: clients.lock_client(c, CLIENT),
    clients.delete_client: lambda c: clients.delete_client(c, CLIENT),
    clients.forget_usage: lambda c: clients.forget_usage(c, CLIENT),
    clients.replace_grants: lambda c: clients.replace_grants(c, CLIENT, {RESOURCE: ["read"]}),
    secrets.secrets: lambda c: secrets.secrets(c, CLIENT, rest_seconds=60),
    secrets.set_expiry: lambda c: secrets.set_expiry(c, CLIENT, SECRET, NOW),
    secrets.shorten: lambda c: secrets.shorten(c, CLIENT, [SECRET], 60, by_operator=True),
    secrets.delete_secrets: lambda c: secrets.delete_secrets(c, CLIENT, [SECRET]),
    idempotency.answer: lambda c: idempotency.answer(c, "client:a", "b", 60),
    idempotency.forget_answers: lambda c: idempotency.forget_answers(c, 3600.0),
    usage.unused_clients: lambda c: usage.unused_clients(c, 0, CLIENT, 50),
    usage.unused_grants: lambda c: usage.unused_grants(c, 0, (CLIENT, "", ""), 50),
    wasteful.wasteful_clients: lambda c: wasteful.wasteful_clients(c, NOW - timedelta(days=1), 50),
    resource_queries.callers: lambda c: resource_queries.callers(c, RESOURCE, after=CLIENT, limit=50),
    resource_queries.take_default: lambda c: resource_queries.take_default(c, "many"),
    transfer.these_clients: lambda c: transfer.these_clients(c, [CLIENT]),
}
RESOURCES: Final[dict[Callable[..., Any], Call]] = {
    documents.document: lambda c: documents.document(c, "many45", "k12345"),
    documents.document_unless_known: lambda c: documents.document_unless_known(
        c, "many45", "k12345", with_body=True, known_etags=[TAG]
    ),
    documents.document_up_to: lambda c: documents.document_up_to(c, "many45", "k12345", max_bytes=100),
    documents.resource_names: lambda c: documents.resource_names(c, limit=50),
    documents.resource_exists: lambda c: documents.resource_exists(c, "many45"),
    documents.upsert_document: lambda c: documents.upsert_document(c, "many45", "k12345", b"{}", TAG),
    documents.replace_document: lambda c: documents.replace_document(
        c, "many45", "k12345", b"{}", TAG, whatever=True, among=[], unless=[]
    ),
    documents.lock_document: lambda c: documents.lock_document(c, "many45", "k12345"),
    documents.delete_document: lambda c: documents.delete_document(c, "many45", "k12345"),
}
# One month of the audit log, and what is asked of it.
SEARCHES: Final = {
    "newest": EventFilter(),
    "of a client": EventFilter(client_id=CLIENT),
    "by an actor": EventFilter(actor=f"client:{CLIENT}"),
    "of an object": EventFilter(object_type="client", object_id=CLIENT),
    "by trace id": EventFilter(trace_id="a" * 32),
    "changes": EventFilter(action="client.*"),
    "a change": EventFilter(action="key.revoke"),
    "what was done": EventFilter(outcome="done"),
    "refusals": EventFilter(action="token.refuse"),
    "an error": EventFilter(outcome="invalid_scope"),
    "of an hour": EventFilter(since=NOW - timedelta(hours=1), until=NOW),
}
# What is asked for again and again.
KEPT: Final = (
    *(token.clients_by_id, admission.standing_scopes, audit.upsert_usage, clients.client, clients.clients),
    *(
        resource_queries.callers,
        documents.document,
        documents.document_unless_known,
        documents.document_up_to,
    ),
)
RARE: Final = ("changes", "a change", "what was done", "refusals", "an error")
# What need not be quick, since nobody waits for it often, or reads all there is, as it should.
WHOLE: Final[dict[Callable[..., Any], str]] = {
    transfer.every_client: "an export",
    documents.documents: "a list of everything, for an operator",
    resource_queries.resources: "few rows, and how many callers each has",
    resource_queries.scopes: "few rows, and how many callers each has",
    resource_queries.lock_callers: "a resource is deleted: every caller of it",
    resource_queries.grants_of: "a resource is changed: every caller of it",
    resource_queries.take_grants: "a resource is deleted: every caller of it",
    resource_queries.delete_resource: "a resource is deleted: every caller of it",
    resource_queries.set_scopes: "a resource is changed",
    audit_reading.written_since: "a batch of the newest, by the transactions since the last",
}
# Statements without a table that grows, or that only add rows.
NO_SEARCH: Final = {
    *(token.scopes, token.signing_keys, audit.insert_event, audit.copy_token_events, audit.maintain),
    *(audit.begun, audit.fate_of, clients.may_administer),
    *(audit_reading.snapshot, audit_reading.is_snapshot, clients.insert_client, clients.update_client),
    *(secrets.insert_secret, idempotency.lock_key, idempotency.store_answer),
    *(resource_queries.lock_resource, resource_queries.share_resources, resource_queries.insert_resource),
    *(resource_queries.update_resource, documents.may_publish),
    *(transfer.resources, transfer.insert_resources, transfer.insert_clients, transfer.insert_events),
}


class Planned(NamedTuple):
    """A connection to a database with many rows, and the plans of the statements that are run by it."""

    connection: asyncpg.Connection[Any]
    plans: list[dict[str, Any]]
    # Those with many rows: reading the others whole is right.
    large_tables: frozenset[str]

    async def scans(self, call: Call) -> set[str]:
        """Return which large tables ``call`` reads from one end to the other. What it changes is undone."""
        self.plans.clear()
        undone = self.connection.transaction()
        await undone.start()
        try:
            await call(self.connection)
        finally:
            await undone.rollback()
        assert self.plans, "no plan was told"
        return set().union(*map(_scanned, self.plans)) & self.large_tables


def _passed_over(node: dict[str, Any]) -> int:
    return int(node.get("Rows Removed by Filter", 0)) + sum(map(_passed_over, node.get("Plans", ())))


def _indexes(node: dict[str, Any]) -> set[str]:
    return {node.get("Index Name", "")}.union(*map(_indexes, node.get("Plans", ())))


def _scanned(node: dict[str, Any]) -> set[str]:
    below = {table for part in node.get("Plans", ()) for table in _scanned(part)}
    return below | ({node["Relation Name"]} if node["Node Type"] == "Seq Scan" else set())


@pytest.fixture(scope="module")
async def filled(templates: Templates, postgres: EmbeddedPostgres) -> AsyncIterator[dict[str, Planned]]:
    """Both databases, with 20,000 of everything."""
    databases = await templates.clone()
    await seed(databases, "https://documents.example.com", new_master_key())
    planned = {
        "auth": await _planned(postgres, databases.auth.owner, _AUTH_ROWS),
        "resource": await _planned(postgres, databases.resource.owner, _RESOURCE_ROWS),
    }
    yield planned
    for one in planned.values():
        await one.connection.close()
    await templates.drop(databases)


async def _planned(postgres: EmbeddedPostgres, url: str, rows: str) -> Planned:
    # As the superuser, who may ask for the plans; they are the same for everybody.
    connection = await asyncpg.connect(postgres.dsn(database_of(url)))
    plans: list[dict[str, Any]] = []

    def told(_: Any, message: Any) -> None:
        _, _, plan = message.message.partition("plan:")
        plans.append(json.loads(plan)["Plan"])

    # Neither triggers nor foreign keys: the rows are right.
    await connection.execute(f"SET session_replication_role = replica; {rows} RESET session_replication_role")
    await connection.execute("ANALYZE")
    await connection.execute(_TELL_PLANS)
    connection.add_log_listener(told)
    large = await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > 1000")
    return Planned(connection, plans, frozenset(table["relname"] for table in large))


_TELL_PLANS: Final = """
    LOAD 'auto_explain';
    SET auto_explain.log_format = 'json';
    SET auto_explain.log_level = 'notice';
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_min_duration = 0;
"""
_AUTH_ROWS: Final = """
    INSERT INTO resources (name, identifier) VALUES ('many', 'https://many');
    INSERT INTO clients (client_id, name, created_at)
        SELECT 'many-' || lpad(n::text, 8, '0'), 'Many', now() - interval '1 day' FROM generate_series(1, 20000) n;
    INSERT INTO client_secrets (client_id, secret_id, hash)
        SELECT client_id, 'many' || right(client_id, 8), 'x' FROM clients WHERE name = 'Many';
    INSERT INTO client_grants (client_id, resource_id, scope)
        SELECT client_id, resource_id, scope FROM clients, resource_scopes WHERE clients.name = 'Many';
    INSERT INTO secret_usage (client_id, secret_id, last_used_at, last_address)
        SELECT client_id, secret_id, now(), '127.0.0.1' FROM client_secrets WHERE hash = 'x';
    INSERT INTO grant_usage (client_id, resource, scope, last_used_at)
        SELECT client_id, name, scope, now() FROM client_grants JOIN resources USING (resource_id);
    INSERT INTO idempotent_answers (actor, key, request_hash, status, sealed_answer, master_key_id)
        SELECT 'client:' || n, n, '', 200, '', '' FROM generate_series(1, 20000) n;
    INSERT INTO audit_events (at, actor, action, object_type, object_id, outcome, reason, trace_id, address)
        SELECT now() - n * interval '1 minute', 'client:many-' || lpad(n::text, 8, '0'), 'token.issue', 'client',
               'many-' || lpad(n::text, 8, '0'), 'issued', '', md5(n::text), '127.0.0.1'
          FROM generate_series(1, 20000) n;
"""
_RESOURCE_ROWS: Final = """
    INSERT INTO documents (resource, key, body, etag)
        SELECT 'many' || n % 100, 'k' || n, '{}', md5(n::text) FROM generate_series(1, 20000) n;
"""


@pytest.mark.parametrize("function", AUTH, ids=lambda function: function.__name__)
async def test_statement_of_the_auth_service_finds_by_an_index(
    filled: dict[str, Planned], function: Callable[..., Any]
) -> None:
    """A million clients cost what ten do."""
    assert await filled["auth"].scans(AUTH[function]) == set()


@pytest.mark.parametrize("search", SEARCHES)
async def test_audit_log_is_searched_by_an_index(filled: dict[str, Planned], search: str) -> None:
    """The events of a client, of a trace id, of an hour, or the newest."""
    call = lambda c: audit_reading.events(c, SEARCHES[search], None, 50)  # noqa: E731
    assert await filled["auth"].scans(call) == set()


@pytest.mark.parametrize("function", RESOURCES, ids=lambda function: function.__name__)
async def test_statement_of_the_resource_service_finds_by_an_index(
    filled: dict[str, Planned], function: Callable[..., Any]
) -> None:
    """A million documents cost what ten do."""
    assert await filled["resource"].scans(RESOURCES[function]) == set()


@pytest.mark.parametrize("search", RARE)
async def test_what_is_rare_is_found_without_what_is_not(filled: dict[str, Planned], search: str) -> None:
    """Beside 20,000 tokens there are a key, a resource and a client that were made: no more is passed over."""
    statement, parameters = audit_reading.search(SEARCHES[search], None, 50)
    told = await filled["auth"].connection.fetchval(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", *parameters
    )
    assert _passed_over(json.loads(told)[0]["Plan"]) <= 3


async def test_callers_are_found_without_other_clients(filled: dict[str, Planned]) -> None:
    """Nobody may call the resource `many`, and the grants of 20,000 clients are not read to know that."""
    planned = filled["auth"]
    planned.plans.clear()
    assert await resource_queries.callers(planned.connection, "many", after="", limit=50) == []
    assert any("client_grants_by_resource" in _indexes(plan) for plan in planned.plans)
    planned.plans.clear()
    listed: dict[str, Any] = {"after": "", "text": None, "state": None, "limit": 50}
    assert await clients.clients(planned.connection, resource="many", **listed) == []
    assert any("client_grants_by_resource" in _indexes(plan) for plan in planned.plans)


@pytest.mark.parametrize("function", KEPT, ids=lambda function: function.__name__)
async def test_a_plan_is_kept(filled: dict[str, Planned], function: Callable[..., Any]) -> None:
    """To plan takes longer than to read; PostgreSQL does it at each execution as long as that looks cheaper."""
    service = "auth" if function in AUTH else "resource"
    for _ in range(8):
        await filled[service].scans(AUTH.get(function) or RESOURCES[function])
    planned_anew = await filled[service].connection.fetch(
        "SELECT statement FROM pg_prepared_statements WHERE generic_plans = 0 AND custom_plans >= 8"
    )
    assert planned_anew == []


async def test_a_scan_is_seen(filled: dict[str, Planned]) -> None:
    """What these tests look for is found where it is."""
    assert await filled["auth"].scans(lambda c: c.fetch("SELECT FROM clients WHERE name = 'x'")) == {
        "clients"
    }


def test_no_statement_is_forgotten() -> None:
    """Each is tested here, or it is said why it need not be quick."""
    modules = (
        *(admission, audit, audit_reading, clients, idempotency, keys, resource_queries, secrets, token),
        *(transfer, usage, wasteful, documents),
    )
    functions = {
        function
        for module in modules
        for name, function in vars(module).items()
        if (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }
    about_keys = {function for function in functions if function.__module__ == keys.__name__}
    known = {*AUTH, *RESOURCES, *WHOLE, *NO_SEARCH, audit_reading.events}
    # A table of a handful of keys.
    assert functions - about_keys == known
