"""What a request costs the database, counted by PostgreSQL itself, and what happens when it is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from resource_service import queries
from resource_service.app import create_app
from resource_service.settings import ResourceSettings
from steelcut.service.database.connecting import connect
from steelcut.service.refusal import Refusal
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Databases, Templates
from tests.support.outage import outage
from tests.support.plain_http import http_client
from tests.support.statements import Statements, observed_system
from tests.support.system import DOCUMENT, RESOURCE, System
from tests.support.tokens import IssuerKey

PATH = f"/{RESOURCE}"


@pytest.fixture
async def observed(
    templates: Templates, postgres: EmbeddedPostgres
) -> AsyncIterator[tuple[System, Statements]]:
    """A system of the test's own whose resource database logs every statement."""
    async with observed_system(templates, postgres, "resource") as observed:
        yield observed


@pytest.fixture
async def client(observed: tuple[System, Statements]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that system."""
    async with http_client(base_url=observed[0].resource_base) as client:
        yield client


async def _bearer(system: System, registered: Any = None) -> dict[str, str]:
    async with http_client() as http:
        response = await http.post(
            system.token_url,
            data={"grant_type": "client_credentials"},
            auth=(registered or system.client).basic,
        )
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def test_served_document_costs_one_statement_at_most(
    observed: tuple[System, Statements], client: httpx.AsyncClient
) -> None:
    """GET, HEAD and 304 are one statement the first time and none after it; 404 is one each time.

    No RESET, no transaction, no look-up before it.
    """
    system, statements = observed
    bearer = await _bearer(system)
    etag = (await client.get(PATH, headers=bearer)).headers["etag"]
    kept = system.resource_app.state.process.documents
    requests: list[tuple[str, str, dict[str, str], int]] = [
        ("GET", PATH, {}, 200),
        ("HEAD", PATH, {}, 200),
        ("GET", PATH, {"If-None-Match": etag}, 304),
        ("GET", PATH, {"If-None-Match": "*"}, 304),
        ("GET", f"{PATH}/unknown", {}, 404),
    ]
    for method, path, headers, status in requests:
        kept.missed()
        for times, cost in enumerate((1, 1 if status == 404 else 0)):
            statements.new()
            response = await client.request(method, path, headers={**bearer, **headers})
            assert response.status_code == status
            assert len(statements.new()) == cost, (method, path, headers, times)


async def test_forward_authentication_costs_no_statement(
    observed: tuple[System, Statements], client: httpx.AsyncClient
) -> None:
    """What stands behind a proxy is not in this database: whether a request may pass there is the token's to say."""
    system, statements = observed
    bearer = await _bearer(system)
    url = f"/verify?resource={RESOURCE}"
    await client.get(PATH, headers=bearer)
    statements.new()
    for query, headers, status in (("", bearer, 200), ("", {}, 401), ("&scope=write", bearer, 403)):
        assert (await client.get(url + query, headers=headers)).status_code == status
    assert statements.new() == []


async def test_change_costs_as_many_statements_as_it_must(
    observed: tuple[System, Statements], client: httpx.AsyncClient
) -> None:
    """PUT is one statement, with a look before it under a condition; DELETE looks and deletes in a transaction."""
    system, statements = observed
    writer = await _bearer(system, await system.register("Writer", ("write",)))
    writer |= {"Content-Type": "application/json"}
    requests: list[tuple[str, bytes, dict[str, str], int, int]] = [
        ("PUT", b"1", {}, 201, 1),
        ("PUT", b"2", {}, 204, 1),
        ("PUT", b"3", {"If-Match": "*"}, 204, 2),
        ("PUT", b"4", {"If-Match": '"other"'}, 412, 1),
        ("PUT", b"{", {}, 400, 0),
        ("DELETE", b"", {"If-Match": '"other"'}, 412, 3),
        ("DELETE", b"", {}, 204, 4),
    ]
    for method, body, headers, status, count in requests:
        statements.new()
        response = await client.request(
            method, f"{PATH}/counted", content=body, headers={**writer, **headers}
        )
        assert response.status_code == status
        assert len(statements.new()) == count, (method, body, headers)


async def test_refused_request_costs_no_statement(
    observed: tuple[System, Statements], client: httpx.AsyncClient
) -> None:
    """Who is not let in does not reach the database, whatever he tries."""
    system, statements = observed
    bearer = await _bearer(system)
    writer = await _bearer(system, await system.register("Writer", ("write",)))
    forged = IssuerKey.generate(kid="forged").token({"iss": system.issuer})
    await client.get(PATH, headers=bearer)
    statements.new()
    refused: list[tuple[str, dict[str, str], int]] = [
        ("GET", {}, 401),
        ("GET", {"Authorization": "Basic dXNlcjpwYXNz"}, 401),
        ("GET", {"Authorization": f"Bearer {forged}"}, 401),
        ("GET", {"Authorization": "Bearer a b"}, 400),
        ("GET", writer, 403),
        ("HEAD", {}, 401),
        ("POST", bearer, 405),
        ("PUT", {}, 401),
        ("PUT", bearer, 403),
        ("PUT", {**writer, "Content-Type": "text/plain"}, 415),
        ("DELETE", {}, 401),
        ("DELETE", bearer, 403),
    ]
    for method, headers, status in refused:
        assert (await client.request(method, PATH, headers=headers)).status_code == status
    assert (await client.get("/unknown", headers=bearer)).status_code == 401
    assert (await client.get(f"{PATH}%00", headers=bearer)).status_code == 404
    assert (await client.get("/.well-known/oauth-protected-resource/docs")).status_code == 404
    assert statements.new() == []


async def test_hot_statements_use_the_primary_key(databases: Databases) -> None:
    """With many documents each statement of a request is one index look-up."""
    connection = await connect(databases.resource.owner)
    try:
        await connection.execute(
            "INSERT INTO documents (resource, key, body, etag)"
            " SELECT 'r' || n / 100, 'k' || n, '{}', repeat('0', 32) FROM generate_series(1, 20000) n"
        )
        await connection.execute("ANALYZE documents")
        statements: list[tuple[str, tuple[Any, ...]]] = [
            (queries.DOCUMENT, ("r7", "k700")),
            (queries.DOCUMENT_UNLESS_KNOWN, ("r7", "k700", True, ["x"])),
            (queries.RESOURCE_EXISTS, ("r7",)),
        ]
        for statement, arguments in statements:
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *arguments))
            assert "documents_pkey" in plan, plan
            assert "Seq Scan" not in plan, plan
    finally:
        await connection.close()


