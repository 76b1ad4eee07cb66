"""An operator changes clients at the terminal, and is asked before one is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import Steelcut


@pytest.fixture
async def billing(steelcut: Steelcut) -> dict[str, Any]:
    """A client that may read two resources."""
    for name in ("api", "reports"):
        await steelcut("resources", "create", name, "-s", "read", "-s", "write")
    made = await steelcut(
        *(
            "clients",
            "create",
            "Billing",
            "--client-id",
            "billing",
            "-g",
            "api=read,write",
            "-g",
            "reports=read",
        ),
        *("--expires", "90d", "--metadata", "owner=finance", "--metadata", "tier=1"),
        *("--secret-label", "first", "--secret-expires", "2099-12-31", "--json"),
    )
    return dict(made.json)


async def show(steelcut: Steelcut) -> dict[str, Any]:
    """Show it, as a program does."""
    return dict((await steelcut("clients", "show", "billing", "--json")).json)


async def test_client_with_an_end_and_notes(steelcut: Steelcut, billing: dict[str, Any]) -> None:
    """Options become what is shown, to people and to programs."""
    ends = datetime.fromisoformat(billing["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    assert billing["metadata"] == {"owner": "finance", "tier": "1"}
    (secret,) = (await show(steelcut))["secrets"]
    assert (secret["label"], secret["expires_at"]) == ("first", "2099-12-31T00:00:00+00:00")
    shown = await steelcut("clients", "show", "billing")
    for text in (
        "owner: finance; tier: 1",
        "active",
        "api: read write; reports: read",
        "not used yet",
        "first",
    ):
        assert text in shown.out


async def test_differences_are_applied(steelcut: Steelcut, billing: dict[str, Any]) -> None:
    """What is named is added or taken away, the rest stays."""
    changed = await steelcut(
        *("clients", "update", "billing", "--name", "Billing, Europe", "--lifetime", "600"),
        *("--grant", "reports=write", "--ungrant", "api=write", "--default-resource", "api"),
        *("--metadata", "owner=sales", "--metadata", "tier=", "--json"),
    )
    kept = {"client_id", "state", "enabled", "secret_ids", "last_used_at", "created_at", "expires_at"}
    assert {name: changed.json[name] for name in kept} == {name: billing[name] for name in kept}
    assert changed.json["name"] == "Billing, Europe"
    assert changed.json["grants"] == {"api": ["read"], "reports": ["read", "write"]}
    assert changed.json["metadata"] == {"owner": "sales"}
    assert (changed.json["default_resource"], changed.json["token_lifetime_seconds"]) == ("api", 600)
    assert changed.json["version"] == 2


async def test_values_are_taken_away(steelcut: Steelcut, billing: dict[str, Any]) -> None:
    """By never, by --no-…, and a resource by its name alone."""
    assert billing["expires_at"]
    await steelcut("clients", "update", "billing", "--lifetime", "60", "--default-resource", "api")
    changed = await steelcut(
        *("clients", "update", "billing", "--expires", "never", "--no-lifetime", "--no-default-resource"),
        *("--ungrant", "reports", "--json"),
    )
    assert changed.json["grants"] == {"api": ["read", "write"]}
    for name in ("expires_at", "token_lifetime_seconds", "default_resource"):
        assert changed.json[name] is None


@pytest.mark.usefixtures("billing")
async def test_disable_and_enable(steelcut: Steelcut) -> None:
    """The state is shown, and listed by."""
    assert "disabled" in (await steelcut("clients", "disable", "billing")).out
    listed = await steelcut("clients", "list", "--state", "disabled", "--json")
    assert [client["client_id"] for client in listed.json] == ["billing"]
    assert (await steelcut("clients", "enable", "billing", "--json")).json["state"] == "active"


@pytest.mark.usefixtures("billing")
async def test_delete_without_a_terminal(steelcut: Steelcut) -> None:
    """A script says what it means: nobody is there to be asked."""
    deleted = await steelcut("clients", "delete", "billing")
    assert (deleted.code, deleted.out, deleted.err) == (0, "Deleted billing.\n", "")
    again = await steelcut("clients", "delete", "billing")
    assert again.code == 1
    assert again.sentence.startswith("There is no client with this id")


@pytest.mark.usefixtures("billing")
async def test_deletion_asks_at_a_terminal(steelcut: Steelcut) -> None:
    """No keeps it, yes deletes it, --yes does not ask; the same for secrets and resources."""
    (secret_id,) = (await show(steelcut))["secret_ids"]
    for arguments, question in (
        (["clients", "delete", "billing"], "Delete Billing (billing, last used: never)?"),
        (["secrets", "revoke", "billing", secret_id], f"Revoke {secret_id} of billing (last used: never)?"),
        (["resources", "delete", "api", "--force"], "Delete api (http://127.0.0.1:8001/api)?"),
    ):
        for typed in ("n\n", "\n"):
            kept = await steelcut(*arguments, typed=typed)
            assert (kept.code, kept.out.strip()) == (1, "")
            assert kept.err.startswith(question)
            assert kept.err.endswith("steelcut: Nothing was changed.\n")
    assert (await show(steelcut))["secret_ids"] == [secret_id]
    revoked = await steelcut("secrets", "revoke", "billing", secret_id, typed="y\n")
    assert (revoked.code, revoked.out.strip()) == (0, f"Revoked {secret_id}.")
    deleted = await steelcut("clients", "delete", "billing", "--yes", typed="n\n")
    assert (deleted.code, deleted.err) == (0, "")


async def test_lists_are_filtered_and_paged(steelcut: Steelcut) -> None:
    """Everything by default; with --limit a cursor on stderr says where to go on."""
    await steelcut("resources", "create", "api", "-s", "read")
    for name in ("a", "b", "c"):
        await steelcut("clients", "create", f"Client {name}", "--client-id", name, "-g", "api=read")

    async def ids(*arguments: str) -> list[str]:
        return [row["client_id"] for row in (await steelcut("clients", "list", "--json", *arguments)).json]

    assert await ids() == ["a", "b", "c"]
    assert await ids("--search", "client B") == ["b"]
    assert await ids("--resource", "api", "--state", "active") == ["a", "b", "c"]
    first = await steelcut("clients", "list", "--limit", "2")
    assert first.err.startswith("steelcut: there are more; the next ones: --after ")
    assert await ids("--limit", "2", "--after", first.err.split()[-1]) == ["c"]
    nothing = await steelcut("clients", "list", "--search", "nothing")
    assert (nothing.code, nothing.out) == (0, "No client is like that.\n")


async def test_walks_all_pages(steelcut: Steelcut, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is read page by page, and shown whole."""
    await steelcut("resources", "create", "api", "-s", "read")
    for name in ("a", "b", "c"):
        await steelcut("clients", "create", name, "--client-id", name, "-g", "api=read")
    monkeypatch.setattr("steelcut_cli.administration.clients.PAGE", 2)
    monkeypatch.setattr("steelcut_cli.administration.resources.PAGE", 2)
    for command in (("clients", "list"), ("resources", "callers", "api")):
        listed = await steelcut(*command, "--json")
        assert [row["client_id"] for row in listed.json] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ([], 2, "Say what to change"),
        (["--ungrant", "api=fly"], 2, "--ungrant names what the client does not have"),
        (["--ungrant", "other"], 2, "--ungrant names what the client does not have"),
        (["--ungrant", "api="], 2, "--ungrant takes RESOURCE"),
        (["--grant", "api"], 2, "--grant takes RESOURCE=SCOPE"),
        (["--metadata", "owner"], 2, "--metadata takes NAME=VALUE"),
        (["--lifetime", "60", "--no-lifetime"], 2, "--lifetime and --no-lifetime exclude each other"),
        (
            ["--default-resource", "api", "--no-default-resource"],
            2,
            "--default-resource and --no-default-resource exclude each other",
        ),
        (["--expires", "soon"], 2, "Not a point in time; give it as 90d"),
        (["--expires", "2031-13-01"], 2, "Not a point in time"),
        (["--expires", "2020-01-01"], 1, "The client's end must lie in the future"),
        (["--ungrant", "api", "--ungrant", "reports"], 1, "Grant the client at least one resource"),
        (["--grant", "other=read"], 1, "There is no resource 'other'"),
        (["--lifetime", "0"], 1, "A token lifetime is 1 to 86400 seconds"),
        (
            ["--name", "X", "--expected-version", "9"],
            1,
            "It was changed meanwhile: this is version 1, not 9.",
        ),
    ],
)
async def test_refused_updates(
    steelcut: Steelcut, billing: dict[str, Any], options: list[str], code: int, sentence: str
) -> None:
    """One sentence, an exit code that tells a wrong command from a refused one, and nothing has changed."""
    refused = await steelcut("clients", "update", "billing", *options)
    assert refused.code == code
    assert refused.sentence.startswith(sentence)
    shown = await show(steelcut)
    assert {name: shown[name] for name in shown if name != "secrets"} == {
        name: billing[name] for name in billing if name != "client_secret"
    }


async def test_empty_client_id_is_refused(steelcut: Steelcut, billing: dict[str, Any]) -> None:
    """It is an unset variable of a script; another id in its place would be found out late."""
    assert billing
    refused = await steelcut("clients", "create", "x", "--client-id", "", "-g", "api=read")
    assert (refused.code, refused.sentence[:22]) == (2, "--client-id is empty: ")
