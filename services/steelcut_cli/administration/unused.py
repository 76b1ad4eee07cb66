"""``steelcut clients unused`` and ``steelcut scopes unused``: what could be taken away."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from steelcut_cli import output
from steelcut_cli.administration.pages import PAGE, every

if TYPE_CHECKING:
    from auth_service.queries.clients import ClientRow
    from auth_service.queries.usage import UnusedClient, UnusedGrant
    from steelcut.service.database.postgres import Connection

CLIENT_EXAMPLES: Final = output.examples(
    "steelcut clients unused", "steelcut clients unused --days 30 --json"
)
SCOPE_EXAMPLES: Final = output.examples("steelcut scopes unused", "steelcut scopes unused --days 30 --json")

Days = Annotated[
    int, typer.Option("--days", "-d", min=1, max=3650, help="For how many days; what is younger is left out.")
]


def clients(days: Days = 90, as_json: output.AsJson = False) -> None:
    """List the clients that got no token for so long. Reads AUTH_ADMIN_DATABASE_URL."""
    from auth_service.administration.usage import unused_clients
    from steelcut_cli.connections import administer

    async def all_of_them(connection: Connection) -> list[UnusedClient]:
        return await every(lambda cursor: unused_clients(connection, days=days, cursor=cursor, limit=PAGE))

    found = administer(all_of_them)
    if as_json:
        output.json_document([asdict(client) for client in found])
        return
    rows = [
        (
            row.client_id,
            row.name,
            row.state,
            output.moment(row.created_at),
            output.moment(row.last_used_at, "never"),
        )
        for row in found
    ]
    output.table(
        ("client id", "name", "state", "created", "last used"),
        rows,
        empty=f"No client has been without a token for {_days(days)}.",
    )
    if rows:
        print("\nTo shut one out and be able to take it back: steelcut clients disable CLIENT_ID")


def scopes(days: Days = 90, as_json: output.AsJson = False) -> None:
    """List what clients were granted and got no token for so long. Reads AUTH_ADMIN_DATABASE_URL.

    A client that asks for no scope uses its default scopes, or all that it was granted.
    """
    from auth_service.administration.clients import list_clients
    from auth_service.administration.usage import unused_grants
    from steelcut_cli.connections import administer

    async def all_of_them(connection: Connection) -> tuple[list[UnusedGrant], list[ClientRow]]:
        found = await every(lambda cursor: unused_grants(connection, days=days, cursor=cursor, limit=PAGE))
        if not found or as_json:
            return found, []
        return found, await every(lambda cursor: list_clients(connection, cursor=cursor, limit=PAGE))

    found, clients = administer(all_of_them)
    if as_json:
        output.json_document([asdict(grant) for grant in found])
        return
    rows = [
        (
            row.client_id,
            row.resource,
            row.scope,
            output.moment(row.granted_at),
            output.moment(row.last_used_at, "never"),
        )
        for row in found
    ]
    output.table(
        ("client id", "resource", "scope", "granted", "last used"),
        rows,
        empty=f"Nothing that was granted has been unused for {_days(days)}.",
    )
    if rows:
        print("\nTo take it all away:")
        for command in _commands(found, clients):
            print(f"  {command}")


def _commands(found: Sequence[UnusedGrant], clients: Iterable[ClientRow]) -> list[str]:
    """Return for each client what takes away all that it does not use, to be copied into a shell."""
    unused: dict[str, dict[str, list[str]]] = {}
    for grant in found:
        unused.setdefault(grant.client_id, {}).setdefault(grant.resource, []).append(grant.scope)
    return [
        shlex.join(("steelcut", "clients", *_words(client, unused[client.client_id])))
        for client in clients
        if client.client_id in unused
    ]


def _words(client: ClientRow, unused: dict[str, list[str]]) -> tuple[str, ...]:
    left = {name for name, scopes in client.grants.items() if set(scopes) - set(unused.get(name, ()))}
    # Behind "--" an id may begin with a hyphen.
    named = ("--", client.client_id) if client.client_id.startswith("-") else (client.client_id,)
    if not left:
        # Nobody is left without any grant: who uses nothing is shut out, and then goes.
        return ("disable" if client.enabled else "delete", *named)
    options = [
        word
        for name, scopes in unused.items()
        # A whole resource without its scopes, which might hold a comma.
        for word in ("--ungrant", f"{name}={','.join(scopes)}" if name in left else name)
    ]
    if client.default_resource is not None and client.default_resource not in left:
        options.append("--no-default-resource")
    return ("update", *options, *named)


def _days(days: int) -> str:
    return "a day" if days == 1 else f"{days} days"
