"""The first client of the admin API is made at the terminal."""

from __future__ import annotations

import pytest

from auth_service.administration.admin_api import OPERATOR_SCOPES, SCOPES
from tests.cli.conftest import Steelcut

ISSUER = {"AUTH_ISSUER": "https://auth.example/tenant"}


async def test_an_operator_and_the_resource_are_made(steelcut: Steelcut) -> None:
    """The resource is there afterwards, with all scopes, and the client has all but one of them."""
    made = (await steelcut("admin", "create", "Operations", "--json", env=ISSUER)).json
    assert made["grants"] == {"admin": sorted(OPERATOR_SCOPES)}
    assert made["resource"] == "https://auth.example/tenant/admin/v1"
    assert made["client_secret"]
    (resource,) = (await steelcut("resources", "list", "--json")).json
    assert (resource["name"], resource["identifier"]) == ("admin", made["resource"])
    assert resource["scopes"] == sorted(SCOPES)


async def test_a_second_one_may_have_less(steelcut: Steelcut) -> None:
    """The resource that is there is used again; people see id, scopes and secret."""
    await steelcut("admin", "create", "Operations", env=ISSUER)
    shown = await steelcut("admin", "create", "job", "--scope", "keys:write", env=ISSUER)
    assert shown.code == 0
    for text in ("client id", "keys:write", "client secret", "Keep the secret now"):
        assert text in shown.out
    (job,) = (await steelcut("clients", "list", "--search", "job", "--json")).json
    assert job["grants"] == {"admin": ["keys:write"]}


async def test_a_resource_of_an_earlier_version_gets_the_scopes_that_are_new(steelcut: Steelcut) -> None:
    """Its own scopes stay."""
    await steelcut(
        *("resources", "create", "admin", "--identifier", "https://auth.example/tenant/admin/v1"),
        *("-s", "keys:write", "-s", "own"),
    )
    assert (await steelcut("admin", "create", "Operations", env=ISSUER)).code == 0
    (resource,) = (await steelcut("resources", "list", "--json")).json
    assert resource["scopes"] == sorted({*SCOPES, "own"})


@pytest.mark.parametrize(
    ("arguments", "env", "sentence"),
    [
        (["x", "--scope", "clients:fly"], ISSUER, "The admin API has no such scope: it has clients:read"),
        (
            ["x"],
            {"AUTH_ISSUER": "https://other.example"},
            "The resource admin has the identifier https://auth.ex",
        ),
        ([" "], ISSUER, "A client name is 1 to 200 printable characters."),
    ],
)
async def test_what_is_refused(
    steelcut: Steelcut, arguments: list[str], env: dict[str, str], sentence: str
) -> None:
    """One sentence, and nothing was made."""
    await steelcut("admin", "create", "Operations", env=ISSUER)
    refused = await steelcut("admin", "create", *arguments, env=env)
    assert refused.code == 1
    assert refused.sentence.startswith(sentence)
    assert len((await steelcut("clients", "list", "--json")).json) == 1
