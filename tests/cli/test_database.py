"""Both databases are made, brought up to date and checked at the terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.cli.conftest import Steelcut

ROLES = (
    "fresh_auth_owner",
    "fresh_auth_admin",
    "fresh_auth",
    "fresh_resource_owner",
    "fresh_resource_publisher",
    "fresh_resource",
)
DATABASES = ("fresh_auth", "fresh_resource")


@pytest.fixture
async def newcomer(postgres: EmbeddedPostgres) -> AsyncIterator[dict[str, str]]:
    """The variables of somebody who has a PostgreSQL and neither roles nor databases on it."""
    server = f"127.0.0.1:{postgres.port}"
    yield {
        "AUTH_BOOTSTRAP_DATABASE_URL": postgres.dsn(),
        "AUTH_OWNER_DATABASE_URL": f"postgresql://fresh_auth_owner:o%40wn@{server}/fresh_auth",
        "AUTH_ADMIN_DATABASE_URL": f"postgresql://fresh_auth_admin:adm@{server}/fresh_auth",
        "AUTH_DATABASE_URL": f"postgresql://fresh_auth:run@{server}/fresh_auth",
        "RESOURCE_BOOTSTRAP_DATABASE_URL": postgres.dsn(),
        "RESOURCE_OWNER_DATABASE_URL": f"postgresql://fresh_resource_owner:own@{server}/fresh_resource",
        "RESOURCE_PUBLISHER_DATABASE_URL": f"postgresql://fresh_resource_publisher:pub@{server}/fresh_resource",
        "RESOURCE_DATABASE_URL": f"postgresql://fresh_resource:run@{server}/fresh_resource",
    }
    connection = await asyncpg.connect(postgres.dsn())
    for database in DATABASES:
        await connection.execute(f"DROP DATABASE IF EXISTS {database}")
    for role in ROLES:
        await connection.execute(f"DROP ROLE IF EXISTS {role}")
    await connection.close()


async def test_upgrade_makes_everything_and_again_changes_nothing(
    steelcut: Steelcut, newcomer: dict[str, str]
) -> None:
    """From an empty server to two databases that the services can run on."""
    first = await steelcut("db", "upgrade", "--json", env=newcomer)
    assert [(row["database"], row["problem"]) for row in first.json] == [("auth", None), ("resource", None)]
    assert all(row["revision"] == row["head"] for row in first.json)
    again = await steelcut("db", "upgrade", "--json", env=newcomer)
    assert again.json == first.json
    # Administration goes on without whoever made the databases.
    without = {name: value for name, value in newcomer.items() if "BOOTSTRAP" not in name}
    checked = await steelcut("db", "check", "--json", env=without)
    assert (checked.code, checked.json) == (0, first.json)
    assert (await steelcut("keys", "create", env=without)).code == 0


async def test_upgrade_of_one_service_needs_the_variables_of_one(
    steelcut: Steelcut, newcomer: dict[str, str]
) -> None:
    """Whoever runs one service knows nothing of the other's database."""
    own = {name: value if name.startswith("AUTH_") else "" for name, value in newcomer.items()}
    made = await steelcut("db", "upgrade", "auth", env=own)
    assert made.code == 0
    assert made.out.splitlines()[0].split() == ["database", "revision", "state"]
    refused = await steelcut("db", "check", env=own)
    assert refused.code == 2
    assert refused.err.count("\n") == 2
    assert "RESOURCE_OWNER_DATABASE_URL is not set" in refused.err


async def test_upgrade_without_bootstrap_and_roles(steelcut: Steelcut, newcomer: dict[str, str]) -> None:
    """It says what is missing, once, and exits 1."""
    refused = await steelcut("db", "upgrade", "auth", env={**newcomer, "AUTH_BOOTSTRAP_DATABASE_URL": ""})
    assert refused.code == 1
    assert refused.sentence == "auth database: PostgreSQL refuses the role fresh_auth_owner or its password."


