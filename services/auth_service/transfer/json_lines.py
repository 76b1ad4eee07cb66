"""The neutral format: JSON lines, one object each, that an export writes and an import reads.

The first line names the format; then come resources and clients, in any order. docs/import-export.md describes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from auth_service import client_secrets
from auth_service.administration.errors import Invalid
from auth_service.grants import SUPPORTED_GRANT_TYPES
from auth_service.transfer.json_source import checked, member
from auth_service.transfer.records import (
    CLIENT_CREDENTIALS,
    ClientRecord,
    Item,
    Refused,
    ResourceRecord,
    SecretRecord,
    first_of_each,
    imported_secret,
    in_order,
    item,
)

if TYPE_CHECKING:
    from auth_service.transfer.catalogue import Catalogue

FORMAT = "steelcut-clients"
VERSION = 1
HEADER = {"type": "format", "format": FORMAT, "version": VERSION}

# More than any client here has; each makes the look-up of its client longer.
MAX_SECRETS = 20

# A moment is text in JSON, so strictness alone would refuse it.
Moment = Annotated[AwareDatetime, Field(strict=False)]


class _Model(BaseModel):
    # A member that nobody reads is a member that is lost: better refused.
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    type: str


class _Resource(_Model):
    name: str
    identifier: str
    scopes: list[str]
    default_scopes: list[str] = []
    token_lifetime_seconds: int | None = None


class _Secret(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    hash: str = Field(repr=False)
    secret_id: str | None = None
    label: str = ""
    created_at: Moment | None = None
    expires_at: Moment | None = None


class _Client(_Model):
    client_id: str
    name: str
    grants: dict[str, list[str]]
    secrets: list[_Secret] = []
    default_resource: str | None = None
    token_lifetime_seconds: int | None = None
    enabled: bool = True
    expires_at: Moment | None = None
    metadata: dict[str, Any] = {}
    grant_types: list[str] = [CLIENT_CREDENTIALS]


def read(data: bytes, catalogue: Catalogue) -> list[Item]:
    """Return the clients of a file and declare its resources. Raises ``Invalid`` when it is not of this format."""
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    _check_header(lines[0][1] if lines else b"")
    parsed = [(f"line {number}", _parsed(line)) for number, line in lines[1:]]
    clients = []
    for place, value in parsed:
        if member(value, "type") == "resource":
            refused = _declare(place, value, catalogue)
            clients += [refused] if refused else []
    for place, value in parsed:
        if member(value, "type") != "resource":
            clients.append(item(place, member(value, "client_id"), partial(_client, value, catalogue)))
    return first_of_each(clients)


def resource_document(resource: ResourceRecord) -> dict[str, Any]:
    """Return a resource as the object of its line."""
    return {
        "type": "resource",
        "name": resource.name,
        "identifier": resource.identifier,
        "scopes": resource.scopes,
        "default_scopes": resource.default_scopes,
        "token_lifetime_seconds": resource.token_lifetime_seconds,
    }


def client_document(client: ClientRecord) -> dict[str, Any]:
    """Return a client, with the hashes of its secrets, as the object of its line."""
    return {
        "type": "client",
        "client_id": client.client_id,
        "name": client.name,
        "enabled": client.enabled,
        "expires_at": client.expires_at,
        "grant_types": client.grant_types,
        "grants": client.grants,
        "default_resource": client.default_resource,
        "token_lifetime_seconds": client.token_lifetime_seconds,
        "metadata": client.metadata,
        "secrets": [
            {
                "secret_id": secret.secret_id,
                "hash": secret.hash,
                "label": secret.label,
                "created_at": secret.created_at,
                "expires_at": secret.expires_at,
            }
            for secret in client.secrets
        ],
    }


def _check_header(line: bytes) -> None:
    header = _parsed(line)
    if member(header, "format") != FORMAT:
        raise Invalid(
            f"The first line is not {orjson.dumps(HEADER).decode()}: this is no file of that format."
        )
    if member(header, "version") != VERSION:
        raise Invalid(f"The file is of another version of the format: this one reads version {VERSION}.")


def _parsed(line: bytes) -> object:
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value


def _declare(place: str, value: object, catalogue: Catalogue) -> Item | None:
    try:
        line = checked(_Resource, value)
    except Refused as reason:
        return Item(place, "", None, (f"a resource: {reason}",))
    resource = ResourceRecord(
        line.name,
        line.identifier,
        in_order(line.scopes),
        in_order(line.default_scopes),
        line.token_lifetime_seconds,
    )
    catalogue.declare(place, resource)
    return None


def _client(value: object, catalogue: Catalogue, notes: list[str]) -> ClientRecord:
    if member(value, "type") not in {"client", None} or value is None:
        raise Refused("it is no JSON" if value is None else "it is neither a client nor a resource")
    line = checked(_Client, value)
    unknown = set(line.grant_types).difference(SUPPORTED_GRANT_TYPES)
    if unknown or not line.grant_types:
        raise Refused("a grant type of it does not exist here")
    secrets = tuple(_secrets(line.secrets, notes))
    grants = catalogue.grant_exactly(line.grants)
    default_resource = line.default_resource
    if default_resource is not None and default_resource not in grants:
        notes.append("its default resource is none that it is granted, and left out")
        default_resource = None
    return ClientRecord(
        line.client_id,
        line.name,
        grants,
        secrets,
        default_resource,
        line.token_lifetime_seconds,
        line.enabled,
        line.expires_at,
        line.metadata,
        tuple(line.grant_types),
    )


def _secrets(secrets: list[_Secret], notes: list[str]) -> Iterator[SecretRecord]:
    if len(secrets) > MAX_SECRETS:
        raise Refused(f"it has more than {MAX_SECRETS} secrets")
    seen: set[str] = set()
    for secret in secrets:
        if client_secrets.is_hash_of_ours(secret.hash):
            secret_id, hashed = secret.secret_id, secret.hash
            if secret_id is None or not client_secrets.is_id_of_ours(secret_id):
                raise Refused("a secret of ours needs its secret_id: the 12 letters and digits inside it")
        else:
            imported = imported_secret(secret.hash, secret.label, notes)
            secret_id, hashed = imported.secret_id, imported.hash
        if secret_id in seen:
            raise Refused("two of its secrets have one id")
        if secret_id.startswith(client_secrets.IMPORTED_PREFIX) and any(
            other.startswith(client_secrets.IMPORTED_PREFIX) for other in seen
        ):
            raise Refused(
                "it has more than one secret of another server: each would cost a slow hash at every try"
            )
        seen.add(secret_id)
        yield SecretRecord(secret_id, hashed, secret.label, secret.created_at, secret.expires_at)
