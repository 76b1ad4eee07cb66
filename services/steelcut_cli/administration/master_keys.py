"""``steelcut keys reseal`` and ``store-master-key``: the master key is changed, or finds its place."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Annotated, Final

import typer

from steelcut_cli import output
from steelcut_cli.errors import Misuse, Refusal

if TYPE_CHECKING:
    from steelcut_cli.settings import StoredMasterKeySettings

ENTRY: Final = "steelcut/master-key"
VARIABLE: Final = "AUTH_MASTER_KEY_KEYRING"


def reseal(as_json: output.AsJson = False) -> None:
    """Seal every signing key under AUTH_MASTER_KEY that lies under AUTH_PREVIOUS_MASTER_KEY, without downtime.

    1. Make a new master key; restart one replica after the other with it as AUTH_MASTER_KEY and with the old one as
    AUTH_PREVIOUS_MASTER_KEY. 2. Run this with the same two. 3. Restart the replicas without the old one; destroy it.
    """
    from auth_service.administration import keys as administration
    from auth_service.administration.actor import terminal_actor
    from auth_service.master_key import MasterKey
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import KeySettings, read

    settings = read(KeySettings)
    master_key = MasterKey.from_settings(settings)
    kids = with_connection(
        settings.admin_database_url,
        lambda connection: administration.reseal_keys(connection, terminal_actor(), master_key),
    )
    if as_json:
        output.json_document({"master_key_id": master_key.key_id, "resealed": kids})
        return
    output.facts(
        {"master key": master_key.key_id, "resealed": " ".join(kids) or "nothing: all keys lie under it"}
    )
    if master_key.previous is not None:
        print("\nRestart the replicas without AUTH_PREVIOUS_MASTER_KEY; nothing lies under it any more.")


def store_master_key(
    entry: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVICE/USERNAME]",
            help="The entry of the keyring.",
            show_default=f"{VARIABLE}, or {ENTRY}",
        ),
    ] = None,
    generate: Annotated[
        bool, typer.Option("--generate", help="Store a new random master key instead of AUTH_MASTER_KEY.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Overwrite another master key: what is sealed under it is lost with it."
        ),
    ] = False,
) -> None:
    """Put the master key into the keyring of the operating system, where AUTH_MASTER_KEY_KEYRING finds it.

    Stores AUTH_MASTER_KEY (or what AUTH_MASTER_KEY_FILE holds). The key is not printed. Needs the extra `keyring`.
    """
    from auth_service import os_keyring
    from auth_service.master_key import MasterKey
    from steelcut.service.settings import ConfigurationError
    from steelcut_cli.settings import StoredMasterKeySettings, read

    settings = read(StoredMasterKeySettings)
    place = entry or settings.master_key_keyring or ENTRY
    text = _master_key(settings, generate=generate)
    try:
        there = os_keyring.find(VARIABLE, place)
        if there not in {None, text} and not replace:
            raise Refusal(
                f"The entry {place} holds another master key: whatever is sealed under that one would be lost. Name "
                "another entry, or add --replace."
            )
        os_keyring.store(VARIABLE, place, text)
    except ConfigurationError as error:
        raise Misuse(str(error)) from None
    output.facts({"entry": place, "master key": MasterKey.from_base64(text).key_id})
    print(f"\nSet {VARIABLE}={place} and remove AUTH_MASTER_KEY.")


def _master_key(settings: StoredMasterKeySettings, *, generate: bool) -> str:
    if generate:
        return base64.b64encode(secrets.token_bytes(32)).decode()
    if settings.master_key is None:
        raise Misuse(
            "AUTH_MASTER_KEY is not set: set it to the key to store, or add --generate for a new one."
        )
    return settings.master_key.get_secret_value()
