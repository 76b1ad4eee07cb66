"""``steelcut scopes``: what can be granted, and what of it is used."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from steelcut_cli import output

app = typer.Typer(no_args_is_help=True, help="The scopes of the resources, and how they are used.")


@app.command("list", epilog=output.examples("steelcut scopes list", "steelcut scopes list api_v0.0.1 --json"))
def list_scopes(
    resource: Annotated[
        str | None, typer.Argument(help="Short name of a resource.", show_default="all resources")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """List scopes: how many clients have each, and when a token last had it."""
    from auth_service.administration.resources import list_scopes
    from steelcut_cli.connections import administer

    scopes = administer(lambda connection: list_scopes(connection, resource))
    if as_json:
        output.json_document([asdict(scope) for scope in scopes])
        return
    rows = [
        (
            scope.resource,
            scope.scope,
            "default" if scope.is_default else "",
            scope.clients,
            output.moment(scope.last_used_at, "never"),
        )
        for scope in scopes
    ]
    output.table(
        ("resource", "scope", "", "clients", "last used"),
        rows,
        empty="There is no scope yet: steelcut resources create NAME --scope read",
    )
