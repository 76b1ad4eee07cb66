"""An operator makes keys, resources and clients at the terminal."""

from __future__ import annotations

import base64
import re
import secrets

import asyncpg
import pytest

from tests.cli.conftest import Steelcut

SECRET = re.compile(r"scut_\w+_\w+_\w+")


async def _resource(steelcut: Steelcut, name: str = "api_v0.0.1") -> None:
    assert (await steelcut("resources", "create", name, "--scope", "read", "-s", "write")).code == 0


async def test_first_key_signs_and_the_next_one_waits(steelcut: Steelcut) -> None:
    """A key is published before it signs; only the first has nobody to wait for."""
    first = await steelcut("keys", "create", "--json")
    second = await steelcut("keys", "create", "--algorithm", "RS256", "--json")
    assert (first.json["algorithm"], first.json["state"]) == ("ES256", "active")
    assert (second.json["algorithm"], second.json["state"]) == ("RS256", "pending")
    listed = await steelcut("keys", "list", "--json")
    assert listed.json == [first.json, second.json]


async def test_algorithm_of_a_key_by_setting(steelcut: Steelcut) -> None:
    """AUTH_SIGNING_ALGORITHM is the default of --algorithm."""
    made = await steelcut("keys", "create", "--json", env={"AUTH_SIGNING_ALGORITHM": "EdDSA"})
    assert made.json["algorithm"] == "EdDSA"


async def test_keys_are_shown_without_their_private_part(steelcut: Steelcut) -> None:
    """A terminal is no place for it, sealed or not."""
    await steelcut("keys", "create")
    shown = await steelcut("keys", "list")
    listed = await steelcut("keys", "list", "--json")
    assert shown.out.splitlines()[0].split() == ["kid", "algorithm", "state", "age", "next", "step"]
    moments = {"created_at", "activated_at", "retiring_at", "retired_at", "next_at"}
    others = {"kid", "algorithm", "state", "compromised", "master_key_id", "next_action"}
    assert set(listed.json[0]) == moments | others


async def test_another_master_key_makes_no_key(steelcut: Steelcut) -> None:
    """The services could not unseal it."""
    await steelcut("keys", "create")
    other = base64.b64encode(secrets.token_bytes(32)).decode()
    refused = await steelcut("keys", "create", env={"AUTH_MASTER_KEY": other})
    assert refused.code == 1
    assert "set AUTH_MASTER_KEY to the one that the services use" in refused.sentence
    assert other not in refused.err


async def test_resource_gets_its_url_as_identifier(steelcut: Steelcut) -> None:
    """RESOURCE_BASE_URL and the name make what clients see, unless another URL is given."""
    own = await steelcut("resources", "create", "api_v0.0.1", "--scope", "read", "--json")
    other = await steelcut(
        *("resources", "create", "reports", "-s", "read", "--lifetime", "60", "--json"),
        *("--identifier", "https://api.example.com/reports"),
    )
    assert own.json["identifier"] == "http://127.0.0.1:8001/api_v0.0.1"
    assert other.json["identifier"] == "https://api.example.com/reports"
    assert other.json["token_lifetime_seconds"] == 60
    assert (await steelcut("resources", "list", "--json")).json == [own.json, other.json]


async def test_secret_of_a_client_is_printed_once(steelcut: Steelcut) -> None:
    """Neither show nor list nor another format brings it back."""
    await _resource(steelcut)
    made = await steelcut("clients", "create", "Jane Doe", "--grant", "api_v0.0.1=read,write")
    (secret,) = SECRET.findall(made.out)
    client_id = made.out.splitlines()[0].split()[-1]
    assert "cannot be shown again" in made.out
    for later in (["list"], ["list", "--json"], ["show", client_id], ["show", client_id, "--json"]):
        shown = await steelcut("clients", *later)
        assert shown.code == 0
        assert client_id in shown.out
        assert secret not in shown.out


