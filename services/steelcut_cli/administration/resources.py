"""``steelcut resources``: what tokens are for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output
from steelcut_cli.administration.client_options import either
from steelcut_cli.administration.pages import PAGE, every
from steelcut_cli.errors import Misuse

if TYPE_CHECKING:
    from auth_service.administration.resources import ResourceChanges
    from auth_service.queries.resources import CallerRow, ResourceRow
    from steelcut_cli.connections import Connection

app = typer.Typer(
    no_args_is_help=True, help="The protected resources that tokens are for, with their scopes."
)


Name = Annotated[str, typer.Argument(help="Short name, as in api_v0.0.1.")]
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
        "steelcut resources create orders -s read -s write -s cancel --default-scope read",
    ),
)
def create(
    name: Name,
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
    default_scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--default-scope",
            help="A scope that a client gets which asks for none, if it was granted; repeat for more.",
            show_default="all that it was granted",
        ),
    ] = None,
    lifetime: Lifetime = None,
    as_json: output.AsJson = False,
) -> None:
    """Register a protected resource. Reads AUTH_ADMIN_DATABASE_URL."""
    from auth_service.administration import resources as administration
    from auth_service.administration.actor import terminal_actor
    from resource_service.names import RESERVED
    from steelcut_cli.connections import administer
    from steelcut_cli.settings import PublicUrlSettings, read

    if identifier is None and name in RESERVED:
        raise Misuse(
            f"{name} is a path of the resource service itself, where no document can be: choose another name, or give "
            "--identifier, where something else serves it."
        )
    url = identifier or f"{read(PublicUrlSettings).base_url}/{name}"
    resource = administer(
        lambda connection: administration.create_resource(
            connection, terminal_actor(), name, url, scopes, lifetime, default_scopes=default_scopes or ()
        )
    )
    _show([resource], as_json=as_json, one=True)


@app.command("list", epilog=output.examples("steelcut resources list", "steelcut resources list --json"))
def list_resources(as_json: output.AsJson = False) -> None:
    """List the registered resources with their identifiers and scopes."""
    from auth_service.administration import resources as administration
    from steelcut_cli.connections import administer

    _show(administer(administration.list_resources), as_json=as_json)


@app.command(
    "show",
    epilog=output.examples("steelcut resources show api_v0.0.1", "steelcut resources show api_v0.0.1 --json"),
)
def show(name: Name, as_json: output.AsJson = False) -> None:
    """Show one resource. Who may call it: steelcut resources callers; how much each scope is used: steelcut scopes."""
    from auth_service.administration import resources as administration
    from steelcut_cli.connections import administer

    resource = administer(lambda connection: administration.show_resource(connection, name))
    _facts(resource, as_json=as_json)


@app.command(
    "callers",
    epilog=output.examples(
        "steelcut resources callers api_v0.0.1", "steelcut resources callers api_v0.0.1 --json"
    ),
)
def callers(name: Name, as_json: output.AsJson = False) -> None:
    """Say who can call a resource, with which scopes, and when they last had a token with each."""
    from auth_service.administration import resources as administration
    from steelcut_cli.connections import administer

    async def everybody(connection: Connection) -> list[CallerRow]:
        return await every(
            lambda cursor: administration.list_callers(connection, name, cursor=cursor, limit=PAGE)
        )

    found = administer(everybody)
    if as_json:
        output.json_document([asdict(caller) for caller in found])
        return
    rows = [
        (caller.client_id, caller.name, caller.state, scope, output.moment(used, "never"))
        for caller in found
        for scope, used in caller.scopes.items()
    ]
    output.table(
        ("client id", "name", "state", "scope", "last used"),
        rows,
        empty=f"Nobody can call {name}: steelcut clients update CLIENT_ID --grant {name}=SCOPE",
    )


@app.command(
    "update",
    epilog=output.examples(
        "steelcut resources update api_v0.0.1 --add-scope delete --default-scope read",
        "steelcut resources update api_v0.0.1 --remove-scope delete --force",
        "steelcut resources update api_v0.0.1 --identifier https://api.example.com/api_v0.0.1 --lifetime 600",
    ),
)
def update(
    name: Name,
    identifier: Annotated[
        str | None, typer.Option(help="URL under which clients see the resource; the new tokens' audience.")
    ] = None,
    add_scopes: Annotated[
        list[str] | None, typer.Option("--add-scope", help="A scope to add; repeat for more.")
    ] = None,
    remove_scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--remove-scope", help="A scope to remove; refused while it is granted, without --force."
        ),
    ] = None,
    default_scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--default-scope", help="These become what a client gets that asks for none; repeat for more."
        ),
    ] = None,
    no_default_scopes: Annotated[
        bool, typer.Option("--no-default-scopes", help="Such a client gets all that it was granted.")
    ] = False,
    lifetime: Annotated[int | None, typer.Option(help="Longest life of a token, in seconds.")] = None,
    no_lifetime: Annotated[
        bool, typer.Option("--no-lifetime", help="As long as AUTH_TOKEN_LIFETIME_SECONDS.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take a removed scope from the clients that have it.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Change a resource: what is not named stays as it is. Replicas follow within a second."""
    from auth_service.administration import resources as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    changes: ResourceChanges = {}
    if identifier is not None:
        changes["identifier"] = identifier
    if lifetime is not None or no_lifetime:
        changes["token_lifetime_seconds"] = either(lifetime, no_lifetime, "lifetime")
    if default_scopes is not None or no_default_scopes:
        changes["default_scopes"] = either(default_scopes, no_default_scopes, "default-scopes") or ()
    if not (changes or add_scopes or remove_scopes):
        raise Misuse("Say what to change: steelcut resources update --help shows what can be.")

    async def change(connection: Connection) -> ResourceRow:
        known = await administration.show_resource(connection, name)
        if add_scopes or remove_scopes:
            unknown = [scope for scope in remove_scopes or () if scope not in known.scopes]
            if unknown:
                raise Misuse(f"{name} has no scope {unknown[0]!a}: it has {', '.join(known.scopes)}.")
            kept = [scope for scope in known.scopes if scope not in (remove_scopes or ())]
            changes["scopes"] = [*kept, *(add_scopes or ())]
        return await administration.update_resource(
            connection, terminal_actor(), name, changes, expected_version=known.version, force=force
        )

    _facts(administer(change), as_json=as_json)


