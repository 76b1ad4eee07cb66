"""What an operator is told when a change is refused, and that a refused change leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from auth_service.administration.clients import create_client, list_clients, show_client
from auth_service.administration.errors import AdministrationError
from auth_service.administration.keys import KeySummary, create_key
from auth_service.administration.resources import create_resource
from auth_service.master_key import MasterKey
from tests.auth.test_keys_at_rest import new_master_key
from tests.support.databases import Databases
from tests.support.system import ACTOR, RESOURCE, System, as_owner

URI = "https://api.example.com/x"
Work = Callable[[Any], Awaitable[Any]]

REFUSALS: list[tuple[str, Work, str]] = [
    (
        "name with a slash",
        lambda c: create_resource(c, ACTOR, "a/b", URI, ["read"]),
        "starts with a letter",
    ),
    ("empty name", lambda c: create_resource(c, ACTOR, "", URI, ["read"]), "starts with a letter"),
    (
        "name with NUL",
        lambda c: create_resource(c, ACTOR, "a\x00", URI, ["read"]),
        "starts with a letter",
    ),
    (
        "relative identifier",
        lambda c: create_resource(c, ACTOR, "x", "/x", ["read"]),
        "absolute https",
    ),
    (
        "plain http",
        lambda c: create_resource(c, ACTOR, "x", "http://a.example.com", ["r"]),
        "must be https",
    ),
    ("fragment", lambda c: create_resource(c, ACTOR, "x", URI + "#f", ["read"]), "no fragment"),
    (
        "user in it",
        lambda c: create_resource(c, ACTOR, "x", "https://u:p@a.example.com", ["r"]),
        "no user",
    ),
    (
        "long identifier",
        lambda c: create_resource(c, ACTOR, "x", URI + "x" * 2000, ["r"]),
        "at most 2000",
    ),
    ("no scope", lambda c: create_resource(c, ACTOR, "x", URI, []), "at least one scope"),
    ("scope with space", lambda c: create_resource(c, ACTOR, "x", URI, ["a b"]), "without space"),
    ("long scope", lambda c: create_resource(c, ACTOR, "x", URI, ["a" * 256]), "1 to 255"),
    ("lifetime 0", lambda c: create_resource(c, ACTOR, "x", URI, ["read"], 0), "1 to 86400 seconds"),
    ("same name", lambda c: create_resource(c, ACTOR, RESOURCE, URI, ["read"]), "another name"),
    (
        "unknown resource",
        lambda c: create_client(c, ACTOR, "n", {"nothing": ["read"]}),
        "no resource 'nothing'",
    ),
    (
        "unknown scope",
        lambda c: create_client(c, ACTOR, "n", {RESOURCE: ["fly"]}),
        "has no scope fly",
    ),
    ("no resource", lambda c: create_client(c, ACTOR, "n", {}), "at least one resource"),
    ("no name", lambda c: create_client(c, ACTOR, " ", {RESOURCE: ["read"]}), "A client name is"),
    (
        "name with escape",
        lambda c: create_client(c, ACTOR, "\x1b[2J", {RESOURCE: ["read"]}),
        "printable",
    ),
    (
        "id beyond ASCII",
        lambda c: create_client(c, ACTOR, "n", {RESOURCE: ["read"]}, client_id="é"),
        "printable ASCII",
    ),
    (
        "default that is not granted",
        lambda c: create_client(c, ACTOR, "n", {RESOURCE: ["read"]}, default_resource="y"),
        "must be one of the granted",
    ),
    (
        "lifetime of two days",
        lambda c: create_client(c, ACTOR, "n", {RESOURCE: ["read"]}, token_lifetime_seconds=172_800),
        "1 to 86400 seconds",
    ),
    ("client that is not there", lambda c: show_client(c, "nobody"), "no client with this id"),
    ("client id with NUL", lambda c: show_client(c, "a\x00b"), "no client with this id"),
]


@pytest.mark.parametrize(("work", "sentence"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
async def test_refused_changes(system: System, work: Work, sentence: str) -> None:
    """Each mistake is one sentence that says what to do, and the database is as it was."""
    before = await system.as_owner(_census)
    with pytest.raises(AdministrationError, match=sentence):
        await system.as_admin(work)
    assert await system.as_owner(_census) == before


async def test_taken_identifier_and_client_id(start_system: Any) -> None:
    """What exists is not overwritten."""
    system: System = await start_system()
    with pytest.raises(AdministrationError, match="another identifier"):
        await system.as_admin(lambda c: create_resource(c, ACTOR, "x", system.document_url, ["read"]))
    with pytest.raises(AdministrationError, match="choose another id"):
        await system.register("Jane again", client_id=system.client.client_id)


async def test_two_operators_make_the_first_key(databases: Databases) -> None:
    """However many make the first key at once, exactly one becomes active."""
    master_key = MasterKey.from_base64(new_master_key())

    async def create() -> KeySummary:
        return await as_owner(databases.auth_admin, lambda c: create_key(c, ACTOR, master_key, "ES256"))

    made = await asyncio.gather(*(create() for _ in range(4)))
    assert sorted(key.state for key in made) == ["active", "pending", "pending", "pending"]


async def test_client_is_listed_and_shown_without_its_secret(start_system: Any) -> None:
    """After its registration a client's secret can be named by its id and never be read again."""
    system: System = await start_system()
    shown = await system.as_admin(lambda c: show_client(c, system.client.client_id))
    listed = await system.as_admin(list_clients)
    assert listed.rows == [shown]
    assert shown.grants == {RESOURCE: ["read"]}
    assert shown.secret_ids == (system.client.secret.split("_")[1],)
    assert system.client.secret not in repr(shown)


async def _census(connection: Any) -> list[int]:
    tables = ("resources", "resource_scopes", "clients", "client_grants", "client_secrets", "signing_keys")
    return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]  # noqa: S608
