"""``steelcut resources``: what tokens are for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output

if TYPE_CHECKING:
    from auth_service.queries import ResourceRow

app = typer.Typer(
    no_args_is_help=True, help="The protected resources that tokens are for, with their scopes."
)

Lifetime = Annotated[
    int | None,
    typer.Option(
        "--lifetime", help="Longest life of a token, in seconds.", show_default="AUTH_TOKEN_LIFETIME_SECONDS"
    ),
]


@app.command(
    "create",
    epilog=output.examples(
        "steelcut resources create api_v0.0.1 --scope read --scope write",
        "steelcut resources create reports --scope read --identifier https://api.example.com/reports",
    ),
)
def create(
    name: Annotated[str, typer.Argument(help="Short name, as in api_v0.0.1.")],
    scopes: Annotated[
        list[str],
        typer.Option("--scope", "-s", help="A scope that belongs to the resource; repeat for more."),
    ],
    identifier: Annotated[
        str | None,
        typer.Option(
            help="URL under which clients see the resource; becomes the token's audience.",
            show_default="RESOURCE_BASE_URL/NAME",
        ),
    ] = None,
    lifetime: Lifetime = None,
    as_json: output.AsJson = False,
) -> None:
    """Register a protected resource. Reads AUTH_OWNER_DATABASE_URL."""
    from auth_service import administration
    from auth_service.settings import AuthAdministrationSettings
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import PublicUrlSettings, read

    settings = read(AuthAdministrationSettings)
    url = identifier or f"{read(PublicUrlSettings).base_url}/{name}"
    resource = with_connection(
        settings.owner_database_url,
        lambda connection: administration.create_resource(connection, name, url, scopes, lifetime),
    )
    _show([resource], as_json=as_json, one=True)


@app.command("list", epilog=output.examples("steelcut resources list", "steelcut resources list --json"))
def list_resources(as_json: output.AsJson = False) -> None:
    """List the registered resources with their identifiers and scopes."""
    from auth_service import administration
    from auth_service.settings import AuthAdministrationSettings
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read

    settings = read(AuthAdministrationSettings)
    _show(with_connection(settings.owner_database_url, administration.list_resources), as_json=as_json)


def _show(resources: list[ResourceRow], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        documents = [asdict(resource) for resource in resources]
        output.json_document(documents[0] if one else documents)
        return
    rows = [(row.name, row.identifier, " ".join(row.scopes), row.token_lifetime_seconds) for row in resources]
    output.table(
        ("name", "identifier", "scopes", "lifetime/s"),
        rows,
        empty="There is no resource yet: steelcut resources create NAME --scope read",
    )
