"""``steelcut keys``: the keys that sign access tokens."""

from __future__ import annotations

import enum
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output

if TYPE_CHECKING:
    from auth_service.administration import KeySummary
    from auth_service.signing_keys import SigningAlgorithm

app = typer.Typer(no_args_is_help=True, help="The keys that sign access tokens, sealed in the auth database.")

COLUMNS = ("kid", "algorithm", "state", "created")


class Algorithm(enum.StrEnum):
    """What `--algorithm` takes."""

    ES256 = "ES256"
    RS256 = "RS256"
    EdDSA = "EdDSA"


@app.command(
    "create", epilog=output.examples("steelcut keys create", "steelcut keys create --algorithm RS256 --json")
)
def create(
    algorithm: Annotated[
        Algorithm | None,
        typer.Option(help="Signature algorithm.", show_default="AUTH_SIGNING_ALGORITHM, or ES256"),
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Make a signing key. The first one signs at once; a later one is published and waits.

    The private part is sealed under AUTH_MASTER_KEY before it reaches the database. Reads
    AUTH_OWNER_DATABASE_URL and AUTH_MASTER_KEY (or AUTH_MASTER_KEY_FILE).
    """
    from auth_service import administration
    from auth_service.master_key import MasterKey
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import KeySettings, read

    settings = read(KeySettings)
    chosen: SigningAlgorithm = algorithm.value if algorithm else settings.signing_algorithm
    master_key = MasterKey.from_base64(settings.master_key.get_secret_value())
    key = with_connection(
        settings.owner_database_url,
        lambda connection: administration.create_key(connection, master_key, chosen),
    )
    _show([key], as_json=as_json, one=True)


@app.command("list", epilog=output.examples("steelcut keys list", "steelcut keys list --json"))
def list_keys(as_json: output.AsJson = False) -> None:
    """List the signing keys, oldest first; no private part is ever shown."""
    from auth_service import administration
    from auth_service.settings import AuthAdministrationSettings
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import read

    settings = read(AuthAdministrationSettings)
    _show(with_connection(settings.owner_database_url, administration.list_keys), as_json=as_json)


def _show(keys: list[KeySummary], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        documents = [asdict(key) for key in keys]
        output.json_document(documents[0] if one else documents)
        return
    rows = [(key.kid, key.algorithm, key.state, output.moment(key.created_at)) for key in keys]
    output.table(COLUMNS, rows, empty="There is no key yet: steelcut keys create")
