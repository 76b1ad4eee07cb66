"""``steelcut doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output
from steelcut_cli.doctor import explaining
from steelcut_cli.doctor.findings import State, counts, show
from steelcut_cli.errors import Misuse

if TYPE_CHECKING:
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.round_trip import Traveller

app = typer.Typer()
app.command("explain", epilog=explaining.EXAMPLES)(explaining.explain)

EXAMPLES = output.examples(
    "set -a; . .steelcut/dev.env; set +a",
    "steelcut doctor",
    "steelcut doctor --client-id billing --client-secret-file billing.secret",
    "steelcut doctor --read-only --json | jq '.findings[] | select(.state == \"failed\")'",
)


@app.callback(invoke_without_command=True, epilog=EXAMPLES)
def doctor(
    context: typer.Context,
    client_id: Annotated[
        str | None,
        typer.Option(
            help="Client that gets a token and fetches a document.",
            show_default="STEELCUT_CLIENT_ID, or a temporary one",
        ),
    ] = None,
    client_secret_file: Annotated[
        Path | None,
        typer.Option(
            "--client-secret-file",
            "--secret-file",
            help="File that holds its secret; - reads the standard input.",
            show_default="STEELCUT_CLIENT_SECRET, or STEELCUT_CLIENT_SECRET_FILE",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Change nothing: make no temporary client.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Check whether a deployment fits together, and say what to do where it does not.

    Reads the variables of both services, of all roles and of a client, as far as they are set, and says what could not
    be checked without the others. Without a client it makes a temporary one by AUTH_ADMIN_DATABASE_URL, and deletes it
    at the end. Exit code 0 when nothing failed, else 1.
    """
    if context.invoked_subcommand is not None:
        return
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.examination import examine

    environment = Environment.read()
    traveller = _traveller(environment, client_id, client_secret_file)
    findings = show(examine(environment, traveller, read_only=read_only), as_json=as_json)
    found = counts(findings)
    if not as_json:
        said = ", ".join(f"{number} {State[name.upper()]}" for name, number in found.items() if number)
        print(f"\n{said}.")
    if found["failed"]:
        raise typer.Exit(1)


def _traveller(environment: Environment, client_id: str | None, secret_file: Path | None) -> Traveller | None:
    """Return the client that was named, None when there is none. Raises :class:`Misuse` for half of one."""
    from steelcut_cli.calling import read_secret
    from steelcut_cli.doctor.round_trip import Traveller

    known = environment.caller
    chosen = client_id or known.client_id
    if client_id is None and secret_file is None and (chosen is None or known.client_secret is None):
        return None
    if chosen is None:
        raise Misuse("Name the client: --client-id ID (or STEELCUT_CLIENT_ID).")
    secret = read_secret(known, secret_file)
    return Traveller(chosen, secret, known.resource, known.scope, known.document_url)
