"""An operator exchanges secrets at the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.cli.conftest import Steelcut

A_MINUTE = timedelta(minutes=1)


@pytest.fixture
async def first(steelcut: Steelcut) -> str:
    """The id of the only secret of a client called billing."""
    await steelcut("resources", "create", "api", "-s", "read")
    made = await steelcut(
        *("clients", "create", "Billing", "--client-id", "billing", "-g", "api=read", "--json"),
    )
    return str(made.json["secret_ids"][0])


async def listed(steelcut: Steelcut) -> list[dict[str, Any]]:
    """List them as a program does."""
    return list((await steelcut("secrets", "list", "billing", "--json")).json)


async def test_added_secret_is_printed_once(steelcut: Steelcut, first: str) -> None:
    """With its label and end; no list brings it back."""
    made = await steelcut("secrets", "add", "billing", "--label", "staging", "--expires", "12h", "--json")
    value = made.json["client_secret"]
    assert value.split("_")[1] == made.json["secret_id"]
    assert (
        abs(datetime.fromisoformat(made.json["expires_at"]) - datetime.now(UTC) - timedelta(hours=12))
        < A_MINUTE
    )
    assert [row["secret_id"] for row in await listed(steelcut)] == [first, made.json["secret_id"]]
    shown = await steelcut("secrets", "list", "billing")
    assert "staging" in shown.out
    assert "scut_" not in shown.out
    text = await steelcut("secrets", "add", "billing")
    assert "scut_" in text.out
    assert "cannot be shown again" in text.out


@pytest.mark.parametrize(
    ("options", "overlap"), [([], timedelta(hours=24)), (["--overlap", "7d"], timedelta(days=7))]
)
async def test_rotation(steelcut: Steelcut, first: str, options: list[str], overlap: timedelta) -> None:
    """The new one is printed, the old one gets an end: a day by default."""
    rotated = await steelcut("secrets", "rotate", "billing", "--label", "new", "--json", *options)
    (old,) = rotated.json["replaced"]
    assert old["secret_id"] == first
    assert abs(datetime.fromisoformat(old["expires_at"]) - datetime.now(UTC) - overlap) < A_MINUTE
    assert (rotated.json["label"], rotated.json["expires_at"]) == ("new", None)
    again = await steelcut("secrets", "rotate", "billing", "--replaces", rotated.json["secret_id"])
    assert f"The secret {rotated.json['secret_id']} works until " in again.out
    assert first not in again.out


async def test_expiry_is_set_and_taken_away(steelcut: Steelcut, first: str) -> None:
    """By a time to come, or by never."""
    ends = await steelcut("secrets", "expire", "billing", first, "--at", "2099-12-31T12:00Z", "--json")
    assert ends.json["expires_at"] == "2099-12-31T12:00:00+00:00"
    shown = await steelcut("secrets", "expire", "billing", first, "--at", "never")
    assert "2099" not in shown.out
    assert (await listed(steelcut))[0]["expires_at"] is None


async def test_secret_in_use_is_revoked_by_force_alone(
    steelcut: Steelcut, operator: dict[str, str], first: str
) -> None:
    """The refusal says when it was used and what helps; the list said it before."""
    connection = await asyncpg.connect(operator["AUTH_OWNER_DATABASE_URL"])
    await connection.execute("INSERT INTO secret_usage VALUES ('billing', $1, now(), '192.0.2.7')", first)
    await connection.close()
    shown = await steelcut("secrets", "list", "billing")
    assert "in use" in shown.out
    assert "192.0.2.7" in shown.out
    refused = await steelcut("secrets", "revoke", "billing", first)
    assert refused.code == 1
    assert refused.sentence.startswith("This secret is in use: it got a token from 192.0.2.7 at ")
    revoked = await steelcut("secrets", "revoke", "billing", first, "--force")
    assert (revoked.code, revoked.out) == (0, f"Revoked {first}.\n")
    empty = await steelcut("secrets", "list", "billing")
    assert empty.out == "The client has no secret: steelcut secrets add CLIENT_ID\n"


async def test_what_the_list_says_of_each(steelcut: Steelcut, operator: dict[str, str], first: str) -> None:
    """In words: expired, outlived, in use, not used yet."""
    added = [(await steelcut("secrets", "add", "billing", "--json")).json["secret_id"] for _ in range(3)]
    connection = await asyncpg.connect(operator["AUTH_OWNER_DATABASE_URL"])
    await connection.execute("UPDATE client_secrets SET created_at = created_at - interval '2 days'")
    await connection.execute("UPDATE client_secrets SET expires_at = now() WHERE secret_id = $1", first)
    await connection.execute("INSERT INTO secret_usage VALUES ('billing', $1, now(), '')", added[1])
    await connection.close()
    lines = (await steelcut("secrets", "list", "billing")).out.splitlines()[1:]
    for line, secret_id, standing in zip(
        lines,
        (first, *added),
        ("expired, safe to delete", "safe to delete", "in use", "not used yet"),
        strict=True,
    ):
        assert line.startswith(f"{secret_id}  ")
        assert f" {standing} " in line


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["add", "nobody"], 1, "There is no client with this id"),
        (["list", "nobody"], 1, "There is no client with this id"),
        (["add", "billing", "--expires", "1x"], 2, "Not a point in time"),
        (["add", "billing", "--expires", "2020-01-01"], 1, "The secret's end must lie in the future"),
        (["rotate", "billing", "--overlap", "soon"], 2, "A span of time is a number and a unit"),
        (["rotate", "billing", "--overlap", "53w"], 1, "An overlap is 0 seconds to 365 days"),
        (["rotate", "billing", "--overlap", "999999999w"], 2, "A span of time is a number and a unit"),
        (["expire", "billing", "x", "--at", "1d"], 1, "The client has no secret with this id"),
        (["revoke", "billing", "scut_x_y_z"], 1, "The client has no secret with this id"),
    ],
)
async def test_refusals(
    steelcut: Steelcut, first: str, arguments: list[str], code: int, sentence: str
) -> None:
    """One sentence, which repeats nothing that may be a secret in the wrong place; nothing has changed."""
    refused = await steelcut("secrets", *arguments)
    assert refused.code == code
    assert refused.sentence.startswith(sentence)
    assert "scut_" not in refused.err
    assert [secret["secret_id"] for secret in await listed(steelcut)] == [first]


async def test_expire_needs_a_time(steelcut: Steelcut, first: str) -> None:
    """There is no default for an end."""
    assert (await steelcut("secrets", "expire", "billing", first)).code == 2
