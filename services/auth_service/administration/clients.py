"""Clients: who may ask for tokens, and for which."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import asyncpg

from auth_service import client_secrets
from auth_service.administration.audit import record
from auth_service.administration.errors import Conflict, Invalid, NotFound
from auth_service.administration.granting import RESOURCE_NAME, hold_grants
from auth_service.administration.limits import (
    check_expiry,
    check_label,
    check_lifetime,
    check_metadata,
    check_name,
    check_version,
)
from auth_service.administration.paging import DEFAULT_PAGE, Page, check_page_size, key_of, page_of
from auth_service.client_authentication import CLIENT_ID
from auth_service.queries import clients as queries
from auth_service.queries import secrets as secret_queries

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from auth_service.queries.clients import ClientRow
    from steelcut.service.database.postgres import Connection

_ID_ALPHABET = string.ascii_lowercase + string.digits

ClientState = Literal["active", "disabled", "expired"]


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client at registration: the only time its secret is known in clear."""

    client: ClientRow
    secret: str = field(repr=False)


class ClientChanges(TypedDict, total=False):
    """What to change of a client: what is not named stays, None takes a value away, ``grants`` are all of them."""

    name: str
    grants: Mapping[str, Sequence[str]]
    default_resource: str | None
    token_lifetime_seconds: int | None
    expires_at: datetime | None
    metadata: Mapping[str, Any]


async def create_client(  # noqa: PLR0913 - what a client is made of
    connection: Connection,
    actor: Actor,
    name: str,
    grants: Mapping[str, Sequence[str]],
    *,
    client_id: str | None = None,
    default_resource: str | None = None,
    token_lifetime_seconds: int | None = None,
    expires_at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    secret_label: str = "",
    secret_expires_at: datetime | None = None,
) -> NewClient:
    """Register a client with a fresh secret; ``grants`` maps resource names to scopes.

    Raises ``Invalid``, and ``Conflict`` when the id is taken.
    """
    changes = ClientChanges(
        name=name,
        grants=grants,
        default_resource=default_resource,
        token_lifetime_seconds=token_lifetime_seconds,
        expires_at=expires_at,
        metadata=metadata or {},
    )
    _check(changes)
    _check_default(default_resource, grants)
    check_label(secret_label)
    check_expiry(secret_expires_at, "The secret's end")
    client_id = client_id or _client_id_for(name)
    if CLIENT_ID.fullmatch(client_id) is None or client_id != client_id.strip():
        raise Invalid("A client id is 1 to 255 printable ASCII characters, with no space at its ends.")
    secret = client_secrets.generate()
    fields = queries.ClientFields(
        name=name,
        default_resource=default_resource,
        token_lifetime_seconds=token_lifetime_seconds,
        expires_at=expires_at,
        metadata=metadata,
    )
    try:
        async with connection.transaction():
            held = await hold_grants(connection, grants)
            await queries.insert_client(connection, client_id, fields)
            await queries.forget_usage(connection, client_id)
            await queries.replace_grants(connection, client_id, held)
            await secret_queries.insert_secret(
                connection,
                client_id,
                secret.secret_id,
                client_secrets.hash_secret(secret.value),
                label=secret_label,
                expires_at=secret_expires_at,
            )
            client = await _known(connection, client_id)
            after = _audited(client) | {"secret_ids": [secret.secret_id]}
            await record(connection, actor, "client.create", "client", client_id, after=after)
    except asyncpg.UniqueViolationError:
        raise Conflict(f"A client with the id {client_id} exists: choose another id.") from None
    return NewClient(client, secret.value)


async def list_clients(
    connection: Connection,
    *,
    text: str | None = None,
    resource: str | None = None,
    state: ClientState | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE,
) -> Page[ClientRow]:
    """Return a page of clients by id.

    ``text`` is looked for in id, name and metadata, in upper and lower case; ``resource`` is a name that was granted.
    """
    check_page_size(limit)
    (after,) = key_of(cursor, 1) if cursor else ("",)
    if text is not None and not text.isprintable():
        raise Invalid("Search for printable characters.")
    if resource is not None and RESOURCE_NAME.fullmatch(resource) is None:
        return Page([], None)
    rows = await queries.clients(
        connection, after=after, text=text, resource=resource, state=state, limit=limit + 1
    )
    return page_of(rows, limit, lambda row: (row.client_id,))


async def show_client(connection: Connection, client_id: str) -> ClientRow:
    """Return one client. Raises ``NotFound``."""
    found = await queries.client(connection, client_id) if CLIENT_ID.fullmatch(client_id) else None
    if found is None:
        raise NotFound("There is no client with this id: `steelcut clients list` shows them.")
    return found


