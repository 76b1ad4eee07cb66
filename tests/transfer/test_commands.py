"""``steelcut import`` and ``steelcut export`` as an operator types them."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steelcut_cli import output
from tests.cli import terminal
from tests.support.databases import Databases
from tests.support.foreign import SECRET, argon2_hash, bcrypt_hash, django_pbkdf2
from tests.support.system import RESOURCE, System, as_owner

pytestmark = pytest.mark.slow

GRANT_TYPE = "client_credentials"


@dataclass(frozen=True)
class Ended:
    """What a command said and how it ended."""

    code: int
    said: str
    complained: str


async def steelcut(databases: Databases, *arguments: str, stdin: bytes = b"", **environment: str) -> Ended:
    """Run the command with the administrator's database URL, and no other variable that it reads."""
    variables = {"AUTH_ADMIN_DATABASE_URL": databases.auth_admin, **environment}
    done = await asyncio.to_thread(terminal.run, *arguments, env=variables, stdin=stdin)
    return Ended(done.code, done.out, done.err)


@pytest.fixture
async def moving(start_system: Any) -> System:
    """A system to move to, with the table of Steelcut-OAuth in a database beside it."""
    system: System = await start_system()

    async def fill(connection: Any) -> None:
        await connection.execute(
            "CREATE TABLE stored_tokens"
            " (grant_type varchar, client_id varchar, client_secret varchar, resource varchar)"
        )
        await connection.executemany(
            "INSERT INTO stored_tokens VALUES ($1, $2, $3, $4)",
            [
                (GRANT_TYPE, "good", argon2_hash(), RESOURCE),
                (GRANT_TYPE, "foreign", bcrypt_hash(), RESOURCE),
                (GRANT_TYPE, "clear", SECRET, RESOURCE),
                (GRANT_TYPE, None, None, "nowhere"),
            ],
        )

    await as_owner(system.databases.resource.owner, fill)
    return system


async def test_trial_then_import(moving: System) -> None:
    """The trial tells what is taken, changed and refused and why; --apply does it; a second time changes nothing."""
    databases = moving.databases
    old: Any = {"STEELCUT_OAUTH_DATABASE_URL": databases.resource.owner}
    trial = await steelcut(databases, "import", "steelcut-oauth", **old)
    assert (trial.code, trial.complained) == (0, "")
    assert (
        "Clients and resources: 2 taken (1 of them changed), 0 unchanged, 0 kept as they are here, 2 refused."
        in trial.said
    )
    assert "Nothing was written: this was a trial. --apply writes it." in trial.said
    (refused,) = [line for line in trial.said.splitlines() if "row 3" in line]
    assert refused.split()[:4] == ["refused", "row", "3", "clear"]
    assert refused.endswith("the stored secret is in clear or of no hash that this server verifies")
    assert "row 4" in trial.said
    assert "the client id is missing" in trial.said
    assert "foreign" in trial.said
    assert "good" not in trial.said
    done = await steelcut(databases, "import", "steelcut-oauth", "--apply", **old)
    assert done.said.splitlines()[-1] == "Written."
    again = await steelcut(databases, "import", "steelcut-oauth", "--apply", "--json", **old)
    report = json.loads(again.said)
    assert report["counts"] == {"taken": 0, "unchanged": 2, "kept": 0, "refused": 2, "changed": 0}
    assert report["lines"][0] == {
        "place": "row 1",
        "kind": "client",
        "name": "good",
        "outcome": "unchanged",
        "notes": [],
    }
    for ended in (trial, done, again):
        assert SECRET not in ended.said + ended.complained
        assert "$argon2" not in ended.said + ended.complained


async def test_strict_import_ends_with_1(moving: System) -> None:
    """A script that wants all or none is told by the exit code, and nothing is written."""
    databases = moving.databases
    ended = await steelcut(
        databases,
        "import",
        "steelcut-oauth",
        "--apply",
        "--strict",
        STEELCUT_OAUTH_DATABASE_URL=databases.resource.owner,
    )
    assert ended.code == 1
    assert ended.complained == "steelcut: Nothing was written: 2 refused, and --strict takes all or none.\n"
    assert "Written" not in ended.said
    assert await moving.as_owner(lambda c: c.fetchval("SELECT count(*) FROM clients")) == 1


async def test_resources_are_made_when_asked_for(moving: System) -> None:
    """--create-resources makes what is missing and says under which URL."""
    databases = moving.databases
    await as_owner(
        databases.resource.owner,
        lambda c: c.execute("UPDATE stored_tokens SET resource = 'reports' WHERE client_id = 'good'"),
    )
    ended = await steelcut(
        databases,
        *("import", "steelcut-oauth", "--apply", "--create-resources", "https://api.example.com/"),
        *("--scope", "read", "--scope", "write"),
        STEELCUT_OAUTH_DATABASE_URL=databases.resource.owner,
    )
    assert "made as https://api.example.com/reports with the scopes read, write" in ended.said
    rows = await moving.as_owner(
        lambda c: c.fetch("SELECT scope FROM client_grants WHERE client_id = 'good' ORDER BY scope")
    )
    assert [row["scope"] for row in rows] == ["read", "write"]