async def test_known_body_is_not_read(databases: Databases) -> None:
    """A caller who has the version at hand costs no read of a large body (it lies apart, in the TOAST table)."""
    connection = await connect(databases.resource.owner)
    try:
        await connection.execute(
            "INSERT INTO documents (resource, body, etag) VALUES ('big', $1, repeat('0', 32))",
            b"x" * 1_000_000,
        )
        buffers = {}
        for known in ("0" * 32, "1" * 32):
            arguments: tuple[Any, ...] = ("big", "", True, [known])
            explain = f"EXPLAIN (ANALYZE, BUFFERS, SERIALIZE, FORMAT TEXT) {queries.DOCUMENT_UNLESS_KNOWN}"
            rows = await connection.fetch(explain, *arguments)
            plan = "\n".join(row[0] for row in rows)
            buffers[known] = sum(int(part) for part in _after(plan, "shared hit="))
        assert buffers["0" * 32] * 4 < buffers["1" * 32], buffers
    finally:
        await connection.close()


def _after(text: str, mark: str) -> list[str]:
    return [part.split(" ")[0].split("\n")[0] for part in text.split(mark)[1:]]


async def test_run_time_role_reads_and_nothing_else(databases: Databases) -> None:
    """Whoever takes over the service can change, delete and publish nothing, and make no table."""
    connection = await connect(databases.resource.runtime)
    try:
        assert await connection.fetch("SELECT * FROM documents") == []
        for statement in (
            "INSERT INTO documents (resource, body, etag) VALUES ('a', '{}', repeat('0', 32))",
            "UPDATE documents SET body = '{}'",
            "DELETE FROM documents",
            "TRUNCATE documents",
            "DROP TABLE documents",
            "ALTER TABLE documents ADD COLUMN x int",
            "CREATE TABLE mine (x int)",
            "CREATE SCHEMA mine",
            "SET ROLE resource_owner",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_publisher_changes_documents_and_nothing_else(databases: Databases) -> None:
    """Whoever takes over a process that publishes can change documents, and neither tables nor rights."""
    connection = await connect(databases.publisher)
    try:
        insert = "INSERT INTO documents (resource, body, etag) VALUES ('a', '{}', repeat('0', 32))"
        await connection.execute(insert)
        await connection.execute("UPDATE documents SET body = '[]'")
        await connection.execute("DELETE FROM documents")
        for statement in (
            "TRUNCATE documents",
            "DROP TABLE documents",
            "ALTER TABLE documents ADD COLUMN x int",
            "CREATE INDEX ON documents (etag)",
            "CREATE TABLE mine (x int)",
            "CREATE SCHEMA mine",
            "GRANT INSERT ON documents TO resource_runtime",
            "UPDATE alembic_version SET version_num = '0'",
            "SET ROLE resource_owner",
        ):
            if statement.startswith("GRANT"):
                # PostgreSQL warns and grants nothing.
                await connection.execute(statement)
                assert not await connection.fetchval(
                    "SELECT has_table_privilege('resource_runtime', 'documents', 'INSERT')"
                )
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_database_goes_away_and_comes_back(start_system: Any, postgres: EmbeddedPostgres) -> None:
    """Without its database the service refuses documents with 503, judges tokens as ever, and recovers by itself.

    What it has just read it goes on serving for as long as that is young.
    """
    system: System = await start_system(resource_options={"stale_seconds": 0})
    bearer = await _bearer(system)
    writer = await _bearer(system, await system.register("Writer", ("write",)))
    writer |= {"Content-Type": "application/json"}
    await system.heard()
    async with http_client(base_url=system.resource_base) as client:
        assert (await client.get(PATH, headers=bearer)).content == DOCUMENT
        async with outage(postgres, system.databases.resource.owner):
            assert (await client.get(PATH, headers=bearer)).content == DOCUMENT
            system.resource_app.state.process.documents.missed()
            refused = await client.get(PATH, headers=bearer)
            metadata = await client.get(f"/.well-known/oauth-protected-resource/{RESOURCE}")
            without = await client.get(PATH)
            changes = [
                await client.put(PATH, content=b"{}", headers=writer),
                await client.put(PATH, content=b"{}", headers={**writer, "If-Match": "*"}),
                await client.delete(PATH, headers=writer),
            ]
            alive, ready = await client.get("/healthz"), await client.get("/readyz")
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert [change.status_code for change in changes] == [503, 503, 503]
        assert (metadata.status_code, without.status_code) == (503, 401)
        assert (alive.status_code, ready.status_code) == (200, 503)
        assert ready.json()["checks"]["issuer_keys"] == "ok"
        assert (await client.get(PATH, headers=bearer)).content == DOCUMENT
        assert (await client.put(PATH, content=DOCUMENT, headers=writer)).status_code == 204
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DROP TABLE documents", "has not the schema"),
        ("ALTER TABLE documents RENAME COLUMN resource TO other", "has not the schema"),
        ("REVOKE ALL ON documents FROM resource_runtime", "may not read"),
    ],
)
async def test_start_on_a_wrong_schema_is_refused(
    databases: Databases, statement: str, sentence: str
) -> None:
    """A database that was not migrated is a sentence at the start, not an error at the first request."""
    connection = await connect(databases.resource.owner)
    await connection.execute(statement)
    await connection.close()
    await _refused_start(databases.resource.runtime, sentence)


async def test_start_as_the_owner_is_refused(databases: Databases) -> None:
    """The service does not run with the rights of the owner of its tables."""
    await _refused_start(databases.resource.owner, "as the owner")


async def test_start_with_the_wrong_publisher_is_refused(databases: Databases) -> None:
    """A publisher that is the owner, or may not publish, is a sentence at the start."""
    for publisher, sentence in (
        (databases.resource.owner, "give it the publisher's database URL"),
        (databases.resource.runtime, "may not write documents"),
        (databases.publisher.replace("publisher-password", "wrong"), "refuses the role or password"),
    ):
        await _refused_start(databases.resource.runtime, sentence, publisher_database_url=publisher)


async def _refused_start(database_url: str, sentence: str, **options: Any) -> None:
    settings = ResourceSettings(database_url=database_url, **options)  # type: ignore[arg-type]
    app = create_app(settings)
    with pytest.raises(Refusal, match=sentence):
        async with app.router.lifespan_context(app):
            pytest.fail("it started")
