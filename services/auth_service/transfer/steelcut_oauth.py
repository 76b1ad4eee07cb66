"""The table of Steelcut-OAuth 0.0.3: one row for each client, no keys, no constraints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from auth_service.transfer.records import (
    CLIENT_CREDENTIALS,
    ClientRecord,
    Item,
    Refused,
    first_of_each,
    imported_secret,
    item,
    text,
)

if TYPE_CHECKING:
    from auth_service.transfer.catalogue import Catalogue

LABEL = "from Steelcut-OAuth"
# What its documentation calls the grant type in one place; RFC 6749 §4.4.2 knows the other spelling only.
_SPELLED_WITH_A_SPACE = "client credentials"


@dataclass(frozen=True, slots=True)
class Row:
    """One row; any column may be missing."""

    grant_type: str | None
    client_id: str | None
    client_secret: str | None = field(repr=False)
    resource: str | None


def read(rows: Iterable[Row], catalogue: Catalogue, scopes: Sequence[str]) -> list[Item]:
    """Return the clients of ``rows``, each granted ``scopes`` at its resource: Steelcut-OAuth knew no scopes.

    ``rows`` come in the order of the table, since of several rows with one client id it looked at the first alone.
    """

    def client(row: Row, notes: list[str]) -> ClientRecord:
        client_id = text(row.client_id, "the client id")
        grant_type = text(row.grant_type, "the grant type")
        if grant_type == _SPELLED_WITH_A_SPACE:
            notes.append("it must send grant_type client_credentials, with an underscore")
        elif grant_type != CLIENT_CREDENTIALS:
            raise Refused(f"the grant type {grant_type[:40]!a} does not exist here")
        secret = imported_secret(row.client_secret, LABEL, notes)
        if not secret.hash.startswith("$argon2"):
            notes.append("the hash is none of argon2: Steelcut-OAuth itself could not verify it")
        grants = catalogue.grant([text(row.resource, "the resource")], scopes)
        return ClientRecord(
            client_id, client_id, grants, (secret,), metadata={"imported_from": "steelcut-oauth"}
        )

    items = [item(f"row {number}", row.client_id, partial(client, row)) for number, row in enumerate(rows, 1)]
    return first_of_each(items, ", and Steelcut-OAuth looked at the first row only")
