"""Resources and scopes change under the clients that have them; who they are and what they use is known."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth_service.administration import clients, resources
from auth_service.administration.errors import (
    AdministrationError,
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
)
from auth_service.queries.resources import ResourceRow, ScopeRow
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System, running_system

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
async def house(templates: Templates) -> AsyncIterator[System]:
    """A system for tests that make resources of their own."""
    async with running_system(await templates.clone()) as system:
        yield system


async def create(system: System, scopes: Sequence[str] = ("read", "write"), **options: Any) -> ResourceRow:
    """Register a resource under a name of its own."""
    name = f"r{next(NUMBERS)}"
    return await system.as_admin(
        lambda c: resources.create_resource(
            c, ACTOR, name, f"https://api.example.com/{name}", scopes, **options
        )
    )


async def update(
    system: System, name: str, changes: resources.ResourceChanges, **options: Any
) -> ResourceRow:
    """Change a resource as an operator does."""
    return await system.as_admin(lambda c: resources.update_resource(c, ACTOR, name, changes, **options))


async def ask(system: System, client: Registered, **form: Any) -> dict[str, Any]:
    """Post a token request to a process that has heard of everything; return the answer, claims included."""
    system.auth_process.registry.forget_all()
    async with http_client() as http:
        response = await http.post(system.token_url, data={**GRANT, **form}, auth=client.basic)
    answer: dict[str, Any] = response.json()
    if response.is_success:
        payload = answer["access_token"].split(".")[1]
        answer["claims"] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return answer


async def log(system: System, object_type: str, object_id: str) -> list[dict[str, Any]]:
    """Return the administrative events of an object, oldest first, as JSON values."""
    rows = await system.as_owner(
        lambda c: c.fetch(
            "SELECT action, before, after FROM audit_events WHERE object_type = $1 AND object_id = $2"
            " AND action NOT LIKE 'token.%' ORDER BY at",
            object_type,
            object_id,
        )
    )
    return [
        {
            "action": row["action"],
            "before": json.loads(row["before"] or "null"),
            "after": json.loads(row["after"] or "null"),
        }
        for row in rows
    ]


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        (["read", "write", "admin"], "list read"),
        (["read", "admin"], "read"),
        (["write", "admin"], "admin write"),
    ],
)
async def test_default_scopes(house: System, granted: list[str], expected: str) -> None:
    """Without ``scope`` a client gets the defaults that it was granted, or all that it was, if there are none."""
    scopes = ["read", "list", "write", "admin"]
    resource = await create(house, scopes, default_scopes=["read", "list"])
    grants = {resource.name: [*granted, "list"] if expected == "list read" else granted}
    client = await house.register("Asks for nothing", grants=grants)
    assert (await ask(house, client))["scope"] == expected
    assert (await ask(house, client, scope="admin"))["claims"]["scope"] == "admin"


async def test_default_scopes_of_several_resources(house: System) -> None:
    """A token for two resources carries by default what both give by default."""
    one = await create(house, ["read", "write"], default_scopes=["read"])
    other = await create(house, ["read", "write"])
    client = await house.register("Two", grants={one.name: ["read", "write"], other.name: ["read", "write"]})
    assert (await ask(house, client, resource=[one.name, other.name]))["scope"] == "read"
    await update(house, other.name, {"default_scopes": ["write"]})
    assert (await ask(house, client, resource=[one.name, other.name]))["error"] == "invalid_scope"


async def test_scope_is_added_and_granted(house: System) -> None:
    """What is new can be granted at once, and nobody has it before."""
    resource = await create(house, ["read"])
    client = await house.register("Grows", grants={resource.name: ["read"]})
    changed = await update(house, resource.name, {"scopes": ["read", "delete"]})
    assert (changed.scopes, changed.version) == (("delete", "read"), 2)
    assert (await ask(house, client, scope="delete"))["error"] == "invalid_scope"
    grants = {resource.name: ["read", "delete"]}
    await house.as_admin(lambda c: clients.update_client(c, ACTOR, client.client_id, {"grants": grants}))
    assert (await ask(house, client, scope="delete"))["scope"] == "delete"


async def test_granted_scope_is_removed_by_force_alone(house: System) -> None:
    """The refusal names who has it; by force it is taken from them, and the log of each of them says so."""
    resource = await create(house, ["read", "write"], default_scopes=["write"])
    grants = {resource.name: ["read", "write"]}
    writers = [await house.register("Writer", grants=grants) for _ in range(4)]
    reader = await house.register("Reader", grants={resource.name: ["read"]})
    with pytest.raises(Conflict, match=rf"The scope write of {resource.name} is granted to .* and 1 more: "):
        await update(house, resource.name, {"scopes": ["read"]})
    assert (await ask(house, writers[0], scope="write"))["scope"] == "write"

    changed = await update(house, resource.name, {"scopes": ["read"]}, force=True)
    # A default goes with its scope.
    assert (changed.scopes, changed.default_scopes) == (("read",), ())
    assert (await ask(house, writers[0], scope="write"))["error"] == "invalid_scope"
    assert (await ask(house, writers[0]))["scope"] == "read"
    for client, version, actions in (
        (writers[3], 2, ["client.create", "client.update"]),
        (reader, 1, ["client.create"]),
    ):
        shown = await house.as_admin(lambda c: clients.show_client(c, client.client_id))  # noqa: B023
        assert (shown.grants, shown.version) == ({resource.name: ["read"]}, version)
        assert [event["action"] for event in await log(house, "client", client.client_id)] == actions
    event = (await log(house, "client", writers[0].client_id))[-1]
    assert event["before"] == {"grants": {resource.name: ["read", "write"]}}
    assert event["after"] == {"grants": {resource.name: ["read"]}}
    event = (await log(house, "resource", resource.name))[-1]
    assert event["before"] == {"scopes": ["read", "write"], "default_scopes": ["write"]}
    assert event["after"] == {"scopes": ["read"], "default_scopes": []}


async def test_scope_that_nobody_has_is_removed_without_force(house: System) -> None:
    """There is nothing to lose."""
    resource = await create(house, ["read", "unused"])
    await house.register("Reader", grants={resource.name: ["read"]})
    assert (await update(house, resource.name, {"scopes": ["read"]})).scopes == ("read",)


async def test_identifier_becomes_the_audience(house: System) -> None:
    """Tokens from now on are for the new one; the name stays."""
    resource = await create(house)
    client = await house.register("Moved", grants={resource.name: ["read"]})
    moved = "https://api.example.com/moved"
    await update(house, resource.name, {"identifier": moved})
    for named in (resource.name, moved):
        assert (await ask(house, client, resource=named))["claims"]["aud"] == moved
    assert (await ask(house, client, resource=resource.identifier))["error"] == "invalid_target"


async def test_lifetime_is_set_and_taken_away(house: System) -> None:
    """In seconds; None is as long as the service allows."""
    resource = await create(house)
    client = await house.register("Brief", grants={resource.name: ["read"]})
    await update(house, resource.name, {"token_lifetime_seconds": 60})
    assert (await ask(house, client))["expires_in"] == 60
    await update(house, resource.name, {"token_lifetime_seconds": None})
    assert (await ask(house, client))["expires_in"] == 3600


async def test_change_that_changes_nothing(house: System) -> None:
    """No version, no event."""
    resource = await create(house)
    same: resources.ResourceChanges = {"scopes": ["write", "read"], "identifier": resource.identifier}
    assert await update(house, resource.name, same) == resource
    assert [event["action"] for event in await log(house, "resource", resource.name)] == ["resource.create"]


async def test_lost_update_is_prevented(house: System) -> None:
    """Whoever decided on an older state is told, and nothing has changed."""
    resource = await create(house)
    await update(house, resource.name, {"token_lifetime_seconds": 60}, expected_version=1)
    with pytest.raises(PreconditionFailed):
        await update(house, resource.name, {"token_lifetime_seconds": 90}, expected_version=1)
    with pytest.raises(PreconditionFailed):
        await house.as_admin(lambda c: resources.delete_resource(c, ACTOR, resource.name, expected_version=1))
    shown = await house.as_admin(lambda c: resources.show_resource(c, resource.name))
    assert shown.token_lifetime_seconds == 60


async def test_granted_resource_is_deleted_by_force_alone(house: System) -> None:
    """By force it is taken from those who have it, their default with it, and nothing of its use stays."""
    resource = await create(house)
    client = await house.register(
        "Loses it",
        grants={resource.name: ["read"], RESOURCE: ["read"]},
        default_resource=resource.name,
    )
    await ask(house, client)
    await house.auth_process.audit.flush()
    with pytest.raises(Conflict, match=f"is granted to {client.client_id}: "):
        await house.as_admin(lambda c: resources.delete_resource(c, ACTOR, resource.name))
    await house.as_admin(lambda c: resources.delete_resource(c, ACTOR, resource.name, force=True))
    shown = await house.as_admin(lambda c: clients.show_client(c, client.client_id))
    assert (shown.grants, shown.default_resource) == ({RESOURCE: ["read"]}, None)
    assert (await ask(house, client))["claims"]["aud"] == house.document_url
    with pytest.raises(NotFound):
        await house.as_admin(lambda c: resources.show_resource(c, resource.name))
    used = await house.as_owner(
        lambda c: c.fetchval("SELECT count(*) FROM grant_usage WHERE resource = $1", resource.name)
    )
    assert used == 0
    event = (await log(house, "resource", resource.name))[-1]
    assert (event["action"], event["after"]) == ("resource.delete", None)
    assert event["before"]["identifier"] == resource.identifier
    taken, left_without = (await log(house, "client", client.client_id))[-2:]
    assert (taken["action"], taken["after"]) == ("client.update", {"grants": {resource.name: []}})
    assert left_without["before"] == {"default_resource": resource.name}
    assert left_without["after"] == {"default_resource": None}


async def test_resource_that_nobody_has_is_deleted(house: System) -> None:
    """Without force."""
    resource = await create(house)
    await house.as_admin(lambda c: resources.delete_resource(c, ACTOR, resource.name))
    names = [row.name for row in await house.as_admin(resources.list_resources)]
    assert resource.name not in names


async def test_who_can_call_it_and_when_did_they_last(house: System) -> None:
    """Each client with each scope that it has, and when a token last had that; in pages."""
    resource = await create(house)
    grants = {resource.name: ["read", "write"]}
    busy = await house.register("Busy", client_id=f"{resource.name}-1", grants=grants)
    idle = await house.register("Idle", client_id=f"{resource.name}-2", grants={resource.name: ["read"]})
    shut = await house.register("Shut", client_id=f"{resource.name}-3", grants=grants)
    await house.register("Elsewhere")
    await house.as_admin(lambda c: clients.disable_client(c, ACTOR, shut.client_id))
    await ask(house, busy, scope="read")
    await house.auth_process.audit.flush()

    first = await house.as_admin(lambda c: resources.list_callers(c, resource.name, limit=2))
    rest = await house.as_admin(
        lambda c: resources.list_callers(c, resource.name, cursor=first.next_cursor, limit=2)
    )
    callers = [*first.rows, *rest.rows]
    assert [(caller.client_id, caller.state) for caller in callers] == [
        (busy.client_id, "active"),
        (idle.client_id, "active"),
        (shut.client_id, "disabled"),
    ]
    assert rest.next_cursor is None
    used = callers[0].last_used_at
    assert used is not None
    assert abs(used - datetime.now(UTC)) < timedelta(minutes=1)
    assert callers[0].scopes == {"read": used, "write": None}
    assert (callers[1].scopes, callers[1].last_used_at) == ({"read": None}, None)
    # A scope that was taken away cannot be called with, whenever it was used.
    taken = {"grants": {resource.name: ["write"]}}
    await house.as_admin(lambda c: clients.update_client(c, ACTOR, busy.client_id, taken))  # type: ignore[arg-type]
    page = await house.as_admin(lambda c: resources.list_callers(c, resource.name))
    assert page.rows[0].scopes == {"write": None}


async def test_scopes_with_their_use(house: System) -> None:
    """How many have each, and when it was last used by anybody."""
    resource = await create(house, ["read", "write"], default_scopes=["read"])
    client = await house.register("One", grants={resource.name: ["read", "write"]})
    await house.register("Two", grants={resource.name: ["read"]})
    await ask(house, client)
    await house.auth_process.audit.flush()
    read, write = await house.as_admin(lambda c: resources.list_scopes(c, resource.name))
    assert read.last_used_at is not None
    assert read == ScopeRow(resource.name, "read", is_default=True, clients=2, last_used_at=read.last_used_at)
    assert write == ScopeRow(resource.name, "write", is_default=False, clients=1, last_used_at=None)
    everywhere = await house.as_admin(resources.list_scopes)
    assert read in everywhere
    assert RESOURCE in {scope.resource for scope in everywhere}


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"identifier": "http://api.example.com"}, Invalid, "must be https"),
        ({"identifier": "https://taken.example.com"}, Conflict, "another identifier"),
        ({"scopes": []}, Invalid, "at least one scope"),
        ({"scopes": ["a b"]}, Invalid, "without space"),
        ({"default_scopes": ["write"]}, Invalid, "must be one of the resource's"),
        ({"scopes": ["read"], "default_scopes": ["fly"]}, Invalid, "must be one of the resource's"),
        ({"token_lifetime_seconds": 0}, Invalid, "1 to 86400 seconds"),
    ],
)
async def test_refused_changes(
    mine: System, changes: resources.ResourceChanges, kind: type[AdministrationError], sentence: str
) -> None:
    """One sentence that says what to do, and nothing has changed."""
    before = await mine.as_admin(lambda c: resources.show_resource(c, "mine"))
    with pytest.raises(kind, match=sentence):
        await update(mine, "mine", changes)
    assert await mine.as_admin(lambda c: resources.show_resource(c, "mine")) == before


@pytest.fixture(scope="module")
async def mine(house: System) -> System:
    """The resource that these changes are tried on, and another one."""

    async def both(connection: Any) -> None:
        for name in ("mine", "taken"):
            await resources.create_resource(connection, ACTOR, name, f"https://{name}.example.com", ["read"])

    await house.as_admin(both)
    return house


@pytest.mark.parametrize(
    "deed",
    [
        lambda c: resources.show_resource(c, "nothing"),
        lambda c: resources.show_resource(c, "a/b\x00"),
        lambda c: resources.update_resource(c, ACTOR, "nothing", {"scopes": ["read"]}),
        lambda c: resources.delete_resource(c, ACTOR, "\x00"),
        lambda c: resources.list_callers(c, "nothing"),
        lambda c: resources.list_scopes(c, "nothing"),
    ],
)
async def test_resource_that_is_not_there(house: System, deed: Any) -> None:
    """Is said in a sentence, whatever was to be done with it."""
    with pytest.raises(NotFound, match="no resource of this name"):
        await house.as_admin(deed)