async def test_client_as_json_holds_its_secret_once(steelcut: Steelcut) -> None:
    """A script takes both halves from one document."""
    await _resource(steelcut)
    made = await steelcut("clients", "create", "Jane Doe", "-g", "api_v0.0.1=read", "--json")
    assert SECRET.fullmatch(made.json["client_secret"])
    assert made.out.count(made.json["client_secret"]) == 1
    assert made.json["grants"] == {"api_v0.0.1": ["read"]}
    shown = (await steelcut("clients", "show", made.json["client_id"], "--json")).json
    assert [secret["secret_id"] for secret in shown.pop("secrets")] == made.json["secret_ids"]
    assert shown == {name: value for name, value in made.json.items() if name != "client_secret"}


async def test_client_of_several_resources(steelcut: Steelcut) -> None:
    """Grants repeat, scopes are separated by commas or spaces, one resource is the default."""
    await _resource(steelcut)
    await _resource(steelcut, "reports")
    made = await steelcut(
        *("clients", "create", "Billing", "--client-id", "billing", "--default-resource", "reports"),
        *("--grant", "api_v0.0.1=read", "--grant", "reports=read write", "--lifetime", "120", "--json"),
    )
    assert made.json["client_id"] == "billing"
    assert made.json["grants"] == {"api_v0.0.1": ["read"], "reports": ["read", "write"]}
    assert made.json["default_resource"] == "reports"
    assert made.json["token_lifetime_seconds"] == 120


@pytest.mark.parametrize("grant", ["api_v0.0.1", "=read", "api_v0.0.1=", "api_v0.0.1=,", ""])
async def test_grant_without_both_halves_is_misuse(steelcut: Steelcut, grant: str) -> None:
    """A client that may do nothing, or everything, must not come of a typo."""
    refused = await steelcut("clients", "create", "X", "--grant", grant)
    assert refused.code == 2
    assert refused.sentence.startswith("--grant takes RESOURCE=SCOPE")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["resources", "create", "a b", "-s", "read"], "A resource name starts with a letter or digit"),
        (["resources", "create", "r", "-s", "a b"], "A scope is 1 to 255 printable ASCII characters"),
        (
            ["resources", "create", "r", "-s", "read", "--lifetime", "0"],
            "A token lifetime is 1 to 86400 seconds",
        ),
        (["resources", "create", "r", "-s", "read", "--identifier", "r"], "Not a resource identifier: "),
        (["resources", "create", "api_v0.0.1", "-s", "read"], "A resource with this name exists"),
        (["clients", "create", "X", "-g", "other=read"], "There is no resource 'other'"),
        (["clients", "create", "X", "-g", "api_v0.0.1=admin"], "The resource api_v0.0.1 has no scope admin"),
        (
            ["clients", "create", "\x1b[31mred", "-g", "api_v0.0.1=read"],
            "A client name is 1 to 200 printable",
        ),
        (
            ["clients", "show", "nobody"],
            "There is no client with this id: `steelcut clients list` shows them.",
        ),
        (["clients", "show", "\udcff"], "There is no client with this id"),
    ],
)
async def test_refusals_are_one_sentence_and_exit_1(
    steelcut: Steelcut, arguments: list[str], sentence: str
) -> None:
    """Each says what is wrong, and nothing is left half made."""
    await _resource(steelcut)
    refused = await steelcut(*arguments)
    assert refused.code == 1
    assert refused.sentence.startswith(sentence)
    assert (await steelcut("clients", "list", "--json")).json == []
    assert len((await steelcut("resources", "list", "--json")).json) == 1


async def test_empty_lists_say_what_to_do(steelcut: Steelcut) -> None:
    """Somebody new sees the next command."""
    for noun in ("keys", "resources", "clients", "documents"):
        listed = await steelcut(noun, "list")
        assert listed.code == 0
        assert f"steelcut {noun} " in listed.out
        assert (await steelcut(noun, "list", "--json")).json == []