async def test_sql_for_a_database_administrator(
    steelcut: Steelcut, newcomer: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    """What --sql prints makes the schema that `db check` finds current; nothing is connected to."""
    made = await steelcut("db", "upgrade", "auth", "--sql", env={"AUTH_OWNER_DATABASE_URL": ""})
    assert made.code == 0
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute("CREATE ROLE fresh_auth_owner LOGIN PASSWORD 'o@wn'")
    await connection.execute("CREATE ROLE fresh_auth_admin LOGIN PASSWORD 'adm'")
    await connection.execute("CREATE ROLE fresh_auth LOGIN PASSWORD 'run'")
    await connection.execute("CREATE DATABASE fresh_auth OWNER fresh_auth_owner")
    await connection.close()
    owner = await asyncpg.connect(newcomer["AUTH_OWNER_DATABASE_URL"])
    await owner.execute(made.out.replace(":role", "fresh_auth").replace(":admin", "fresh_auth_admin"))
    await owner.close()
    checked = await steelcut("db", "check", "auth", env=newcomer)
    assert checked.code == 0


async def test_sql_names_the_publisher(steelcut: Steelcut) -> None:
    """The administrator of the resource database reads whose name to put where."""
    printed = await steelcut("db", "upgrade", "resource", "--sql", env={"RESOURCE_OWNER_DATABASE_URL": ""})
    assert (
        "-- psql -v publisher=NAME\nGRANT SELECT, INSERT, UPDATE, DELETE ON documents TO :publisher;"
        in printed.out
    )


async def test_check_of_an_empty_database(steelcut: Steelcut, newcomer: dict[str, str]) -> None:
    """Exit 1 and the next command."""
    await steelcut("db", "upgrade", "auth", env=newcomer)
    owner = await asyncpg.connect(newcomer["AUTH_OWNER_DATABASE_URL"])
    await owner.execute("DROP TABLE alembic_version")
    await owner.close()
    checked = await steelcut("db", "check", "auth", "--json", env=newcomer)
    assert checked.code == 1
    assert checked.json[0]["revision"] is None
    assert checked.json[0]["problem"] == "the schema is not current: steelcut db upgrade"


async def test_schema_of_a_newer_version(steelcut: Steelcut, newcomer: dict[str, str]) -> None:
    """An older version says so and changes nothing, not even the rights that the newer one gave."""
    await steelcut("db", "upgrade", "auth", env=newcomer)
    owner = await asyncpg.connect(newcomer["AUTH_OWNER_DATABASE_URL"])
    await owner.execute("UPDATE alembic_version SET version_num = '9999'")
    await owner.execute("CREATE TABLE newer (one int); GRANT SELECT ON newer TO fresh_auth")
    refused = await steelcut("db", "upgrade", "auth", env=newcomer)
    assert refused.code == 1
    assert refused.sentence == (
        "auth database: The schema is at revision 9999, which this version does not know: a newer one made it, and"
        " upgrades it. Schema and rights are as they were."
    )
    assert await owner.fetchval("SELECT has_table_privilege('fresh_auth', 'newer', 'SELECT')")
    await owner.close()
    checked = await steelcut("db", "check", "auth", "--json", env=newcomer)
    assert checked.code == 1
    assert checked.json[0]["problem"] == "the schema is of a newer version: check it with that one"


async def test_check_of_a_wrong_run_time_role(
    steelcut: Steelcut, operator: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    """What a service would refuse at its start is told before."""
    owner, database = operator["AUTH_OWNER_DATABASE_URL"], urlsplit(operator["AUTH_DATABASE_URL"]).path[1:]
    for url, problem in (
        (owner, "the run-time role is the owner"),
        (postgres.dsn(database), "the run-time role is a superuser"),
        (operator["AUTH_DATABASE_URL"].replace("-password", "-wrong"), "the run-time role cannot connect"),
    ):
        checked = await steelcut("db", "check", "auth", env={"AUTH_DATABASE_URL": url})
        assert checked.code == 1
        assert problem in checked.out
        assert "wrong" not in checked.out + checked.err


async def test_check_of_a_wrong_administrator_role(
    steelcut: Steelcut, operator: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    """Who administers is somebody else than who owns, who serves, and who may do everything."""
    database = urlsplit(operator["AUTH_DATABASE_URL"]).path[1:]
    for url, problem in (
        (operator["AUTH_OWNER_DATABASE_URL"], "the administrator role is the owner"),
        (operator["AUTH_DATABASE_URL"], "the administrator role is the run-time role"),
        (postgres.dsn(database), "the administrator role is a superuser"),
        (
            operator["AUTH_ADMIN_DATABASE_URL"].replace("-password", "-wrong"),
            "the administrator role cannot connect",
        ),
    ):
        checked = await steelcut("db", "check", "auth", env={"AUTH_ADMIN_DATABASE_URL": url})
        assert checked.code == 1
        assert problem in checked.out
        assert "wrong" not in checked.out + checked.err


async def test_check_of_a_wrong_publisher_role(steelcut: Steelcut, operator: dict[str, str]) -> None:
    """The resource database has a publisher in the place of the administrator, or nobody."""
    for url, problem in (
        (operator["RESOURCE_OWNER_DATABASE_URL"], "the publisher role is the owner"),
        (operator["RESOURCE_DATABASE_URL"], "the publisher role is the run-time role"),
    ):
        checked = await steelcut("db", "check", "resource", env={"RESOURCE_PUBLISHER_DATABASE_URL": url})
        assert checked.code == 1
        assert problem in checked.out
    without = await steelcut("db", "check", "resource", env={"RESOURCE_PUBLISHER_DATABASE_URL": ""})
    assert without.code == 0


async def test_check_of_a_server_that_is_not_there(steelcut: Steelcut) -> None:
    """Both databases are reported, also when one does not answer."""
    nowhere = "postgresql://auth_owner:secret-word@127.0.0.1:1/auth"
    checked = await steelcut("db", "check", env={"AUTH_OWNER_DATABASE_URL": nowhere})
    assert checked.code == 1
    assert "unknown" in checked.out
    assert "PostgreSQL does not answer" in checked.out
    assert checked.out.splitlines()[2].rstrip().endswith("ok")
    assert "secret-word" not in checked.out + checked.err


async def test_unknown_service_is_misuse(steelcut: Steelcut) -> None:
    """There are two databases, no third."""
    assert (await steelcut("db", "check", "billing")).code == 2


@pytest.mark.parametrize("schema", ["made", "none"])
async def test_owner_that_is_none(steelcut: Steelcut, operator: dict[str, str], schema: str) -> None:
    """The URL of the run-time role in the place of the owner's, before the first migration and after the last."""
    if schema == "none":
        connection = await asyncpg.connect(operator["AUTH_OWNER_DATABASE_URL"])
        await connection.execute(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public"
        )
        await connection.close()
    mistaken = {"AUTH_OWNER_DATABASE_URL": operator["AUTH_DATABASE_URL"]}
    refused = await steelcut("db", "upgrade", "auth", env=mistaken)
    assert refused.code == 1
    assert refused.sentence.startswith("auth database: The role auth_runtime does not own the tables of ")
