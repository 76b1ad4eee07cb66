"""`steelcut doctor` on settings and databases, each wrong in one way."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command

from auth_service.migrations import ADMIN_GRANTS, GRANTS
from resource_service import migrations as resource_migrations
from steelcut.service.database.migrations import _config, revisions
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from steelcut_cli.doctor import places
from steelcut_cli.doctor.rights import Right, parse
from tests.cli import terminal
from tests.cli.doctoring import Doctor, of_databases, secrets_of, shows_none
from tests.support.databases import AUTH_MIGRATIONS, Databases
from tests.support.system import as_owner

MASTER_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
DATABASE_CHECKS = ("database", "role", "schema", "configuration")


@pytest.fixture
def doctor(databases: Databases) -> Doctor:
    """Somebody who has all variables of two empty databases, and no running service."""
    return Doctor({**of_databases(databases), "AUTH_MASTER_KEY": MASTER_KEY})


@pytest.fixture
def superuser(postgres: EmbeddedPostgres, databases: Databases) -> Callable[[str], Awaitable[None]]:
    """A function that does something to the auth database that only a superuser may do."""

    async def execute(statement: str) -> None:
        url = postgres.dsn(urlsplit(databases.auth.owner).path[1:])
        await as_owner(url, lambda connection: connection.execute(statement))

    return execute


async def test_databases_as_they_should_be(doctor: Doctor) -> None:
    """Each URL leads to its role, each role has its rights, both schemas are current; no secret is printed."""
    examined = await doctor.examine()
    states = {check: state for check, state in examined.states().items() if _is_about_databases(check)}
    assert set(states.values()) == {"ok"}
    assert len(states) == 2 + 6 + 4 + 2 + 1
    assert shows_none(examined, secrets_of(doctor.variables))


def test_help_and_wrong_command_lines() -> None:
    """It has examples to copy, as each command has, and says which client it makes; what it does not know is misuse."""
    shown = terminal.run("doctor", "--help")
    assert shown.code == 0
    assert "steelcut doctor --client-id billing" in shown.out.split("Examples")[1]
    assert "temporary" in shown.out
    assert "explain" in shown.out
    assert terminal.run("doctor", "nonsense").code == 2
    assert terminal.run("doctor", "--nonsense").code == 2
    assert terminal.run("doctor", "explain").code == 2


async def test_for_people_each_check_is_a_line(doctor: Doctor) -> None:
    """The state first, then the check, what was found and what to do; the sum at the end."""
    shown = await doctor.steelcut("doctor", env={"AUTH_DATABASE_URL": ""})
    lines = shown.out.splitlines()
    assert "ok           auth database, administrator: " in shown.out
    assert (
        "not checked  auth database, run-time role: AUTH_DATABASE_URL is not set. Set it to have this checked."
        in lines
    )
    assert lines[-2] == ""
    assert "not checked" in lines[-1]
    assert shown.err == ""


def test_without_any_variable_nothing_fails() -> None:
    """It says of each check which variable to set, and what is not there is no failure."""
    shown = terminal.run("doctor", "--json")
    assert shown.code == 0
    assert {finding["state"] for finding in shown.json["findings"]} == {"not checked"}
    advice = " ".join(f"{finding['found']} {finding['advice']}" for finding in shown.json["findings"])
    for door in places.DOORS:
        assert door.variable in advice
    for variable in ("AUTH_ISSUER", "AUTH_MASTER_KEY"):
        assert variable in advice


@pytest.mark.parametrize(
    ("variable", "value", "check", "words"),
    [
        ("AUTH_MASTER_KEY", "c2hvcnQ=", "auth configuration", "AUTH_MASTER_KEY: must be 32 random bytes"),
        ("AUTH_PORT", "many", "auth configuration", "AUTH_PORT: "),
        ("AUTH_ISSUER", "https://auth.example.com/", "auth configuration", "must not end in a slash"),
        ("AUTH_DATABASE_URL", "mysql://x", "auth configuration", "must look like postgresql://"),
        ("AUTH_OWNER_DATABASE_URL", "change-me", "auth configuration", "is still the placeholder"),
        ("RESOURCE_LEEWAY_SECONDS", "61", "resource configuration", "RESOURCE_LEEWAY_SECONDS: "),
        ("RESOURCE_BASE_URL", "api.example.com", "resource configuration", "RESOURCE_BASE_URL: "),
    ],
)
async def test_mistake_in_the_settings(
    doctor: Doctor, variable: str, value: str, check: str, words: str
) -> None:
    """It is told as the service would tell it, and everything else is checked all the same."""
    examined = await doctor.examine(**{variable: value})
    finding = examined.of(check)
    assert (examined.outcome.code, finding["state"]) == (1, "failed")
    assert words in finding["found"]
    assert examined.of("auth database, administrator")["state"] == "ok"
    assert examined.of("resource database, run-time role")["state"] == "ok"


async def test_file_that_cannot_be_read(doctor: Doctor, tmp_path: Path) -> None:
    """A variable may name a file; that it is not there hides nothing else."""
    examined = await doctor.examine(
        AUTH_ADMIN_DATABASE_URL="", AUTH_ADMIN_DATABASE_URL_FILE=str(tmp_path / "nothing")
    )
    assert "AUTH_ADMIN_DATABASE_URL_FILE cannot be read" in examined.of("auth configuration")["found"]
    assert examined.of("auth database, administrator")["state"] == "not checked"
    assert examined.of("auth database, run-time role")["state"] == "ok"


async def test_service_that_could_not_start_by_its_settings(doctor: Doctor) -> None:
    """Where some are set and others are not, as in the environment of migrations, that is said and is no failure."""
    examined = await doctor.examine(AUTH_MASTER_KEY="")
    finding = examined.of("auth configuration")
    assert finding["state"] == "not checked"
    assert finding["found"] == (
        "AUTH_MASTER_KEY is not set. The service would not start with this environment."
    )


async def test_issuers_that_differ(doctor: Doctor) -> None:
    """One slash or another host name, and each token is refused."""
    examined = await doctor.examine(AUTH_ISSUER="http://127.0.0.1:1", RESOURCE_ISSUER="http://127.0.0.1:2")
    finding = examined.of("issuer in the configuration")
    assert finding["state"] == "failed"
    assert "AUTH_ISSUER is http://127.0.0.1:1, RESOURCE_ISSUER is http://127.0.0.1:2" in finding["found"]


async def test_rotation_that_nobody_does(doctor: Doctor) -> None:
    """The setting alone rotates nothing."""
    examined = await doctor.examine(AUTH_KEY_ROTATION_DAYS="90", AUTH_ADMIN_DATABASE_URL="")
    assert examined.of("key rotation")["state"] == "warning"


async def test_database_that_is_not_there(doctor: Doctor) -> None:
    """What stands upon it is not checked; the other database is."""
    nowhere = "postgresql://auth_owner:secret-word@127.0.0.1:1/auth"
    examined = await doctor.examine(
        AUTH_DATABASE_URL=nowhere, AUTH_ADMIN_DATABASE_URL=nowhere, AUTH_OWNER_DATABASE_URL=nowhere
    )
    finding = examined.of("auth database, administrator")
    assert (finding["state"], finding["advice"]) == (
        "failed",
        "It is AUTH_ADMIN_DATABASE_URL that leads there.",
    )
    assert "PostgreSQL does not answer" in finding["found"]
    assert examined.of("auth administrator role")["state"] == "not checked"
    assert examined.of("auth schema")["state"] == "not checked"
    assert examined.of("resource schema")["state"] == "ok"
    assert shows_none(examined, ["secret-word"])


async def test_password_that_is_wrong(doctor: Doctor) -> None:
    """The role is named, the password is not."""
    url = doctor.variables["AUTH_DATABASE_URL"].replace("-password", "-wrong-word")
    examined = await doctor.examine(AUTH_DATABASE_URL=url)
    finding = examined.of("auth database, run-time role")
    assert (finding["state"], finding["found"]) == (
        "failed",
        "PostgreSQL refuses the role auth_runtime or its password.",
    )
    assert shows_none(examined, ["wrong-word"])


async def test_database_that_takes_connections_and_says_nothing(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for longer than a few seconds."""
    # Whoever asks which tables there are waits for whoever holds them.
    monkeypatch.setattr(places, "LOOK_SECONDS", 0.3)
    url = doctor.variables["AUTH_OWNER_DATABASE_URL"]
    holder = await asyncpg.connect(url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE alembic_version")
        examined = await doctor.examine()
    await holder.close()
    finding = examined.of("auth database, owner")
    assert finding["state"] == "failed"
    assert "did not answer" in finding["found"]


async def test_listener_that_is_no_database(doctor: Doctor) -> None:
    """Another server at that port is told as such, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        asked = asyncio.create_task(
            doctor.examine(AUTH_OWNER_DATABASE_URL=f"postgresql://u:secret-word@127.0.0.1:{port}/x")
        )
        taken, _ = await asyncio.to_thread(listener.accept)
        taken.close()
        examined = await asked
    assert examined.of("auth database, owner")["state"] == "failed"
    assert shows_none(examined, ["secret-word"])


async def test_read_only_database(doctor: Doctor, superuser: Callable[[str], Awaitable[None]]) -> None:
    """As a standby is: tokens could be issued there for a while, nothing can be changed or recorded."""
    name = urlsplit(doctor.variables["AUTH_DATABASE_URL"]).path[1:]
    await superuser(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    examined = await doctor.examine()
    finding = examined.of("auth database, run-time role")
    assert finding["state"] == "failed"
    assert "Nothing can be written there" in finding["found"]
    assert "target_session_attrs" in finding["advice"]


async def test_service_that_runs_as_the_owner(doctor: Doctor) -> None:
    """It could change the schema."""
    examined = await doctor.examine(AUTH_DATABASE_URL=doctor.variables["AUTH_OWNER_DATABASE_URL"])
    finding = examined.of("auth run-time role")
    assert finding["state"] == "failed"
    assert finding["found"].startswith("auth_owner owns alembic_version, audit_events, ")
    assert "AUTH_DATABASE_URL" in finding["advice"]


async def test_service_that_runs_as_a_superuser(doctor: Doctor, postgres: EmbeddedPostgres) -> None:
    """Of all roles."""
    url = postgres.dsn(urlsplit(doctor.variables["AUTH_DATABASE_URL"]).path[1:])
    examined = await doctor.examine(AUTH_ADMIN_DATABASE_URL=url)
    assert examined.of("auth administrator role")["state"] == "failed"
    assert "is a superuser" in examined.of("auth administrator role")["found"]


async def test_administrator_who_is_the_run_time_role(doctor: Doctor) -> None:
    """The role that strangers' requests run as must not change clients."""
    examined = await doctor.examine(AUTH_ADMIN_DATABASE_URL=doctor.variables["AUTH_DATABASE_URL"])
    assert examined.of("auth administrator role")["found"] == "auth_runtime is the run-time role."


@pytest.mark.parametrize(
    ("statement", "check", "lack"),
    [
        (
            "REVOKE SELECT ON client_secrets FROM auth_runtime",
            "auth run-time role",
            "SELECT on client_secrets",
        ),
        (
            "REVOKE INSERT (reason) ON audit_events FROM auth_runtime",
            "auth run-time role",
            "INSERT on audit_events.reason",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION audit_maintain(integer) FROM auth_admin",
            "auth administrator role",
            "EXECUTE on audit_maintain(integer)",
        ),
        ("REVOKE UPDATE ON clients FROM auth_admin", "auth administrator role", "UPDATE on clients"),
    ],
)
async def test_role_that_lacks_a_right(
    doctor: Doctor, superuser: Callable[[str], Awaitable[None]], statement: str, check: str, lack: str
) -> None:
    """The right is named, and `steelcut db upgrade` gives it back."""
    await superuser(statement)
    finding = (await doctor.examine()).of(check)
    assert finding["state"] == "failed"
    assert lack in finding["found"]
    assert "steelcut db upgrade" in finding["advice"]
    assert (await doctor.steelcut("db", "upgrade", "auth")).code == 0
    assert (await doctor.examine()).of(check)["state"] == "ok"


async def test_role_that_may_do_more(doctor: Doctor, superuser: Callable[[str], Awaitable[None]]) -> None:
    """Rights that somebody gave by hand are a warning: everything works, and more than should."""
    await superuser("GRANT DELETE ON clients TO auth_runtime; GRANT CREATE ON SCHEMA public TO auth_runtime")
    examined = await doctor.examine()
    assert examined.of("auth run-time role")["state"] == "warning"
    assert examined.of("auth run-time role")["found"] == (
        "auth_runtime may do more than it needs: DELETE on clients, CREATE on schema public."
    )


async def test_schema_one_revision_behind(doctor: Doctor, databases: Databases) -> None:
    """As after an upgrade of the code alone."""
    newest, before, *_ = revisions(AUTH_MIGRATIONS)
    await asyncio.to_thread(command.downgrade, _config(AUTH_MIGRATIONS, databases.auth.owner), before)
    examined = await doctor.examine()
    finding = examined.of("auth schema")
    assert (examined.outcome.code, finding["state"]) == (1, "failed")
    assert finding["found"] == f"It is at revision {before}, older than {newest}, which this version needs."
    assert "steelcut db upgrade" in finding["advice"]
    assert (await doctor.steelcut("db", "upgrade", "auth")).code == 0
    assert (await doctor.examine()).of("auth schema")["state"] == "ok"


async def test_schema_of_a_newer_version(doctor: Doctor, databases: Databases) -> None:
    """A rolling upgrade in its middle, or a service that was forgotten: a warning, since it may work."""
    await as_owner(
        databases.auth.owner, lambda c: c.execute("UPDATE alembic_version SET version_num = '9999'")
    )
    finding = (await doctor.examine()).of("auth schema")
    assert finding["state"] == "warning"
    assert "a newer one has made it" in finding["found"]
    assert "Upgrade the services" in finding["advice"]


async def test_empty_database(doctor: Doctor, postgres: EmbeddedPostgres) -> None:
    """The first start, with the step that was forgotten."""
    examined = await doctor.examine(
        AUTH_OWNER_DATABASE_URL=postgres.dsn("postgres"), AUTH_DATABASE_URL="", AUTH_ADMIN_DATABASE_URL=""
    )
    finding = examined.of("auth schema")
    assert (finding["state"], finding["found"]) == ("failed", "The database is empty.")


@pytest.mark.parametrize(
    "statement",
    [*GRANTS, *ADMIN_GRANTS, *resource_migrations.GRANTS, *resource_migrations.ADMIN_GRANTS],
)
def test_every_grant_can_be_read(statement: str) -> None:
    """What a role needs is read from the statements that give it: one that could not be read would go unchecked."""
    read = list(parse(statement))
    assert read
    for right in read:
        assert right.privilege in statement
        assert right.object_name in statement


def test_columns_and_functions_are_read() -> None:
    """Their commas belong to them."""
    assert list(parse("GRANT INSERT (at, actor) ON audit_events TO {role}")) == [
        Right("INSERT", "audit_events", "at"),
        Right("INSERT", "audit_events", "actor"),
    ]
    assert list(parse("GRANT EXECUTE ON FUNCTION note(text[], integer) TO {role}")) == [
        Right("EXECUTE", "note(text[], integer)", is_function=True)
    ]
    with pytest.raises(ValueError, match="not a GRANT"):
        parse("REVOKE ALL ON clients FROM {role}")


def _is_about_databases(check: str) -> bool:
    return any(word in check for word in DATABASE_CHECKS) and "clock" not in check
