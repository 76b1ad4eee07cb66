"""``steelcut admin``: the first client of the admin API, which nobody could make over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from steelcut_cli import output
from steelcut_cli.administration import secrets

app = typer.Typer(no_args_is_help=True, help="The admin API /admin/v1, and the clients that may call it.")


@app.callback()
def admin() -> None:
    """Keep ``create`` a command of its own, though it is the only one."""


@app.command(
    "create",
    epilog=output.examples(
        'steelcut admin create "Operations"',
        "steelcut admin create key-job --scope keys:write --json > key-job.json",
        "steelcut admin create onboarding -s clients:read -s clients:write",
    ),
)
def create(
    name: Annotated[str, typer.Argument(help="What people call the client.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            help="What it may do over HTTP; repeat for more.",
            show_default="all but secrets:rotate-own",
        ),
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Register a client that may call the admin API, and print its secret: once, here, never again.

    Makes the resource `admin` if it is not there, with AUTH_ISSUER/admin/v1 as its identifier. Reads AUTH_ISSUER and
    AUTH_ADMIN_DATABASE_URL.
    """
    from auth_service.administration import admin_api
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import AdminApiSettings, read

    settings = read(AdminApiSettings)
    scopes = scope or admin_api.OPERATOR_SCOPES
    new = with_connection(
        settings.admin_database_url,
        lambda connection: admin_api.create_admin(
            connection, terminal_actor(), name, settings.issuer, scopes
        ),
    )
    audience = admin_api.admin_audience(settings.issuer)
    with output.shown_once(secrets.made_unseen(new.client.client_id)):
        if as_json:
            output.json_document({**asdict(new.client), "client_secret": new.secret, "resource": audience})
            return
        granted = new.client.grants[admin_api.ADMIN_RESOURCE]
        output.facts(
            {
                "client id": new.client.client_id,
                "name": new.client.name,
                "scopes": " ".join(granted),
                "resource": audience,
                "client secret": new.secret,
            }
        )
        print(f"\n{secrets.KEEP_IT}")
