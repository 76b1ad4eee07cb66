"""The neutral format: what an export writes, an import reads; what anybody writes by hand is checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from auth_service import client_secrets
from auth_service.administration.clients import disable_client, update_client
from auth_service.administration.errors import Invalid
from auth_service.administration.secrets import add_secret
from auth_service.transfer import json_lines
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.exporting import export
from auth_service.transfer.records import Item, ResourceRecord
from auth_service.transfer.report import Report
from auth_service.transfer.writing import take
from tests.support.foreign import SECRET, argon2_hash, bcrypt_hash, import_old_client
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System

HERE = ResourceRecord(RESOURCE, "https://api.example.com/api_v0.0.1", ("read", "write"), ("read",))
RESOURCE_LINE = json_lines.resource_document(HERE)
CLIENT_LINE: dict[str, Any] = {
    "type": "client",
    "client_id": "billing",
    "name": "Billing",
    "grants": {RESOURCE: ["read"]},
    "secrets": [{"hash": argon2_hash()}],
}


def file_of(*lines: Any, header: Any = json_lines.HEADER) -> bytes:
    """A file of these lines; bytes stand as they are."""
    return b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in (header, *lines))


def taken_from(*lines: Any, catalogue: Catalogue | None = None) -> list[Item]:
    """What is read of a file."""
    return json_lines.read(file_of(*lines), Catalogue([HERE]) if catalogue is None else catalogue)


async def import_file(system: System, data: bytes, **options: Any) -> Report:
    """Import as the command does."""
    return await system.as_admin(
        lambda c: take(
            c, ACTOR, "json-lines", lambda k: json_lines.read(data, k), **{"apply": True, **options}
        )
    )


async def export_file(system: System) -> bytes:
    """Export as the command does."""
    lines: list[bytes] = []
    await system.as_admin(lambda c: export(c, ACTOR, lines.append))
    return b"".join(lines)


async def test_export_moves_everything(start_system: Any) -> None:
    """Clients, grants, ends, metadata, disabled ones and secrets of both kinds arrive and work as they did."""
    old: System = await start_system()
    end = datetime.now(UTC) + timedelta(days=30, microseconds=1)
    imported = await import_old_client(old)
    await old.as_admin(
        lambda c: update_client(
            c,
            ACTOR,
            old.client.client_id,
            {
                "grants": {RESOURCE: ["read", "write"]},
                "default_resource": RESOURCE,
                "token_lifetime_seconds": 60,
                "expires_at": end,
                "metadata": {"team": ["a", {"b": 1.5}], "ü": None},
            },
        )
    )
    await old.as_admin(lambda c: add_secret(c, ACTOR, old.client.client_id, label="second", expires_at=end))
    out = await old.register("Out")
    await old.as_admin(lambda c: disable_client(c, ACTOR, out.client_id))
    data = await export_file(old)

    new: System = await start_system()
    await new.as_owner(lambda c: c.execute("DELETE FROM clients; DELETE FROM resources"))
    report = await import_file(new, data)
    assert report.counts == {"taken": 4, "changed": 0, "unchanged": 0, "kept": 0, "refused": 0}
    assert await export_file(new) == data
    async with http_client(base_url=new.issuer) as http:
        answers = [
            await http.post("/token", data=GRANT, auth=client.basic) for client in (old.client, imported, out)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    assert answers[0].json()["expires_in"] == 60


async def test_import_of_an_export_changes_nothing(start_system: Any) -> None:
    """Where everything is already, nothing is written: no row, no version, no audit event."""
    system: System = await start_system()
    await import_old_client(system)
    data = await export_file(system)
    before = await system.as_owner(_everything)
    report = await import_file(system, data)
    assert report.counts == {"taken": 0, "changed": 0, "unchanged": 3, "kept": 0, "refused": 0}
    assert await system.as_owner(_everything) == before


async def test_export_is_audited(start_system: Any) -> None:
    """Who took the hashes of all secrets away can be found out."""
    system: System = await start_system()
    await export_file(system)
    events = await system.as_owner(
        lambda c: c.fetch("SELECT actor, object_type FROM audit_events WHERE action = 'client.export'")
    )
    assert [tuple(event) for event in events] == [(ACTOR.name, "client")]


def test_export_holds_no_secret_in_clear() -> None:
    """Nothing but the hash of a secret is in a line."""
    assert set(json_lines.client_document(taken_from(CLIENT_LINE)[0].client)["secrets"][0]) == {  # type: ignore[arg-type] # it is taken
        "secret_id",
        "hash",
        "label",
        "created_at",
        "expires_at",
    }


def test_shortest_client_that_one_can_write() -> None:
    """What is left out has the value that everybody would expect."""
    (item,) = taken_from(CLIENT_LINE)
    assert item.client is not None
    assert item.client.enabled
    assert item.client.grant_types == ("client_credentials",)
    assert item.client.secrets[0].secret_id.startswith("imported-")


NATIVE = client_secrets.hash_secret(client_secrets.generate().value)
REFUSED: list[tuple[str, Any, str]] = [
    ("no JSON", b'{"type": "client", "client_id": "' + SECRET.encode(), "it is no JSON"),
    ("a number", 7, "it is no JSON object"),
    ("null", None, "it is no JSON"),
    ("another type", {"type": "key"}, "neither a client nor a resource"),
    ("no client id", {**CLIENT_LINE, "client_id": None}, "client_id: input should be a valid string"),
    ("no name", {**CLIENT_LINE, "name": ""}, "a client name is 1 to 200"),
    ("unknown member", {**CLIENT_LINE, "colour": 1}, "colour: extra inputs are not permitted"),
    (
        "number as text",
        {**CLIENT_LINE, "token_lifetime_seconds": "60"},
        "token_lifetime_seconds: input should",
    ),
    ("lifetime of nothing", {**CLIENT_LINE, "token_lifetime_seconds": 0}, "1 to 86400"),
    ("flag as text", {**CLIENT_LINE, "enabled": "no"}, "enabled: input should be a valid boolean"),
    ("end without a zone", {**CLIENT_LINE, "expires_at": "2031-01-01T00:00:00"}, "expires_at: "),
    ("end that is none", {**CLIENT_LINE, "expires_at": "soon"}, "expires_at: "),
    ("grants as a list", {**CLIENT_LINE, "grants": [RESOURCE]}, "grants: input should be a valid dictionary"),
    ("grant of no scope", {**CLIENT_LINE, "grants": {RESOURCE: []}}, "name at least one scope"),
    ("unknown resource", {**CLIENT_LINE, "grants": {"x": ["read"]}}, "there is no resource 'x'"),
    ("unknown scope", {**CLIENT_LINE, "grants": {RESOURCE: ["fly"]}}, "has no scope fly"),
    ("unknown grant type", {**CLIENT_LINE, "grant_types": ["password"]}, "a grant type of it does not exist"),
    ("no grant type", {**CLIENT_LINE, "grant_types": []}, "a grant type of it does not exist"),
    ("secret in clear", {**CLIENT_LINE, "secrets": [{"hash": SECRET}]}, "in clear or of no hash"),
    ("secret without hash", {**CLIENT_LINE, "secrets": [{}]}, "secrets.0.hash: field required"),
    ("our hash without id", {**CLIENT_LINE, "secrets": [{"hash": NATIVE}]}, "needs its secret_id"),
    (
        "our hash under another id",
        {**CLIENT_LINE, "secrets": [{"hash": NATIVE, "secret_id": "imported-1"}]},
        "needs its secret_id",
    ),
    (
        "two old secrets",
        {**CLIENT_LINE, "secrets": [{"hash": argon2_hash()}, {"hash": bcrypt_hash()}]},
        "more than one",
    ),
    (
        "one id twice",
        {**CLIENT_LINE, "secrets": [{"hash": NATIVE, "secret_id": "A" * 12}] * 2},
        "two of its secrets have one id",
    ),
    (
        "too many secrets",
        {**CLIENT_LINE, "secrets": [{"hash": NATIVE, "secret_id": f"{n:012}"} for n in range(21)]},
        "more than 20 secrets",
    ),
    (
        "label with an escape",
        {**CLIENT_LINE, "secrets": [{"hash": argon2_hash(), "label": "\x1b"}]},
        "printable",
    ),
    ("metadata with NUL", {**CLIENT_LINE, "metadata": {"a": "\x00"}}, "no NUL"),
    (
        "resource of wrong types",
        {**RESOURCE_LINE, "scopes": "read"},
        "a resource: scopes: input should be a valid list",
    ),
]


@pytest.mark.parametrize(("line", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_line_that_is_wrong_is_refused(line: Any, reason: str) -> None:
    """Each is refused by itself, by its number, with the reason, and without a secret."""
    items = taken_from({**CLIENT_LINE, "client_id": "good"}, line)
    (good,) = [item for item in items if item.client is not None]
    (item,) = [item for item in items if item.client is None]
    assert (good.place, item.place) == ("line 2", "line 3")
    assert reason in item.notes[0]
    assert SECRET not in item.notes[0]


def test_default_that_is_not_granted() -> None:
    """A default resource that is none of the granted ones is left out, with a note."""
    (item,) = taken_from({**CLIENT_LINE, "default_resource": "other"})
    assert item.client is not None
    assert item.client.default_resource is None
    assert "left out" in item.notes[0]


DECLARED: list[tuple[str, dict[str, Any], str]] = [
    ("the same", {}, ""),
    ("another identifier", {"identifier": "https://x.example.com"}, "another resource of this name"),
    ("fewer scopes", {"scopes": ["read"]}, "another resource of this name"),
    ("other defaults", {"default_scopes": []}, "another resource of this name"),
    ("no https", {"name": "x", "identifier": "http://x.example.com"}, "must be https"),
    ("no name", {"name": "a/b", "identifier": "https://x.example.com"}, "letters, digits"),
    ("taken identifier", {"name": "x"}, "api_v0.0.1 has its name or its identifier"),
    ("no scope", {"name": "x", "identifier": "https://x.example.com", "scopes": []}, "at least one scope"),
    (
        "default that is none",
        {"name": "x", "identifier": "https://x.example.com", "default_scopes": ["fly"]},
        "none of its scopes",
    ),
    (
        "lifetime of a week",
        {"name": "x", "identifier": "https://x.example.com", "token_lifetime_seconds": 604_800},
        "1 to 86400",
    ),
]


@pytest.mark.parametrize(("change", "reason"), [d[1:] for d in DECLARED], ids=[d[0] for d in DECLARED])
def test_resource_of_a_file(change: dict[str, Any], reason: str) -> None:
    """A resource that is here otherwise, or cannot be, is refused, and with it the clients that need it."""
    catalogue = Catalogue([HERE])
    line = {**RESOURCE_LINE, **change}
    (item,) = taken_from({**CLIENT_LINE, "grants": {line["name"]: ["read"]}}, line, catalogue=catalogue)
    (declared,) = catalogue.declared
    assert reason in declared.reason
    assert bool(declared.reason) == bool(reason) == (item.client is None)
    if reason:
        assert item.notes == (f"its resource {line['name']} is refused",)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no file of that format"),
        (b"junk", "no file of that format"),
        (file_of(header={"type": "client"}), "no file of that format"),
        (file_of(header={**json_lines.HEADER, "version": 2}), "reads version 1"),
    ],
    ids=["empty", "junk", "no header", "version of tomorrow"],
)
def test_file_of_another_format(data: bytes, sentence: str) -> None:
    """A file that does not say that it is of this format is not read at all."""
    with pytest.raises(Invalid, match=sentence):
        json_lines.read(data, Catalogue([]))


async def test_file_written_by_hand_moves_a_client(start_system: Any) -> None:
    """Lines in any order, with empty ones between: the resource is made and the client gets a token for it."""
    system: System = await start_system()
    reports = {
        "type": "resource",
        "name": "reports",
        "identifier": "https://reports.example.com",
        "scopes": ["read", "write"],
        "default_scopes": ["read"],
    }
    line = {**CLIENT_LINE, "grants": {"reports": ["read", "write"]}}
    await import_file(system, file_of(line, b"", reports))
    async with http_client(base_url=system.issuer) as http:
        answer = await http.post("/token", data=GRANT, auth=Registered("billing", SECRET).basic)
    assert (answer.status_code, answer.json()["scope"]) == (200, "read")


async def _everything(connection: Any) -> list[Any]:
    tables = ("clients", "client_grants", "client_secrets", "resources", "resource_scopes")
    rows = [await connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]  # noqa: S608
    events = await connection.fetchval("SELECT count(*) FROM audit_events WHERE action LIKE '%import'")
    return [*([tuple(row) for row in found] for found in rows), events]
