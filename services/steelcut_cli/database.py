"""``steelcut db``: the schema, the roles and the rights of both databases."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steelcut_cli import output
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from steelcut.service.database.migrations import DatabaseAccess, SchemaState
    from steelcut_cli.connections import Connection

app = typer.Typer(no_args_is_help=True, help="Make and check the two databases: schema, roles, rights.")


class Service(enum.StrEnum):
    """Whose database."""

    auth = "auth"
    resource = "resource"


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """How one database stands: ``problem`` is None when the service can run on it."""

    database: str
    revision: str | None
    head: str | None
    problem: str | None


Which = Annotated[
    list[Service] | None, typer.Argument(help="Whose database: auth, resource, or both.", show_default="both")
]


@app.command(
    "upgrade",
    epilog=output.examples(
        "steelcut db upgrade", "steelcut db upgrade auth", "steelcut db upgrade resource --sql | less"
    ),
)
def upgrade(
    services: Which = None,
    sql: Annotated[
        bool,
        typer.Option("--sql", help="Print the SQL instead, for a database administrator; touches nothing."),
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Bring the schema to the newest revision and give each role its rights.

    Running it again changes nothing. Reads AUTH_OWNER_DATABASE_URL, AUTH_ADMIN_DATABASE_URL and AUTH_DATABASE_URL;
    RESOURCE_OWNER_DATABASE_URL, RESOURCE_PUBLISHER_DATABASE_URL and RESOURCE_DATABASE_URL. With
    AUTH_BOOTSTRAP_DATABASE_URL, a role that may create roles and databases, it first makes the roles and the database
    that the other URLs name (RESOURCE_… likewise).
    """
    from steelcut.service.database import migrations

    chosen = services or list(Service)
    if sql:
        for service in chosen:
            print(migrations.upgrade_sql(_package(service)))
        return
    reports = []
    for service, access in [(service, _access(service)) for service in chosen]:
        state = _sentences(service, lambda: migrations.upgrade(access, _package(service)))  # noqa: B023
        reports.append(DatabaseReport(service, state.current, state.head, None))
    _show(reports, as_json=as_json)


@app.command("check", epilog=output.examples("steelcut db check", "steelcut db check auth --json"))
def check(services: Which = None, as_json: output.AsJson = False) -> None:
    """Say whether the services can run on their databases; exit 1 when one cannot.

    Looks at reachability, the revision of the schema, and whether the other roles are what they must be: none of
    them the owner, a superuser, or each other.
    """
    reports = [
        _check(service, access) for service, access in [(s, _access(s)) for s in services or list(Service)]
    ]
    _show(reports, as_json=as_json)
    if any(report.problem for report in reports):
        raise typer.Exit(1)


def _check(service: Service, access: DatabaseAccess) -> DatabaseReport:
    from steelcut.service.database import migrations
    from steelcut.service.refusal import Refusal as ServiceRefusal

    try:
        state = migrations.state(access.owner, _package(service))
        problem = _schema_problem(state) or _role_problem(service, access)
    except ServiceRefusal as error:
        return DatabaseReport(service, None, None, str(error))
    return DatabaseReport(service, state.current, state.head, problem)


def _schema_problem(state: SchemaState) -> str | None:
    if state.is_newer:
        return "the schema is of a newer version: check it with that one"
    return None if state.is_current else "the schema is not current: steelcut db upgrade"


def _role_problem(service: Service, access: DatabaseAccess) -> str | None:
    from steelcut.service.database import migrations

    owner, runtime = migrations.role_of(access.owner)[0], migrations.role_of(access.runtime)[0]
    if runtime == owner:
        return "the run-time role is the owner: the service would refuse to start"
    problem = _connection_problem("the run-time role", access.runtime, "the service would refuse to start")
    if problem or access.admin is None:
        return problem
    third = "administrator" if service is Service.auth else "publisher"
    admin = migrations.role_of(access.admin)[0]
    if admin in (owner, runtime):
        which = "owner" if admin == owner else "run-time role"
        return f"the {third} role is the {which}: give it one of its own"
    return _connection_problem(f"the {third} role", access.admin, "give it a role that changes rows only")


def _connection_problem(role: str, url: str, superuser: str) -> str | None:
    from pydantic import SecretStr

    from steelcut_cli.connections import with_connection

    async def privileged(connection: Connection) -> bool:
        return bool(await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))

    try:
        return f"{role} is a superuser: {superuser}" if with_connection(SecretStr(url), privileged) else None
    except Refusal as refusal:
        return f"{role} cannot connect: {refusal}"


def _access(service: Service) -> DatabaseAccess:
    from steelcut.service.database.migrations import DatabaseAccess
    from steelcut_cli.settings import AuthDatabaseSettings, ResourceDatabaseSettings, read

    settings: AuthDatabaseSettings | ResourceDatabaseSettings
    if service is Service.auth:
        settings = read(AuthDatabaseSettings)
        admin: SecretStr | None = settings.admin_database_url
    else:
        settings = read(ResourceDatabaseSettings)
        admin = settings.publisher_database_url
    bootstrap = settings.bootstrap_database_url
    return DatabaseAccess(
        owner=settings.owner_database_url.get_secret_value(),
        runtime=settings.database_url.get_secret_value(),
        admin=admin.get_secret_value() if admin else None,
        bootstrap=bootstrap.get_secret_value() if bootstrap else None,
    )


def _package(service: Service) -> str:
    return f"{service}_service.migrations"


def _sentences(service: Service, work: Callable[[], Any]) -> Any:
    from steelcut.service.refusal import Refusal as ServiceRefusal

    try:
        return work()
    except ServiceRefusal as error:
        raise Refusal(f"{service} database: {error}") from None


def _show(reports: list[DatabaseReport], *, as_json: bool) -> None:
    if as_json:
        output.json_document([asdict(report) for report in reports])
        return
    rows = [
        (report.database, report.revision or ("empty" if report.head else "unknown"), report.problem or "ok")
        for report in reports
    ]
    output.table(("database", "revision", "state"), rows, empty="no database")
