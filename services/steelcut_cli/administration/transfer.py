"""``steelcut import`` and ``steelcut export``: clients that move."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from steelcut.service.database_urls import one_by_one
from steelcut_cli import output
from steelcut_cli.errors import Misuse, Refusal

if TYPE_CHECKING:
    from auth_service.transfer.report import Report
    from auth_service.transfer.writing import Read

app = typer.Typer(
    no_args_is_help=True,
    help="Bring clients over from another server, with their old secrets. A trial, until --apply is said.",
)

EXPORT_EXAMPLES: Final = output.examples(
    "steelcut export clients.jsonl", "steelcut import json-lines clients.jsonl --apply"
)

JsonFile = Annotated[Path, typer.Argument(help="The file; - reads the standard input.")]
Apply = Annotated[
    bool, typer.Option("--apply", help="Write it. Without this, everything is tried, reported and undone.")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Write nothing when one client is refused. Without this, the others are taken."
    ),
]
CreateResources = Annotated[
    str | None,
    typer.Option(
        "--create-resources",
        metavar="BASE_URL",
        help="Make the resources that are missing; a short name becomes BASE_URL/NAME.",
        show_default="a client of a missing resource is refused",
    ),
]


@app.command(
    "steelcut-oauth",
    epilog=output.examples(
        "export STEELCUT_OAUTH_DATABASE_URL_FILE=old-database-url",
        "steelcut import steelcut-oauth --create-resources https://api.example.com",
        "steelcut import steelcut-oauth --database postgresql://auth_client@127.0.0.1/clientdb --apply",
    ),
)
def steelcut_oauth(
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Its PostgreSQL, without a password: that comes from PGPASSWORD or a password file.",
            show_default="STEELCUT_OAUTH_DATABASE_URL",
        ),
    ] = None,
    table: Annotated[str, typer.Option(help="Its table (db_table_name).")] = "stored_tokens",
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            help="What each client is granted at its resource; repeat for more.",
            show_default="read",
        ),
    ] = None,
    create_resources: CreateResources = None,
    apply: Apply = False,
    strict: Strict = False,
    as_json: output.AsJson = False,
) -> None:
    """Take the clients of Steelcut-OAuth 0.0.3 from its table, which is only read.

    Reads AUTH_ADMIN_DATABASE_URL, and STEELCUT_OAUTH_DATABASE_URL unless --database names the place.
    """
    from auth_service.administration.errors import AdministrationError
    from auth_service.transfer import steelcut_oauth as reader
    from auth_service.transfer.steelcut_oauth_table import rows

    base_url = _base_url(create_resources)
    url = _source_url(database)
    try:
        found = asyncio.run(rows(url, table))
    except AdministrationError as error:
        raise Refusal(str(error)) from None
    granted = scopes or ["read"]
    report = _take(
        "steelcut-oauth", lambda catalogue: reader.read(found, catalogue, granted), apply, strict, base_url
    )
    _show(report, apply=apply, strict=strict, as_json=as_json)


@app.command(
    "hydra",
    epilog=output.examples(
        "steelcut import hydra hydra-clients.json --create-resources https://api.example.com",
        "steelcut import hydra hydra-clients.json --resource api_v0.0.1 --apply",
        'psql hydra -Atc "SELECT json_agg(c) FROM hydra_client c" | steelcut import hydra -',
    ),
)
def hydra(
    file: JsonFile,
    resource: Annotated[
        str | None,
        typer.Option(help="Resource of the clients that have no audience.", show_default="they are refused"),
    ] = None,
    create_resources: CreateResources = None,
    apply: Apply = False,
    strict: Strict = False,
    as_json: output.AsJson = False,
) -> None:
    """Take the clients of Ory Hydra from JSON: its audiences become resources, its scopes are granted there.

    Hydra's API shows no hashes of secrets; its table does (see the examples). Reads AUTH_ADMIN_DATABASE_URL.
    """
    from auth_service.transfer import hydra as reader
    from steelcut_cli.documents import read_file

    base_url = _base_url(create_resources)
    data = read_file(file)
    report = _take("hydra", lambda catalogue: reader.read(data, catalogue, resource), apply, strict, base_url)
    _show(report, apply=apply, strict=strict, as_json=as_json)


@app.command(
    "django-oauth-toolkit",
    epilog=output.examples(
        "python manage.py dumpdata oauth2_provider.application > applications.json",
        "steelcut import django-oauth-toolkit applications.json --grant api_v0.0.1=read,write",
        "steelcut import django-oauth-toolkit applications.json -g api_v0.0.1=read --apply",
    ),
)
def django_oauth_toolkit(
    file: JsonFile,
    grants: Annotated[
        list[str],
        typer.Option(
            "--grant",
            "-g",
            metavar="RESOURCE=SCOPE[,SCOPE…]",
            help="What each client is granted: its applications have no scopes of their own. Repeat for more.",
        ),
    ],
    create_resources: CreateResources = None,
    apply: Apply = False,
    strict: Strict = False,
    as_json: output.AsJson = False,
) -> None:
    """Take the applications of django-oauth-toolkit that use client credentials. Reads AUTH_ADMIN_DATABASE_URL."""
    from auth_service.transfer import django_oauth_toolkit as reader
    from steelcut_cli.administration.client_options import parse_grants
    from steelcut_cli.documents import read_file

    base_url = _base_url(create_resources)
    granted = parse_grants(grants)
    data = read_file(file)
    report = _take(
        "django-oauth-toolkit",
        lambda catalogue: reader.read(data, catalogue, granted),
        apply,
        strict,
        base_url,
    )
    _show(report, apply=apply, strict=strict, as_json=as_json)


@app.command(
    "json-lines",
    epilog=output.examples(
        "steelcut import json-lines clients.jsonl",
        "steelcut import json-lines clients.jsonl --strict --apply",
    ),
)
def json_lines(
    file: JsonFile, apply: Apply = False, strict: Strict = False, as_json: output.AsJson = False
) -> None:
    """Take clients and resources from the format that `steelcut export` writes. Reads AUTH_ADMIN_DATABASE_URL."""
    from auth_service.transfer import json_lines as reader
    from steelcut_cli.documents import read_file

    data = read_file(file)
    report = _take("json-lines", lambda catalogue: reader.read(data, catalogue), apply, strict, None)
    _show(report, apply=apply, strict=strict, as_json=as_json)


def export(
    file: Annotated[Path, typer.Argument(help="A new file; readable by its owner alone, never overwritten.")],
    as_json: output.AsJson = False,
) -> None:
    """Write all clients, resources and grants as JSON lines, with the HASHES OF ALL SECRETS.

    Treat the file as you treat the database: whoever has it can guess at secrets that came from elsewhere. That it was
    written stands in the audit log. Reads AUTH_ADMIN_DATABASE_URL.
    """
    from auth_service.administration.actor import terminal_actor
    from auth_service.settings import AuthAdministrationSettings
    from auth_service.transfer.exporting import export as export_all
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read

    settings = read(AuthAdministrationSettings)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Refusal(f"{file} cannot be made: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "wb") as opened:
            resources, clients = with_connection(
                settings.admin_database_url, lambda c: export_all(c, terminal_actor(), opened.write)
            )
    except BaseException:
        # Half an export looks like a whole one.
        with contextlib.suppress(OSError):
            file.unlink()
        raise
    if as_json:
        output.json_document({"file": str(file), "resources": resources, "clients": clients})
        return
    print(f"{_counted(clients, 'client')} and {_counted(resources, 'resource')} are in {file} (mode 0600).")
    print("IT HOLDS THE HASHES OF ALL SECRETS: keep it as you keep the database, and delete it after use.")


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _take(source: str, read: Read, apply: bool, strict: bool, base_url: str | None) -> Report:
    from auth_service.administration.actor import terminal_actor
    from auth_service.settings import AuthAdministrationSettings
    from auth_service.transfer.writing import take
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read as read_settings

    settings = read_settings(AuthAdministrationSettings)
    return with_connection(
        settings.admin_database_url,
        lambda c: take(c, terminal_actor(), source, read, apply=apply, strict=strict, base_url=base_url),
    )


def _source_url(option: str | None) -> str:
    from urllib.parse import urlsplit

    from pydantic import SecretStr

    from steelcut.service.settings import check_database_url
    from steelcut_cli.settings import SteelcutOAuthSettings, read

    if option is None:
        url = read(SteelcutOAuthSettings).database_url
        if url is None:
            raise Misuse(
                "Where is the table? Set STEELCUT_OAUTH_DATABASE_URL, or name the place with --database."
            )
        return url.get_secret_value()
    try:
        check_database_url(SecretStr(option))
        has_password = urlsplit(one_by_one(option)[0]).password is not None or "password=" in option
    except ValueError as error:
        raise Misuse(f"--database {error}") from None
    if has_password:
        raise Misuse(
            "--database takes no password, since others on this machine see command lines: use PGPASSWORD, a password "
            "file, or STEELCUT_OAUTH_DATABASE_URL."
        )
    return option


def _base_url(option: str | None) -> str | None:
    from steelcut.discovery import check_resource_identifier

    if option is None:
        return None
    try:
        return check_resource_identifier(option).rstrip("/")
    except ValueError as error:
        raise Misuse(f"--create-resources: {output.sentence(error)}") from None


def _show(report: Report, *, apply: bool, strict: bool, as_json: bool) -> None:
    from auth_service.transfer.report import worth_showing

    if as_json:
        output.json_document(report.document())
    else:
        rows = [
            (line.outcome.value, line.place, line.name, "; ".join(line.notes))
            for line in worth_showing(report.lines)
        ]
        if rows:
            output.table(("outcome", "where", "client or resource", "what and why"), rows, empty="")
            print()
        print(_summary(report))
    if strict and report.refused:
        raise Refusal(f"Nothing was written: {report.refused} refused, and --strict takes all or none.")
    if not as_json:
        print(_ending(report, apply=apply))


def _summary(report: Report) -> str:
    counts = report.counts
    return (
        f"Clients and resources: {counts['taken']} taken ({counts['changed']} of them changed), "
        f"{counts['unchanged']} unchanged, {counts['kept']} kept as they are here, {counts['refused']} refused."
    )


def _ending(report: Report, *, apply: bool) -> str:
    if not report.counts["taken"]:
        return "There is nothing to write."
    return "Written." if apply else "Nothing was written: this was a trial. --apply writes it."