async def update_client(
    connection: Connection,
    actor: Actor,
    client_id: str,
    changes: ClientChanges,
    *,
    expected_version: int | None = None,
) -> ClientRow:
    """Change a client; what is as it was already is no change, makes no version and no audit event.

    Raises ``Invalid``, ``NotFound``, and ``PreconditionFailed`` when ``expected_version`` is not the current one.
    """
    _check(changes)
    async with connection.transaction():
        wanted: dict[str, Any] = {**changes}
        if "grants" in changes:
            wanted["grants"] = await hold_grants(connection, changes["grants"])
        return await _change(connection, actor, client_id, "client.update", wanted, expected_version)


async def disable_client(
    connection: Connection, actor: Actor, client_id: str, *, expected_version: int | None = None
) -> ClientRow:
    """Give the client no more tokens, until ``enable_client``; those that it has live to their end."""
    async with connection.transaction():
        wanted = {"enabled": False}
        return await _change(connection, actor, client_id, "client.disable", wanted, expected_version)


async def enable_client(
    connection: Connection, actor: Actor, client_id: str, *, expected_version: int | None = None
) -> ClientRow:
    """Let a disabled client have tokens again."""
    async with connection.transaction():
        wanted = {"enabled": True}
        return await _change(connection, actor, client_id, "client.enable", wanted, expected_version)


async def delete_client(
    connection: Connection, actor: Actor, client_id: str, *, expected_version: int | None = None
) -> None:
    """Delete a client with its grants, secrets and usage; the audit log keeps what it was."""
    async with connection.transaction():
        client = await hold_client(connection, client_id, expected_version)
        await queries.delete_client(connection, client_id)
        before = _audited(client) | {"secret_ids": list(client.secret_ids)}
        await record(connection, actor, "client.delete", "client", client_id, before=before)


async def hold_client(
    connection: Connection, client_id: str, expected_version: int | None = None
) -> ClientRow:
    """Return a client that nobody else changes until the transaction's end.

    Raises ``NotFound``, and ``PreconditionFailed`` when ``expected_version`` is not the current one.
    """
    client = None
    while client is None:
        held = CLIENT_ID.fullmatch(client_id) and await queries.lock_client(connection, client_id)
        shown = await show_client(connection, client_id)
        client = shown if held else None
    check_version(client.version, expected_version)
    return client


async def _change(
    connection: Connection,
    actor: Actor,
    client_id: str,
    action: str,
    wanted: dict[str, Any],
    expected_version: int | None,
) -> ClientRow:
    old = _audited(await hold_client(connection, client_id, expected_version))
    new = old | wanted
    if "grants" in wanted or "default_resource" in wanted:
        _check_default(new["default_resource"], new["grants"])
    changed = [name for name in new if new[name] != old[name]]
    if changed:
        grants = new.pop("grants")
        if "grants" in changed:
            await queries.replace_grants(connection, client_id, grants)
        await queries.update_client(connection, client_id, queries.ClientFields(**new))
        before, after = ({name: state[name] for name in changed} for state in (old, new | {"grants": grants}))
        await record(connection, actor, action, "client", client_id, before=before, after=after)
    return await _known(connection, client_id)


async def _known(connection: Connection, client_id: str) -> ClientRow:
    client = await queries.client(connection, client_id)
    assert client is not None  # noqa: S101 - written in this transaction
    return client


def _audited(client: ClientRow) -> dict[str, Any]:
    return {
        "name": client.name,
        "enabled": client.enabled,
        "grants": client.grants,
        "default_resource": client.default_resource,
        "token_lifetime_seconds": client.token_lifetime_seconds,
        "expires_at": client.expires_at,
        "metadata": client.metadata,
    }


def _check(changes: ClientChanges) -> None:
    if "name" in changes:
        check_name(changes["name"], "A client name")
    if "grants" in changes and not changes["grants"]:
        raise Invalid("Grant the client at least one resource: without one it can get no token.")
    check_lifetime(changes.get("token_lifetime_seconds"))
    check_expiry(changes.get("expires_at"), "The client's end")
    if "metadata" in changes:
        check_metadata(changes["metadata"])


def _check_default(default_resource: str | None, grants: Mapping[str, Sequence[str]]) -> None:
    if default_resource is not None and default_resource not in grants:
        raise Invalid("The default resource must be one of the granted resources.")


def _client_id_for(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    tail = "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
    return f"{words}-{tail}" if words else tail
