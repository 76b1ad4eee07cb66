"""What an operator does: keys, resources, clients. The command line and the admin API both call this.

Every function takes a connection of the owner first, checks its input before it touches the database, does its
work in one transaction, and raises ``AdministrationError`` with one sentence that says what to do.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from auth_service import client_secrets, queries, signing_keys
from auth_service.client_authentication import CLIENT_ID
from auth_service.grants import SCOPE_TOKEN
from auth_service.queries import ClientRow, ResourceRow
from steelcut.discovery import check_resource_identifier

if TYPE_CHECKING:
    from datetime import datetime

    from auth_service.master_key import MasterKey
    from auth_service.signing_keys import SigningAlgorithm
    from steelcut.service.postgres import Connection

RESOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
MAX_LIFETIME_SECONDS = 86_400
_MAX_SCOPE = 255
_MAX_IDENTIFIER = 2000
_MAX_NAME = 200
_ID_ALPHABET = string.ascii_lowercase + string.digits


class AdministrationError(Exception):
    """The change is refused; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class KeySummary:
    """A signing key without its private part; ``state`` as in DESIGN: pending, active, retiring, retired."""

    kid: str
    algorithm: str
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client at registration: the only time its secret is known in clear."""

    client: ClientRow
    secret: str = field(repr=False)


async def create_key(
    connection: Connection, master_key: MasterKey, algorithm: SigningAlgorithm
) -> KeySummary:
    """Make a signing key, sealed under ``master_key``; the first one is active at once."""
    await _check_master_key(connection, master_key)
    key = signing_keys.generate(algorithm)
    sealed = master_key.seal(key.private_der, key.kid)
    async with connection.transaction():
        # Two operators at once must not both find no active key.
        await connection.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
        await queries.insert_signing_key(connection, key, sealed, master_key.key_id)
    return next(summary for summary in await list_keys(connection) if summary.kid == key.kid)


async def list_keys(connection: Connection) -> list[KeySummary]:
    """Return all signing keys, oldest first."""
    return [
        KeySummary(key.kid, key.algorithm, key.state, key.created_at)
        for key in await queries.signing_keys(connection)
    ]


async def create_resource(
    connection: Connection,
    name: str,
    identifier: str,
    scopes: Sequence[str],
    token_lifetime_seconds: int | None = None,
) -> ResourceRow:
    """Register a resource under a short ``name`` and the absolute URI that becomes the token's ``aud``."""
    if RESOURCE_NAME.fullmatch(name) is None:
        raise AdministrationError(
            "A resource name starts with a letter or digit and has at most 128 letters, digits, '.', '_', '~', '-'."
        )
    try:
        check_resource_identifier(identifier)
    except ValueError as error:
        raise AdministrationError(f"Not a resource identifier: {error}.") from None
    if len(identifier) > _MAX_IDENTIFIER:
        raise AdministrationError(f"A resource identifier has at most {_MAX_IDENTIFIER} characters.")
    unique_scopes = _checked_scopes(scopes)
    _check_lifetime(token_lifetime_seconds)
    try:
        async with connection.transaction():
            await queries.insert_resource(connection, name, identifier, unique_scopes, token_lifetime_seconds)
    except asyncpg.UniqueViolationError as error:
        taken = "identifier" if "identifier" in (error.constraint_name or "") else "name"
        raise AdministrationError(f"A resource with this {taken} exists: choose another {taken}.") from None
    return (await queries.resources(connection, name))[0]


async def list_resources(connection: Connection) -> list[ResourceRow]:
    """Return all resources by name."""
    return await queries.resources(connection)


async def create_client(
    connection: Connection,
    name: str,
    grants: Mapping[str, Sequence[str]],
    *,
    client_id: str | None = None,
    default_resource: str | None = None,
    token_lifetime_seconds: int | None = None,
) -> NewClient:
    """Register a client with a fresh secret; ``grants`` maps resource names to scopes."""
    _check_client_name(name)
    client_id = client_id or _client_id_for(name)
    if CLIENT_ID.fullmatch(client_id) is None or client_id != client_id.strip():
        raise AdministrationError(
            "A client id is 1 to 255 printable ASCII characters, with no space at its ends."
        )
    if not grants:
        raise AdministrationError("Grant the client at least one resource: without one it can get no token.")
    if default_resource is not None and default_resource not in grants:
        raise AdministrationError("The default resource must be one of the granted resources.")
    _check_lifetime(token_lifetime_seconds)
    secret = client_secrets.generate()
    try:
        async with connection.transaction():
            await queries.insert_client(connection, client_id, name, default_resource, token_lifetime_seconds)
            for resource, scopes in grants.items():
                await _grant(connection, client_id, resource, scopes)
            hashed = client_secrets.hash_secret(secret.value)
            await queries.insert_secret(connection, client_id, secret.secret_id, hashed)
    except asyncpg.UniqueViolationError:
        raise AdministrationError(f"A client with the id {client_id} exists: choose another id.") from None
    return NewClient(await show_client(connection, client_id), secret.value)


async def list_clients(connection: Connection) -> list[ClientRow]:
    """Return all clients by id."""
    return await queries.clients(connection)


async def show_client(connection: Connection, client_id: str) -> ClientRow:
    """Return one client. Raises ``AdministrationError`` when there is none of that id."""
    found = await queries.clients(connection, client_id) if CLIENT_ID.fullmatch(client_id) else []
    if not found:
        raise AdministrationError("There is no client with this id: `steelcut clients list` shows them.")
    return found[0]


async def _check_master_key(connection: Connection, master_key: MasterKey) -> None:
    for key in await queries.signing_keys(connection):
        if key.state != "retired" and key.master_key_id != master_key.key_id:
            raise AdministrationError(
                f"The stored keys are sealed under the master key {key.master_key_id}, this one is "
                f"{master_key.key_id}: set AUTH_MASTER_KEY to the one that the services use."
            )


async def _grant(connection: Connection, client_id: str, resource: str, scopes: Sequence[str]) -> None:
    known = await queries.resources(connection, resource) if RESOURCE_NAME.fullmatch(resource) else []
    if not known:
        raise AdministrationError(f"There is no resource {resource!a}: `steelcut resources list` shows them.")
    unique_scopes = _checked_scopes(scopes)
    for scope in unique_scopes:
        if scope not in known[0].scopes:
            raise AdministrationError(
                f"The resource {resource} has no scope {scope}: it has {', '.join(known[0].scopes)}."
            )
    await queries.insert_grant(connection, client_id, resource, unique_scopes)


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    unique_scopes = list(dict.fromkeys(scopes))
    if not unique_scopes:
        raise AdministrationError("Name at least one scope.")
    for scope in unique_scopes:
        if SCOPE_TOKEN.fullmatch(scope) is None or len(scope) > _MAX_SCOPE:
            raise AdministrationError(
                f"A scope is 1 to {_MAX_SCOPE} printable ASCII characters without space, quote and backslash."
            )
    return unique_scopes


def _check_client_name(name: str) -> None:
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise AdministrationError(f"A client name is 1 to {_MAX_NAME} printable characters.")


def _check_lifetime(seconds: int | None) -> None:
    if seconds is not None and not 1 <= seconds <= MAX_LIFETIME_SECONDS:
        raise AdministrationError(f"A token lifetime is 1 to {MAX_LIFETIME_SECONDS} seconds.")


def _client_id_for(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    tail = "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
    return f"{words}-{tail}" if words else tail
