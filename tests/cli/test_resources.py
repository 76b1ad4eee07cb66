"""An operator changes resources at the terminal and sees who uses them."""

from __future__ import annotations

import asyncpg
import pytest

from tests.cli.conftest import Steelcut


@pytest.fixture
async def api(steelcut: Steelcut) -> None:
    """A resource of two scopes that one client has."""
    await steelcut("resources", "create", "api", "-s", "read", "-s", "write", "--default-scope", "read")
    await steelcut("clients", "create", "Jane", "--client-id", "jane", "-g", "api=read,write")


@pytest.mark.usefixtures("api")
async def test_resource_is_changed_by_differences(steelcut: Steelcut) -> None:
    """What is named is changed, the rest stays."""
    changed = await steelcut(
        *("resources", "update", "api", "--add-scope", "delete", "--default-scope", "delete"),
        *("--default-scope", "read", "--lifetime", "60", "--json"),
    )
    assert changed.json["scopes"] == ["delete", "read", "write"]
    assert changed.json["default_scopes"] == ["delete", "read"]
    assert (changed.json["token_lifetime_seconds"], changed.json["version"]) == (60, 2)
    assert changed.json["identifier"] == "http://127.0.0.1:8001/api"
    other = "https://api.example.com/api"
    changed = await steelcut(
        *("resources", "update", "api", "--remove-scope", "delete", "--no-default-scopes", "--no-lifetime"),
        *("--identifier", other),
    )
    assert other in changed.out
    shown = await steelcut("resources", "show", "api", "--json")
    assert (shown.json["scopes"], shown.json["default_scopes"]) == (["read", "write"], [])
    assert shown.json["token_lifetime_seconds"] is None
    assert "all that the client was granted" in (await steelcut("resources", "show", "api")).out


@pytest.mark.usefixtures("api")
async def test_what_is_granted_goes_by_force_alone(steelcut: Steelcut) -> None:
    """The refusal names who has it."""
    refused = await steelcut("resources", "update", "api", "--remove-scope", "write")
    assert refused.code == 1
    assert refused.sentence == (
        "The scope write of api is granted to jane: take it from them first, or force it."
    )
    assert (await steelcut("resources", "update", "api", "--remove-scope", "write", "--force")).code == 0
    refused = await steelcut("resources", "delete", "api")
    assert refused.code == 1
    assert refused.sentence.startswith("The resource api is granted to jane: ")
    deleted = await steelcut("resources", "delete", "api", "--force", "--yes")
    assert (deleted.code, deleted.out) == (0, "Deleted api.\n")
    assert (await steelcut("clients", "show", "jane", "--json")).json["grants"] == {}


@pytest.mark.usefixtures("api")
async def test_callers_and_scopes(steelcut: Steelcut, operator: dict[str, str]) -> None:
    """Who can call it, with which scopes, and when they last did."""
    connection = await asyncpg.connect(operator["AUTH_OWNER_DATABASE_URL"])
    await connection.execute(
        "INSERT INTO grant_usage VALUES ('jane', 'api', 'read', '2031-05-06 07:08:09+00')"
    )
    await connection.close()
    callers = await steelcut("resources", "callers", "api")
    assert [line.split() for line in callers.out.splitlines()[1:]] == [
        ["jane", "Jane", "active", "read", "2031-05-06", "07:08:09", "UTC"],
        ["jane", "Jane", "active", "write", "never"],
    ]
    (caller,) = (await steelcut("resources", "callers", "api", "--json")).json
    assert caller["scopes"] == {"read": "2031-05-06T07:08:09+00:00", "write": None}
    scopes = await steelcut("scopes", "list")
    assert [line.split() for line in scopes.out.splitlines()[1:]] == [
        ["api", "read", "default", "1", "2031-05-06", "07:08:09", "UTC"],
        ["api", "write", "1", "never"],
    ]
    listed = (await steelcut("scopes", "list", "api", "--json")).json
    assert [scope["scope"] for scope in listed] == ["read", "write"]
    await steelcut("resources", "create", "idle", "-s", "read")
    assert "Nobody can call idle" in (await steelcut("resources", "callers", "idle")).out


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["update", "api"], 2, "Say what to change"),
        (["update", "api", "--remove-scope", "fly"], 2, "api has no scope 'fly'"),
        (["update", "api", "--lifetime", "1", "--no-lifetime"], 2, "--lifetime and --no-lifetime exclude"),
        (["update", "api", "--default-scope", "fly"], 1, "A default scope must be one"),
        (["update", "api", "--add-scope", "a b"], 1, "A scope is 1 to 255"),
        (["update", "api", "--identifier", "x"], 1, "Not a resource identifier"),
        (["create", "b", "-s", "read", "--default-scope", "fly"], 1, "A default scope must be one"),
        (["show", "nothing"], 1, "There is no resource of this name"),
        (["callers", "nothing"], 1, "There is no resource of this name"),
        (["delete", "nothing"], 1, "There is no resource of this name"),
    ],
)
async def test_refusals(steelcut: Steelcut, arguments: list[str], code: int, sentence: str) -> None:
    """One sentence and an exit code that tells a wrong command from a refused one; nothing has changed."""
    before = (await steelcut("resources", "list", "--json")).json
    refused = await steelcut("resources", *arguments)
    assert refused.code == code
    assert refused.sentence.startswith(sentence)
    assert (await steelcut("resources", "list", "--json")).json == before


async def test_scopes_of_nothing(steelcut: Steelcut) -> None:
    """An empty list says what to do; a resource that is not there is no empty list."""
    assert "steelcut resources create" in (await steelcut("scopes", "list")).out
    assert (await steelcut("scopes", "list", "nothing")).code == 1


async def test_name_of_a_path_of_the_service_itself(steelcut: Steelcut) -> None:
    """No document could ever be there; elsewhere the name is as good as another."""
    refused = await steelcut("resources", "create", "docs", "-s", "read")
    assert refused.code == 2
    assert refused.sentence.startswith("docs is a path of the resource service itself")
    elsewhere = ("--identifier", "https://docs.example.com/docs")
    assert (await steelcut("resources", "create", "docs", "-s", "read", *elsewhere)).code == 0
