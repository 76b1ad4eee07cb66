"""``steelcut clients unused`` and ``steelcut scopes unused``: what could be taken away."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from steelcut_cli import output
from steelcut_cli.pages import PAGE, every

if TYPE_CHECKING:
    from auth_service.queries.usage import UnusedClient, UnusedGrant
    from steelcut.service.postgres import Connection

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
    from auth_service.administration.usage import unused_grants
    from steelcut_cli.connections import administer

    async def all_of_them(connection: Connection) -> list[UnusedGrant]:
        return await every(lambda cursor: unused_grants(connection, days=days, cursor=cursor, limit=PAGE))

    found = administer(all_of_them)
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
        print("\nTo take one away: steelcut clients update CLIENT_ID --ungrant RESOURCE=SCOPE")


def _days(days: int) -> str:
    return "a day" if days == 1 else f"{days} days"