async def test_name_from_the_database_commands_no_terminal(
    steelcut: Steelcut, operator: dict[str, str]
) -> None:
    """Whoever writes to the database by other ways still cannot steer the operator's terminal."""
    await _resource(steelcut)
    await steelcut("clients", "create", "Jane Doe", "-g", "api_v0.0.1=read", "--client-id", "jane")
    connection = await asyncpg.connect(operator["AUTH_ADMIN_DATABASE_URL"])
    await connection.execute("UPDATE clients SET name = $1", "[red]\x1b]0;owned\x07")
    await connection.close()
    for arguments in (["list"], ["show", "jane"]):
        shown = await steelcut("clients", *arguments)
        assert "[red]\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}" in shown.out


@pytest.mark.parametrize("noun", ["keys", "resources", "clients"])
async def test_missing_variable_is_named(steelcut: Steelcut, noun: str) -> None:
    """Exit code 2: the configuration is wrong, not the database."""
    refused = await steelcut(noun, "list", env={"AUTH_ADMIN_DATABASE_URL": ""})
    assert refused.code == 2
    assert refused.sentence.startswith("AUTH_ADMIN_DATABASE_URL is not set: ")


async def test_database_url_from_a_file(
    steelcut: Steelcut, operator: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """NAME_FILE stands in for NAME, as containers hand over secrets."""
    file = tmp_path_factory.mktemp("secrets") / "url"
    file.write_text(operator["AUTH_ADMIN_DATABASE_URL"] + "\n")
    listed = await steelcut(
        "keys", "list", env={"AUTH_ADMIN_DATABASE_URL": "", "AUTH_ADMIN_DATABASE_URL_FILE": str(file)}
    )
    assert listed.code == 0


@pytest.mark.parametrize(
    ("part", "other", "sentence"),
    [
        (r"auth_admin:", "nobody:", "PostgreSQL refuses the role nobody or its password."),
        (r"-password@", "-wrong@", "PostgreSQL refuses the role auth_admin or its password."),
        (r":\d+/", ":1/", "PostgreSQL does not answer at 127.0.0.1:1: "),
        (r"127.0.0.1:\d+", "a.invalid", "The host in the database URL is not found: a.invalid:5432."),
        (
            r"$",
            "?connect_timeout=10",
            "does not take the parameter connect_timeout of the database URL: leave it out.",
        ),
        (r"$", "?sslmode=verify-full", "Set sslrootcert in the database URL: "),
        (r"$", "?sslmode=require", "speaks no TLS, which sslmode in the database URL asks for."),
        (r":\d+/", ":port/", "AUTH_ADMIN_DATABASE_URL: a port is no number from 1 to 65535, or "),
        (r"/auth_\d+$", "/other", "The database other does not exist"),
    ],
)
async def test_unusable_database_url_is_explained_without_its_password(
    steelcut: Steelcut, operator: dict[str, str], part: str, other: str, sentence: str
) -> None:
    """The sentence tells what to correct."""
    url = re.sub(part, other, operator["AUTH_ADMIN_DATABASE_URL"])
    refused = await steelcut("keys", "list", env={"AUTH_ADMIN_DATABASE_URL": url})
    # 2 where it is found before anything is tried.
    assert refused.code == (2 if sentence.startswith("AUTH_") else 1)
    assert sentence in refused.sentence
    assert "-password" not in refused.err
    assert "-wrong" not in refused.err


async def test_run_time_role_may_administer_nothing(steelcut: Steelcut, operator: dict[str, str]) -> None:
    """What a service runs as changes no client, key or document, not even by our own command."""
    await _resource(steelcut)
    runtime = {
        "AUTH_ADMIN_DATABASE_URL": operator["AUTH_DATABASE_URL"],
        "RESOURCE_PUBLISHER_DATABASE_URL": operator["RESOURCE_DATABASE_URL"],
    }
    for arguments in (
        ["keys", "create"],
        ["resources", "create", "more", "-s", "read"],
        ["clients", "create", "X", "-g", "api_v0.0.1=read"],
        ["documents", "publish", "api_v0.0.1", "-"],
        ["documents", "delete", "api_v0.0.1"],
    ):
        refused = await steelcut(*arguments, env=runtime, stdin=b"{}")
        assert refused.code == 1
        assert refused.sentence.startswith(
            "The role in the database URL may not do this: AUTH_ADMIN_DATABASE_URL takes the administrator's"
        )