async def test_database_by_option_and_password_by_environment(moving: System) -> None:
    """The URL may stand on the command line and its password may not: others on the machine would see it."""
    databases = moving.databases
    url = databases.resource.owner
    password = url.partition(":")[2].partition(":")[2].partition("@")[0]
    without = url.replace(f":{password}@", "@")
    ended = await steelcut(databases, "import", "steelcut-oauth", "--database", without, PGPASSWORD=password)
    assert (ended.code, ended.complained) == (0, "")
    for told in (url, f"{without}?password={password}"):
        ended = await steelcut(databases, "import", "steelcut-oauth", "--database", told)
        assert ended.code == 2
        assert "--database takes no password" in ended.complained
        assert password not in ended.complained


MISTAKES: list[tuple[str, list[str], int, str]] = [
    ("no source", ["steelcut-oauth"], 2, "Set STEELCUT_OAUTH_DATABASE_URL"),
    ("no URL", ["steelcut-oauth", "--database", "localhost"], 2, "--database must look like postgresql://"),
    ("no file", ["hydra", "nothing.json"], 1, "nothing.json"),
    ("no JSON", ["hydra", "-"], 1, "The file is not JSON: line 1, column 1."),
    ("no lines", ["json-lines", "-"], 1, "no file of that format"),
    ("no grant", ["django-oauth-toolkit", "-"], 2, "--grant"),
    ("half a grant", ["django-oauth-toolkit", "-", "--grant", "api"], 2, "--grant takes RESOURCE=SCOPE"),
    ("no base URL", ["hydra", "-", "--create-resources", "api.example.com"], 2, "--create-resources: "),
]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
async def test_mistakes_are_told(
    databases: Databases, arguments: list[str], code: int, sentence: str
) -> None:
    """Each mistake ends in one sentence that names it, and not in a traceback."""
    ended = await steelcut(databases, "import", *arguments)
    assert ended.code == code
    assert sentence in ended.complained
    assert "Traceback" not in ended.complained


async def test_hydra_and_django_from_the_standard_input(moving: System) -> None:
    """A dump can be piped in, so that it need not lie anywhere."""
    clients = [
        {
            "id": "from-hydra",
            "client_secret": bcrypt_hash(),
            "grant_types": ["client_credentials"],
            "scope": "read",
            "audience": [],
        }
    ]
    arguments = ("import", "hydra", "-", "--resource", RESOURCE, "--apply")
    ended = await steelcut(moving.databases, *arguments, stdin=json.dumps(clients).encode())
    assert ended.said == (
        "Clients and resources: 1 taken (0 of them changed), 0 unchanged, 0 kept as they are here, 0 refused.\n"
        "Written.\n"
    )
    fields = {
        "client_id": "from-django",
        "authorization_grant_type": "client-credentials",
        "client_secret": django_pbkdf2(),
    }
    entries = [{"model": "oauth2_provider.application", "pk": 1, "fields": fields}]
    arguments = ("import", "django-oauth-toolkit", "-", "--grant", f"{RESOURCE}=read,write", "--apply")
    ended = await steelcut(moving.databases, *arguments, stdin=json.dumps(entries).encode())
    assert ended.said.startswith("Clients and resources: 1 taken")


async def test_export_then_import(moving: System, tmp_path: Path) -> None:
    """The file is its owner's alone, says what it is, replaces none, and is read back without a change."""
    databases = moving.databases
    file = tmp_path / "clients.jsonl"
    ended = await steelcut(databases, "export", str(file))
    assert ended.code == 0
    assert "1 client and 1 resource are in" in ended.said
    assert "IT HOLDS THE HASHES OF ALL SECRETS" in ended.said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = await steelcut(databases, "export", str(file))
    assert (again.code, again.complained) == (1, f"steelcut: {file} cannot be made: File exists.\n")
    back = await steelcut(databases, "import", "json-lines", str(file), "--strict", "--apply")
    assert back.said.splitlines()[-2:] == [
        "Clients and resources: 0 taken (0 of them changed), 2 unchanged, 0 kept as they are here, 0 refused.",
        "There is nothing to write.",
    ]


async def test_failed_export_leaves_no_file(databases: Databases, tmp_path: Path) -> None:
    """Half an export looks like a whole one: when the database refuses, the file is gone."""
    await as_owner(
        databases.auth.owner, lambda c: c.execute("REVOKE SELECT ON client_grants FROM auth_admin")
    )
    ended = await steelcut(databases, "export", str(tmp_path / "clients.jsonl"))
    assert ended.code == 1
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - of a folder of one file, at once


def test_long_table_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A table of thousands of rows comes without folding, each row on a line of its own, none missing."""
    rows = [("taken", f"client-{number}", "a note " * 20) for number in range(2000)]
    output.table(("outcome", "client", "why"), rows, empty="")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["outcome", "client", "why"]
    assert [line.split()[1] for line in lines[1:]] == [row[1] for row in rows]
