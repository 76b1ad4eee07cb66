"""``steelcut clients``: who may ask for tokens, and for which."""

from __future__ import annotations

import enum
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output
from steelcut_cli.administration import secrets, times
from steelcut_cli.administration.client_options import (
    either,
    parse_grants,
    parse_metadata,
    parse_ungrants,
    regranted,
)
from steelcut_cli.administration.pages import PAGE
from steelcut_cli.administration.resources import Lifetime
from steelcut_cli.errors import Misuse

if TYPE_CHECKING:
    from auth_service.administration.clients import ClientChanges
    from auth_service.administration.paging import Page
    from auth_service.queries.clients import ClientRow
    from auth_service.queries.secrets import SecretRow
    from steelcut_cli.connections import Connection

app = typer.Typer(
    no_args_is_help=True, help="The clients that may ask for tokens, and what each was granted."
)

GRANT = "RESOURCE=SCOPE[,SCOPE…]"
ClientId = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="The client's id.")]
Expires = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help=f"When the client ends: {times.MOMENT_HELP}.", show_default="never"),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="A note for operators, as in owner=billing; repeat for more."),
]


class State(enum.StrEnum):
    """What `--state` takes."""

    active = "active"
    disabled = "disabled"
    expired = "expired"


@app.command(
    "create",
    epilog=output.examples(
        'steelcut clients create "Jane Doe" --grant api_v0.0.1=read',
        "steelcut clients create billing -g api_v0.0.1=read,write -g reports=read --default-resource reports",
        "steelcut clients create worker --client-id worker -g api_v0.0.1=read --json > worker.json",
        "steelcut clients create partner -g reports=read --expires 90d --metadata owner=sales",
    ),
)
def create(
    name: Annotated[str, typer.Argument(help="What people call the client.")],
    grants: Annotated[
        list[str],
        typer.Option(
            "--grant",
            "-g",
            metavar=GRANT,
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
    expires: Expires = None,
    metadata: Metadata = None,
    secret_label: Annotated[str, typer.Option(help="What the first secret is for.")] = "",
    secret_expires: Annotated[
        str | None, typer.Option(metavar="WHEN", help="When the first secret ends.", show_default="never")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Register a client and print its secret: once, here, never again.

    Only a salted hash of the secret is stored. Reads AUTH_ADMIN_DATABASE_URL.
    """
    from auth_service.administration import clients as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    if client_id == "":
        raise Misuse(
            "--client-id is empty: name an id, or leave the option out, and one is made from the name."
        )
    granted = parse_grants(grants)
    noted = {key: value for key, value in parse_metadata(metadata).items() if value is not None}
    ends, secret_ends = times.moment(expires), times.moment(secret_expires)
    new = administer(
        lambda connection: administration.create_client(
            connection,
            terminal_actor(),
            name,
            granted,
            client_id=client_id,
            default_resource=default_resource,
            token_lifetime_seconds=lifetime,
            expires_at=ends,
            metadata=noted,
            secret_label=secret_label,
            secret_expires_at=secret_ends,
        )
    )
    with output.shown_once(secrets.made_unseen(new.client.client_id)):
        if as_json:
            output.json_document({**asdict(new.client), "client_secret": new.secret})
            return
        output.facts({**_facts(new.client), "client secret": new.secret})
        print(f"\n{secrets.KEEP_IT}")


@app.command(
    "list",
    epilog=output.examples(
        "steelcut clients list",
        "steelcut clients list --search billing --state active",
        "steelcut clients list --resource api_v0.0.1 --json",
        "steelcut clients list --limit 50",
    ),
)
def list_clients(
    search: Annotated[
        str | None, typer.Option("--search", "-s", help="Text in the id, the name or the metadata.")
    ] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", "-r", help="Short name of a resource that was granted.")
    ] = None,
    state: Annotated[State | None, typer.Option(help="State of the client.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=PAGE, help="So many, not all.", show_default="all")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where a list with --limit ended.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """List the clients with their grants. Secrets are not stored, so none is shown."""
    from auth_service.administration import clients as administration
    from steelcut_cli.connections import administer

    async def page(connection: Connection, cursor: str | None) -> Page[ClientRow]:
        return await administration.list_clients(
            connection,
            text=search,
            resource=resource,
            state=state.value if state else None,
            cursor=cursor,
            limit=limit or PAGE,
        )

    async def pages(connection: Connection) -> tuple[list[ClientRow], str | None]:
        first = await page(connection, after)
        rows, cursor = first.rows, first.next_cursor
        while cursor is not None and limit is None:
            following = await page(connection, cursor)
            rows, cursor = rows + following.rows, following.next_cursor
        return rows, cursor

    clients, more = administer(pages)
    if as_json:
        output.json_document([asdict(client) for client in clients])
    else:
        rows = [
            (row.client_id, row.name, row.state, _grants(row), output.moment(row.last_used_at, "never"))
            for row in clients
        ]
        filtered = search or resource or state or after
        nothing = "No client is like that."
        output.table(
            ("client id", "name", "state", "grants", "last used"),
            rows,
            empty=nothing
            if filtered
            else "There is no client yet: steelcut clients create NAME --grant RESOURCE=read",
        )
    if more:
        output.complain(f"there are more; the next ones: --after {more}")


@app.command(
    "show",
    epilog=output.examples(
        "steelcut clients show jane-doe-2k4x9w1c", "steelcut clients show jane-doe-2k4x9w1c --json"
    ),
)
def show(client_id: ClientId, as_json: output.AsJson = False) -> None:
    """Show one client: state, grants, lifetime, metadata, and its secrets without their values."""
    from auth_service.administration import clients as administration
    from auth_service.administration.secrets import list_secrets
    from steelcut_cli.connections import administer

    async def both(connection: Connection) -> tuple[ClientRow, list[SecretRow]]:
        client = await administration.show_client(connection, client_id)
        return client, await list_secrets(connection, client_id)

    client, its_secrets = administer(both)
    if as_json:
        output.json_document({**asdict(client), "secrets": [asdict(secret) for secret in its_secrets]})
        return
    output.facts(_facts(client))
    print()
    secrets.show(its_secrets)


@app.command(
    "update",
    epilog=output.examples(
        'steelcut clients update billing --name "Billing, Europe" --metadata owner=finance',
        "steelcut clients update billing --grant reports=read,write --ungrant api_v0.0.1=write",
        "steelcut clients update partner --expires 2031-12-31 --lifetime 600",
        "steelcut clients update partner --expires never --no-lifetime --metadata owner=",
    ),
)
def update(
    client_id: ClientId,
    name: Annotated[str | None, typer.Option(help="What people call the client.")] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option("--grant", "-g", metavar=GRANT, help="Scopes to grant besides those it has."),
    ] = None,
    ungrant: Annotated[
        list[str] | None,
        typer.Option(metavar="RESOURCE[=SCOPE,…]", help="Scopes to take away; without scopes, all of them."),
    ] = None,
    default_resource: Annotated[
        str | None, typer.Option(help="Resource of a token request that names none.")
    ] = None,
    no_default_resource: Annotated[
        bool, typer.Option("--no-default-resource", help="Such a request is refused.")
    ] = False,
    lifetime: Annotated[int | None, typer.Option(help="Longest life of its tokens, in seconds.")] = None,
    no_lifetime: Annotated[
        bool, typer.Option("--no-lifetime", help="As long as AUTH_TOKEN_LIFETIME_SECONDS and the resource.")
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help=f"When the client ends: {times.MOMENT_HELP}; or never."),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A note to set; NAME= takes it away; repeat for more."),
    ] = None,
    expected_version: Annotated[
        int | None, typer.Option(metavar="N", help="Change nothing if it is not at this version.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Change a client: what is not named stays as it is. Replicas follow within a second."""
    from auth_service.administration import clients as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    changes: ClientChanges = {}
    if name is not None:
        changes["name"] = name
    if default_resource is not None or no_default_resource:
        changes["default_resource"] = either(default_resource, no_default_resource, "default-resource")
    if lifetime is not None or no_lifetime:
        changes["token_lifetime_seconds"] = either(lifetime, no_lifetime, "lifetime")
    if expires is not None:
        changes["expires_at"] = times.moment(expires)
    noted, added, taken = parse_metadata(metadata), parse_grants(grant or ()), parse_ungrants(ungrant or ())
    if not (changes or noted or added or taken):
        raise Misuse("Say what to change: steelcut clients update --help shows what can be.")

    async def change(connection: Connection) -> ClientRow:
        # Grants and notes are given as differences: what they are applied to must not change before they are.
        known = await administration.show_client(connection, client_id)
        if noted:
            merged = {**known.metadata, **noted}
            changes["metadata"] = {key: value for key, value in merged.items() if value is not None}
        if added or taken:
            changes["grants"] = regranted(known.grants, added, taken)
        version = known.version if expected_version is None else expected_version
        return await administration.update_client(
            connection, terminal_actor(), client_id, changes, expected_version=version
        )

    _print(administer(change), as_json=as_json)


@app.command("disable", epilog=output.examples("steelcut clients disable billing"))
def disable(client_id: ClientId, as_json: output.AsJson = False) -> None:
    """Give the client no more tokens, on any replica, within a second. Those that it has live to their end."""
    from auth_service.administration import clients as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    client = administer(
        lambda connection: administration.disable_client(connection, terminal_actor(), client_id)
    )
    _print(client, as_json=as_json)


@app.command("enable", epilog=output.examples("steelcut clients enable billing"))
def enable(client_id: ClientId, as_json: output.AsJson = False) -> None:
    """Let a disabled client have tokens again, by the secrets that it had."""
    from auth_service.administration import clients as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    client = administer(
        lambda connection: administration.enable_client(connection, terminal_actor(), client_id)
    )
    _print(client, as_json=as_json)


@app.command(
    "delete",
    epilog=output.examples("steelcut clients delete billing", "steelcut clients delete billing --yes"),
)
def delete(client_id: ClientId, yes: output.Yes = False) -> None:
    """Delete a client with its grants and secrets, for good; the audit log keeps what it was.

    To shut it out for a while: steelcut clients disable.
    """
    from auth_service.administration import clients as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    client = administer(lambda connection: administration.show_client(connection, client_id))
    used = output.moment(client.last_used_at, "never")
    output.confirm(f"Delete {output.cell(client.name)} ({client_id}, last used: {used})?", yes=yes)
    administer(lambda connection: administration.delete_client(connection, terminal_actor(), client_id))
    print(f"Deleted {client_id}.")


def _print(client: ClientRow, *, as_json: bool) -> None:
    if as_json:
        output.json_document(asdict(client))
    else:
        output.facts(_facts(client))


def _facts(client: ClientRow) -> dict[str, object]:
    return {
        "client id": client.client_id,
        "name": client.name,
        "state": client.state,
        "grants": _grants(client),
        "default resource": client.default_resource,
        "lifetime/s": client.token_lifetime_seconds,
        "expires": output.moment(client.expires_at, "never"),
        "metadata": "; ".join(f"{key}: {value}" for key, value in sorted(client.metadata.items())),
        "secret ids": " ".join(client.secret_ids),
        "last used": output.moment(client.last_used_at, "never"),
        "created": output.moment(client.created_at),
        "changed": f"{output.moment(client.updated_at)} (version {client.version})",
    }


def _grants(client: ClientRow) -> str:
    return "; ".join(f"{resource}: {' '.join(scopes)}" for resource, scopes in sorted(client.grants.items()))
