"""``steelcut clients wasteful``: who does not keep its tokens."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from steelcut_cli import output
from steelcut_cli.administration.pages import PAGE

EXAMPLES: Final = output.examples("steelcut clients wasteful", "steelcut clients wasteful --limit 10 --json")


def clients(
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="So many, the worst first.")] = PAGE,
    as_json: output.AsJson = False,
) -> None:
    """List the clients that got a new token while one alike had more than half its life left, in the last day.

    Alike: of the same audience and scopes. A client that keeps its tokens has one per lifetime; one with several
    processes has one for each of them. Reads AUTH_ADMIN_DATABASE_URL.
    """
    from auth_service.queries.wasteful import wasteful_clients
    from steelcut_cli.connections import administer

    since = datetime.now(UTC) - timedelta(days=1)
    found = administer(lambda connection: wasteful_clients(connection, since, limit))
    if as_json:
        output.json_document([asdict(client) for client in found])
        return
    rows = [
        (
            row.client_id,
            " ".join(row.audience),
            " ".join(row.scopes),
            str(row.tokens),
            str(row.early),
            f"{row.tokens_per_lifetime:g}",
        )
        for row in found
    ]
    output.table(
        ("client id", "audience", "scopes", "tokens", "early", "per lifetime"),
        rows,
        empty="No client got a token too early in the last day.",
    )
