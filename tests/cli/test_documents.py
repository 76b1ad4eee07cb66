"""A publisher puts protected JSON in its place, at the terminal."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import Steelcut

BODY = b'{ "about" : "This is a protected resource" }\r\n'


async def _stored(operator: dict[str, str]) -> dict[tuple[str, str], bytes]:
    connection = await asyncpg.connect(operator["RESOURCE_OWNER_DATABASE_URL"])
    rows = await connection.fetch("SELECT resource, key, body FROM documents")
    await connection.close()
    return {(row["resource"], row["key"]): row["body"] for row in rows}


async def test_bytes_are_kept_as_they_were_published(
    steelcut: Steelcut, operator: dict[str, str], tmp_path: Path
) -> None:
    """Neither spaces nor line ends are anybody's business but the publisher's."""
    file = tmp_path / "document.json"
    file.write_bytes(BODY)
    published = await steelcut("documents", "publish", "api_v0.0.1", str(file))
    assert published.code == 0
    assert published.out.startswith("Published /api_v0.0.1.\n")
    assert await _stored(operator) == {("api_v0.0.1", ""): BODY}


async def test_publish_again_replaces(steelcut: Steelcut, operator: dict[str, str]) -> None:
    """One document per path; the answer says which of the two it was."""
    first = await steelcut("documents", "publish", "api_v0.0.1", "-", "--key", "q3", "--json", stdin=b"1")
    again = await steelcut("documents", "publish", "api_v0.0.1", "-", "--key", "q3", stdin=b"2")
    assert first.json["created"] is True
    assert again.out.startswith("Replaced /api_v0.0.1/q3.\n")
    assert await _stored(operator) == {("api_v0.0.1", "q3"): b"2"}


async def test_list_and_delete(steelcut: Steelcut) -> None:
    """Deleting one leaves the others; deleting twice says so."""
    for key in ("a", "b"):
        await steelcut("documents", "publish", "api_v0.0.1", "-", "--key", key, stdin=b"{}")
    await steelcut("documents", "publish", "reports", "-", stdin=b"[]")
    assert [row["resource"] for row in (await steelcut("documents", "list", "--json")).json] == [
        *("api_v0.0.1", "api_v0.0.1", "reports")
    ]
    deleted = await steelcut("documents", "delete", "api_v0.0.1", "--key", "a")
    assert (deleted.code, deleted.out) == (0, "Deleted /api_v0.0.1/a.\n")
    left = (await steelcut("documents", "list", "api_v0.0.1", "--json")).json
    assert [(row["key"], row["size"]) for row in left] == [("b", 2)]
    again = await steelcut("documents", "delete", "api_v0.0.1", "--key", "a")
    assert again.code == 1
    assert again.sentence.startswith("There is no document at /api_v0.0.1/a")


async def test_publisher_publishes_and_so_does_the_owner(steelcut: Steelcut) -> None:
    """The lesser role is enough and goes first; where nobody made it, the owner does it; without both nothing goes."""
    alone = {"RESOURCE_OWNER_DATABASE_URL": ""}
    assert (await steelcut("documents", "publish", "a", "-", stdin=b"1", env=alone)).code == 0
    before = {"RESOURCE_PUBLISHER_DATABASE_URL": ""}
    for arguments in (["publish", "a", "-"], ["list"], ["delete", "a"]):
        assert (await steelcut("documents", *arguments, stdin=b"2", env=before)).code == 0
        refused = await steelcut("documents", *arguments, stdin=b"3", env={**alone, **before})
        assert refused.code == 2
        assert refused.sentence.startswith("RESOURCE_PUBLISHER_DATABASE_URL is not set")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"a": 1,\n "b": nope}', "line 2, column"),
        (b'{\n"a": 1,\n}', "line 2, column 7"),
        (b"", "line 1, column 1"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b'{"a": NaN}', "line 1, column"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'\n{"\xff": 1}', "line 2, column 3"),
        ("{\n".encode("utf-16"), "line 1, column 1"),
        (b"{} {}", "line 1, column 4"),
        (b"[" * 100_000, "line 1, column"),
    ],
)
async def test_what_is_not_json_is_refused_with_its_place(
    steelcut: Steelcut, operator: dict[str, str], tmp_path: Path, body: bytes, place: str
) -> None:
    """An editor can jump there; nothing was published."""
    file = tmp_path / "broken.json"
    file.write_bytes(body)
    refused = await steelcut("documents", "publish", "api_v0.0.1", str(file))
    assert refused.code == 1
    assert refused.sentence.startswith(f"{file}: Not JSON: ")
    assert place in refused.sentence
    assert await _stored(operator) == {}


async def test_file_that_cannot_be_read(steelcut: Steelcut, tmp_path: Path) -> None:
    """A missing file and a folder are told apart."""
    missing = await steelcut("documents", "publish", "api_v0.0.1", str(tmp_path / "none.json"))
    folder = await steelcut("documents", "publish", "api_v0.0.1", str(tmp_path))
    assert (missing.code, folder.code) == (1, 1)
    assert missing.sentence.endswith("cannot be read: No such file or directory.")
    assert folder.sentence.endswith("cannot be read: Is a directory.")


@pytest.mark.parametrize(
    "arguments",
    [["../etc", "-"], ["docs", "-"], ["api_v0.0.1", "-", "--key", "a/b"], ["api_v0.0.1", "-", "-k", ""]],
)
async def test_path_that_no_document_can_have(steelcut: Steelcut, arguments: list[str]) -> None:
    """It could be published and never be fetched."""
    refused = await steelcut("documents", "publish", *arguments, stdin=b"{}")
    assert refused.code == 1
    assert refused.sentence


async def test_argument_that_is_no_text(steelcut: Steelcut) -> None:
    """A byte from another encoding is refused like any wrong name."""
    refused = await steelcut("documents", "delete", "\udcff")
    assert refused.code == 1
    assert refused.sentence == "An argument holds characters that no name has."


async def test_deletion_is_asked_about_at_a_terminal(steelcut: Steelcut) -> None:
    """As all deletions are; --yes answers."""
    await steelcut("documents", "publish", "api_v0.0.1", "-", stdin=b"{}")
    refused = await steelcut("documents", "delete", "api_v0.0.1", typed="n\n")
    assert refused.code == 1
    assert "Delete /api_v0.0.1?" in refused.err
    assert "Nothing was changed." in refused.err
    assert (
        await steelcut("documents", "delete", "api_v0.0.1", "--yes", typed="")
    ).out == "Deleted /api_v0.0.1.\n"


async def test_resource_without_a_document_is_named(steelcut: Steelcut) -> None:
    """While others have some."""
    await steelcut("documents", "publish", "api_v0.0.1", "-", stdin=b"{}")
    shown = await steelcut("documents", "list", "nope")
    assert shown.out == "There is no document of nope yet: steelcut documents publish nope FILE\n"
