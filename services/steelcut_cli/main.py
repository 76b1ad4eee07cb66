"""The ``steelcut`` command: what it is made of, and how it ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.main import get_command

from steelcut_cli import calling, database, documents, environment, output
from steelcut_cli.administration import (
    admin,
    audit,
    clients,
    keys,
    resources,
    scopes,
    secrets,
    transfer,
    unused,
    wasteful,
)
from steelcut_cli.dev import command as dev
from steelcut_cli.doctor import command as doctor
from steelcut_cli.errors import Refusal

EXIT_UNEXPECTED: Final = 1
EXIT_INTERRUPTED: Final = 130
TRACEBACK_VARIABLE: Final = "STEELCUT_TRACEBACK"

app = typer.Typer(
    name="steelcut",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("dev", epilog=dev.EXAMPLES)(dev.dev)
app.add_typer(doctor.app, name="doctor")
app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(resources.app, name="resources")
app.add_typer(scopes.app, name="scopes")
app.add_typer(clients.app, name="clients")
clients.app.command("unused", epilog=unused.CLIENT_EXAMPLES)(unused.clients)
clients.app.command("wasteful", epilog=wasteful.EXAMPLES)(wasteful.clients)
scopes.app.command("unused", epilog=unused.SCOPE_EXAMPLES)(unused.scopes)
app.add_typer(secrets.app, name="secrets")
app.add_typer(audit.app, name="audit")
app.add_typer(admin.app, name="admin")
app.add_typer(documents.app, name="documents")
app.add_typer(transfer.app, name="import")
app.command("export", epilog=transfer.EXPORT_EXAMPLES)(transfer.export)
app.command("token", epilog=calling.TOKEN_EXAMPLES)(calling.token)
app.command("fetch", epilog=calling.FETCH_EXAMPLES)(calling.fetch)
app.command("env", epilog=environment.EXAMPLES)(environment.env)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        print(version("steelcut"))
    except PackageNotFoundError:
        print("unknown (not installed)")
    raise typer.Exit


@app.callback()
def steelcut(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """OAuth 2.0 client credentials: one machine proves to another who it is and what it may read.

    Start with [bold]steelcut dev[/bold]: it runs the whole system on this machine and shows each step.

    Exit codes: 0 done, 1 refused or failed, 2 wrong command line or configuration, 130 interrupted.
    """


def _rejoined(command: Any) -> Any:
    """Join the lines of each paragraph of the help, which typer would keep where the source has them."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) or None
    for child in getattr(command, "commands", {}).values():
        _rejoined(child)
    return command


# Once: each call of ``app`` would make all commands anew, which takes longer than most of them.
command: Final = _rejoined(get_command(app))


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (``sys.argv`` by default) and exit.

    Every failure becomes a sentence on stderr and an exit code, never a traceback.
    """
    output.watch()
    try:
        try:
            command(arguments)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Refusal as refusal:
        for sentence in str(refusal).splitlines():
            output.complain(sentence)
        sys.exit(refusal.exit_code)
    except Exception as error:  # noqa: BLE001 - the last resort: a person at a terminal is no debugger
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exception(error)
        # The type alone: an unexpected message may hold what must not be shown.
        output.complain(
            f"unexpected {type(error).__name__}; {TRACEBACK_VARIABLE}=1 shows where. Please report it."
        )
        sys.exit(EXIT_UNEXPECTED)
    sys.exit(0)
