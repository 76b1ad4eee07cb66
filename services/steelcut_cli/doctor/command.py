"""``steelcut doctor``."""

from __future__ import annotations

import typer

from steelcut_cli import output
from steelcut_cli.doctor.findings import State, counts, show

app = typer.Typer()

EXAMPLES = output.examples(
    "set -a; . .steelcut/dev.env; set +a",
    "steelcut doctor",
    "steelcut doctor --json | jq '.findings[] | select(.state == \"failed\")'",
)


@app.callback(invoke_without_command=True, epilog=EXAMPLES)
def doctor(context: typer.Context, as_json: output.AsJson = False) -> None:
    """Check whether a deployment fits together, and say what to do where it does not.

    Reads the variables of both services and of all roles, as far as they are set, and says what it could not check
    without the others. Exit code 0 when nothing failed, else 1.
    """
    if context.invoked_subcommand is not None:
        return
    from steelcut_cli.doctor.examination import examine

    findings = show(examine(), as_json=as_json)
    found = counts(findings)
    if not as_json:
        said = ", ".join(f"{number} {State[name.upper()]}" for name, number in found.items() if number)
        print(f"\n{said}.")
    if found["failed"]:
        raise typer.Exit(1)
