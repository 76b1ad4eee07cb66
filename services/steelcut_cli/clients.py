"""``steelcut clients``: who may ask for tokens, and for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steelcut_cli import output
from steelcut_cli.errors import Misuse
from steelcut_cli.resources import Lifetime

if TYPE_CHECKING:
    from auth_service.queries import ClientRow

app = typer.Typer(
    no_args_is_help=True, help="The clients that may ask for tokens, and what each was granted."
)


@app.command(
    "create",
    epilog=output.examples(
        'steelcut clients create "Jane Doe" --grant api_v0.0.1=read',
        "steelcut clients create billing -g api_v0.0.1=read,write -g reports=read --default-resource reports",
        "steelcut clients create worker --client-id worker -g api_v0.0.1=read --json > worker.json",
    ),
)
def create(
    name: Annotated[str, typer.Argument(help="What people call the client.")],
    grants: Annotated[
        list[str],
        typer.Option(
            "--grant",
            "-g",
            metavar="RESOURCE=SCOPE[,SCOPE…]",
            help="A resource, by its short name, and the scopes granted there; repeat for more resources.",
        ),
    ],
    client_id: Annotated[
        str | None, typer.Option(help="The client's id.", show_default="made from the name")
    ] = None,
    default_resource: Annotated[
        str | None,
        typer.Option(
            help="Resource of a token request that names none.", show_default="the only granted one"
        ),
    ] = None,
    lifetime: Lifetime = None,
    as_json: output.AsJson = False,
) -> None:
    """Register a client and print its secret: once, here, never again.

    Only a salted hash of the secret is stored. Reads AUTH_OWNER_DATABASE_URL.
    """
    from auth_service import administration
    from auth_service.settings import AuthAdministrationSettings
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read

    granted = parse_grants(grants)
    settings = read(AuthAdministrationSettings)
    new = with_connection(
        settings.owner_database_url,
        lambda connection: administration.create_client(
            connection,
            name,
            granted,
            client_id=client_id,
            default_resource=default_resource,
            token_lifetime_seconds=lifetime,
        ),
    )
    if as_json:
        output.json_document({**_document(new.client), "client_secret": new.secret})
        return
    output.facts({**_facts(new.client), "client secret": new.secret})
    print("\nKeep the secret now: it is not stored and cannot be shown again.")


@app.command("list", epilog=output.examples("steelcut clients list", "steelcut clients list --json"))
def list_clients(as_json: output.AsJson = False) -> None:
    """List the clients with their grants. Secrets are not stored, so none is shown."""
    from auth_service import administration
    from auth_service.settings import AuthAdministrationSettings
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read

    settings = read(AuthAdministrationSettings)
    clients = with_connection(settings.owner_database_url, administration.list_clients)
    if as_json:
        output.json_document([_document(client) for client in clients])
        return
    rows = [(client.client_id, client.name, _grants(client), client.default_resource) for client in clients]
    output.table(
        ("client id", "name", "grants", "default resource"),
        rows,
        empty="There is no client yet: steelcut clients create NAME --grant RESOURCE=read",
    )


@app.command(
    "show",
    epilog=output.examples(
        "steelcut clients show jane-doe-2k4x9w1c", "steelcut clients show jane-doe-2k4x9w1c --json"
    ),
)
def show(
    client_id: Annotated[str, typer.Argument(help="The client's id.")], as_json: output.AsJson = False
) -> None:
    """Show one client: grants, lifetime, ids of its secrets."""
    from auth_service import administration
    from auth_service.settings import AuthAdministrationSettings
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read

    settings = read(AuthAdministrationSettings)
    client = with_connection(
        settings.owner_database_url, lambda connection: administration.show_client(connection, client_id)
    )
    if as_json:
        output.json_document(_document(client))
    else:
        output.facts(_facts(client))


def parse_grants(options: Sequence[str]) -> dict[str, list[str]]:
    """Return resource names with scopes for ``["api_v0.0.1=read,write", …]``; a repeated resource adds up.

    Raises :class:`Misuse` for anything else.
    """
    grants: dict[str, list[str]] = {}
    for option in options:
        resource, _, scopes = option.partition("=")
        # OAuth writes scopes with spaces between, shells are easier with commas: both are understood.
        names = scopes.replace(",", " ").split()
        if not resource or not names:
            raise Misuse("--grant takes RESOURCE=SCOPE[,SCOPE…], for example --grant api_v0.0.1=read,write")
        grants.setdefault(resource, []).extend(names)
    return grants


def _document(client: ClientRow) -> dict[str, Any]:
    return asdict(client)


def _facts(client: ClientRow) -> dict[str, object]:
    return {
        "client id": client.client_id,
        "name": client.name,
        "grants": _grants(client),
        "default resource": client.default_resource,
        "lifetime/s": client.token_lifetime_seconds,
        "secret ids": " ".join(client.secret_ids),
        "created": output.moment(client.created_at),
    }


def _grants(client: ClientRow) -> str:
    return "; ".join(f"{resource}: {' '.join(scopes)}" for resource, scopes in sorted(client.grants.items()))
