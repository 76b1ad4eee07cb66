"""The clients of Ory Hydra, as its API describes them or as rows of its table ``hydra_client``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from auth_service.administration.limits import MAX_LIFETIME_SECONDS
from auth_service.transfer.json_source import checked, member, objects
from auth_service.transfer.records import (
    CLIENT_CREDENTIALS,
    ClientRecord,
    Item,
    Refused,
    first_of_each,
    imported_secret,
    item,
    listed,
    tidy_name,
)

if TYPE_CHECKING:
    from auth_service.transfer.catalogue import Catalogue

LABEL = "from Hydra"
# What OpenID Connect asks for on behalf of people; a client on its own behalf has no use for it.
_ABOUT_PEOPLE = frozenset({"openid", "offline", "offline_access"})
_METHODS = ("client_secret_basic", "client_secret_post")
# Hydra's own default (OpenID Connect Dynamic Client Registration §2).
_DEFAULT_GRANT_TYPES = ("authorization_code",)
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_NANOSECONDS = 1_000_000_000


def _list(value: Any) -> Any:
    """Read a list as the API has it, as the table has it today (JSON), and as it had it before (words and bars)."""
    if isinstance(value, str):
        return json.loads(value) if value.startswith("[") else [word for word in value.split("|") if word]
    return value or []


def _object(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value else value or {}


def _seconds(value: Any) -> Any:
    """Read a duration of Go: ``1h30m0s`` from the API, nanoseconds from the table."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value // _NANOSECONDS
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found is None:
            raise ValueError("is no duration such as 1h0m0s")
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds
    return value


Words = Annotated[list[str], BeforeValidator(_list)]


class _Client(BaseModel):
    """What is read of a client; everything else is about people and browsers."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    client_id: str
    client_name: str | None = None
    client_secret: str | None = Field(None, repr=False)
    scope: str | None = None
    audience: Words = []
    grant_types: Words = []
    token_endpoint_auth_method: str | None = None
    metadata: Annotated[dict[str, Any], BeforeValidator(_object)] = {}
    client_credentials_grant_access_token_lifespan: Annotated[int | None, BeforeValidator(_seconds)] = None


def read(data: bytes, catalogue: Catalogue, default_resource: str | None) -> list[Item]:
    """Return the clients of a file; those without an audience are granted their scopes at ``default_resource``.

    Raises ``Invalid`` when the file is not JSON of clients.
    """
    entries = objects(data, "The file", within=("items", "clients"))
    items = [
        item(
            f"client {number}",
            member(entry, "client_id", "id"),
            partial(_client, entry, catalogue, default_resource),
        )
        for number, entry in enumerate(entries, 1)
    ]
    return first_of_each(items)


def _client(
    entry: object, catalogue: Catalogue, default_resource: str | None, notes: list[str]
) -> ClientRecord:
    # The table calls it id; where there are both, client_id is the one that clients send.
    client = checked(_Client, {"client_id": entry.get("id"), **entry} if isinstance(entry, dict) else entry)
    _check_grant_types(client.grant_types, notes)
    _check_method(client.token_endpoint_auth_method)
    secret = imported_secret(client.client_secret, LABEL, notes)
    resources = client.audience or ([default_resource] if default_resource else [])
    if not resources:
        raise Refused("it has no audience: name the resource of such clients with --resource")
    return ClientRecord(
        client.client_id,
        tidy_name(client.client_name, client.client_id, notes),
        catalogue.grant(resources, _scopes(client.scope or "", notes)),
        (secret,),
        token_lifetime_seconds=_lifetime(client.client_credentials_grant_access_token_lifespan, notes),
        metadata={**client.metadata, "imported_from": "hydra"},
    )


def _check_grant_types(grant_types: Sequence[str], notes: list[str]) -> None:
    known = grant_types or _DEFAULT_GRANT_TYPES
    others = [grant_type for grant_type in known if grant_type != CLIENT_CREDENTIALS]
    if len(others) == len(known):
        raise Refused(f"it uses {listed(others)}: only client_credentials exists here")
    if others:
        notes.append(f"the grant types {listed(others)} are left out")


def _check_method(method: str | None) -> None:
    if method and method not in _METHODS:
        raise Refused(f"it authenticates by {method[:40]!a}, not by a secret")


def _scopes(scope: str, notes: list[str]) -> list[str]:
    scopes = scope.split()
    about_people = sorted(_ABOUT_PEOPLE.intersection(scopes))
    if about_people:
        notes.append(f"the scopes {listed(about_people)} are left out")
    wanted = [name for name in scopes if name not in _ABOUT_PEOPLE]
    if not wanted:
        raise Refused("it has no scope")
    return wanted


def _lifetime(seconds: int | None, notes: list[str]) -> int | None:
    if not seconds:
        return None
    if seconds > MAX_LIFETIME_SECONDS:
        notes.append(f"its tokens live {MAX_LIFETIME_SECONDS} seconds, not {seconds}")
    return min(seconds, MAX_LIFETIME_SECONDS)
