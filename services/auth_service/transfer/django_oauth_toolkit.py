"""The applications of django-oauth-toolkit, as ``manage.py dumpdata`` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from auth_service.transfer.json_source import checked, member, objects
from auth_service.transfer.records import (
    ClientRecord,
    Item,
    Refused,
    first_of_each,
    imported_secret,
    item,
    tidy_name,
)

if TYPE_CHECKING:
    from auth_service.transfer.catalogue import Catalogue

LABEL = "from django-oauth-toolkit"
_GRANT_TYPE = "client-credentials"
_PUBLIC = "public"


class _Application(BaseModel):
    """What is read of an application; everything else is about people and browsers."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    client_id: str
    authorization_grant_type: str
    client_secret: str | None = Field(None, repr=False)
    client_type: str = ""
    name: str | None = None
    hash_client_secret: bool = True


def read(data: bytes, catalogue: Catalogue, grants: Mapping[str, Sequence[str]]) -> list[Item]:
    """Return the applications of a fixture, each granted ``grants``: there, scopes belong to no application.

    Objects of other models are passed over; a model of the project's own is known by its fields. Raises ``Invalid``
    when the file is no fixture.
    """
    found = [
        (number, entry) for number, entry in enumerate(objects(data, "The file"), 1) if _is_application(entry)
    ]
    items = [
        item(
            f"object {number}",
            member(member(entry, "fields"), "client_id"),
            partial(_client, entry, catalogue, grants),
        )
        for number, entry in found
    ]
    return first_of_each(items)


def _is_application(entry: object) -> bool:
    if member(entry, "model") is None:
        return True  # no fixture entry at all: refused below, with the reason
    fields = member(entry, "fields")
    return member(entry, "model") == "oauth2_provider.application" or (
        isinstance(fields, dict) and "authorization_grant_type" in fields
    )


def _client(
    entry: object, catalogue: Catalogue, grants: Mapping[str, Sequence[str]], notes: list[str]
) -> ClientRecord:
    application = checked(_Application, member(entry, "fields"))
    if application.authorization_grant_type != _GRANT_TYPE:
        raise Refused(f"its grant type is {application.authorization_grant_type[:60]!a}, not {_GRANT_TYPE}")
    if application.client_type == _PUBLIC:
        raise Refused("it is a public client: it has no secret that anybody keeps")
    if not application.hash_client_secret:
        raise Refused(
            "its secret is stored in clear: let Django hash it (hash_client_secret), or give it a fresh one"
        )
    secret = imported_secret(application.client_secret, LABEL, notes)
    return ClientRecord(
        application.client_id,
        tidy_name(application.name, application.client_id, notes),
        catalogue.grant_exactly(grants),
        (secret,),
        metadata={"imported_from": "django-oauth-toolkit"},
    )