@app.command(
    "delete",
    epilog=output.examples(
        "steelcut resources delete reports", "steelcut resources delete reports --force --yes"
    ),
)
def delete(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also while it is granted to clients.")] = False,
    yes: output.Yes = False,
) -> None:
    """Delete a resource and its scopes. While clients have it, that is refused without --force.

    The documents below it stay in the resource service; nobody can get a token for them any more.
    """
    from auth_service.administration import resources as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    resource = administer(lambda connection: administration.show_resource(connection, name))
    output.confirm(f"Delete {name} ({output.cell(resource.identifier)})?", yes=yes)
    administer(
        lambda connection: administration.delete_resource(connection, terminal_actor(), name, force=force)
    )
    print(f"Deleted {name}.")


def _show(resources: list[ResourceRow], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        documents = [asdict(resource) for resource in resources]
        output.json_document(documents[0] if one else documents)
        return
    rows = [
        (
            row.name,
            row.identifier,
            " ".join(row.scopes),
            " ".join(row.default_scopes),
            row.token_lifetime_seconds,
        )
        for row in resources
    ]
    output.table(
        ("name", "identifier", "scopes", "default scopes", "lifetime/s"),
        rows,
        empty="There is no resource yet: steelcut resources create NAME --scope read",
    )


def _facts(resource: ResourceRow, *, as_json: bool) -> None:
    if as_json:
        output.json_document(asdict(resource))
        return
    output.facts(
        {
            "name": resource.name,
            "identifier": resource.identifier,
            "scopes": " ".join(resource.scopes),
            "default scopes": " ".join(resource.default_scopes) or "all that the client was granted",
            "lifetime/s": resource.token_lifetime_seconds,
            "created": output.moment(resource.created_at),
            "changed": f"{output.moment(resource.updated_at)} (version {resource.version})",
        }
    )
