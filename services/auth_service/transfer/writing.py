"""The one writer of all imports: everything in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg

from auth_service.administration.errors import Conflict
from auth_service.queries import transfer as queries
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import ClientRecord, Item, ResourceRecord, listed
from auth_service.transfer.report import Line, Outcome, Report

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from steelcut.service.database.postgres import Connection

Read = Callable[[Catalogue], Sequence[Item]]

# In which words a difference is told.
_MEMBERS: Mapping[str, str] = {
    "name": "name",
    "grants": "grants",
    "secrets": "secrets",
    "default_resource": "default resource",
    "token_lifetime_seconds": "token lifetime",
    "enabled": "state",
    "expires_at": "end",
    "metadata": "metadata",
    "grant_types": "grant types",
}


async def take(
    connection: Connection,
    actor: Actor,
    source: str,
    read: Read,
    *,
    apply: bool,
    strict: bool = False,
    base_url: str | None = None,
) -> Report:
    """Import what ``read`` finds, and report on each client.

    Everything is written in one transaction, which is undone unless ``apply``: what a dry run reports is what was
    really tried. Refused clients are left out; with ``strict`` one of them keeps everything out. A client that exists
    is never changed. ``base_url`` lets resources be made that are missing.

    Raises ``Conflict`` when somebody else writes the same meanwhile, and ``Invalid`` when the source is none.
    """
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        lines = await _write(connection, actor, source, read, base_url)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.SerializationError):
        await transaction.rollback()
        raise Conflict(
            "Somebody else changes the same clients: nothing was imported. Run it again."
        ) from None
    except BaseException:
        await transaction.rollback()
        raise
    refused = any(line.outcome is Outcome.REFUSED for line in lines)
    applied = apply and not (strict and refused)
    await (transaction.commit() if applied else transaction.rollback())
    return Report(source, applied, tuple(lines))


async def _write(
    connection: Connection, actor: Actor, source: str, read: Read, base_url: str | None
) -> list[Line]:
    catalogue = Catalogue(await queries.resources(connection), base_url)
    items = read(catalogue)
    wanted = [item.client for item in items if item.client is not None]
    known = await queries.these_clients(connection, [client.client_id for client in wanted])
    new = [client for client in wanted if client.client_id not in known]
    resources = catalogue.new(name for client in new for name in client.grants)
    await queries.insert_resources(connection, resources)
    await queries.insert_events(
        connection,
        actor,
        "resource.import",
        "resource",
        {made.name: {**_audited_resource(made), "source": source} for made in resources},
    )
    await queries.insert_clients(connection, new)
    await queries.insert_events(
        connection,
        actor,
        "client.import",
        "client",
        {client.client_id: {**_audited(client), "source": source} for client in new},
    )
    return [*_resource_lines(catalogue, resources), *(_line(item, known) for item in items)]


def _resource_lines(catalogue: Catalogue, made: Sequence[ResourceRecord]) -> list[Line]:
    lines = []
    for declared in catalogue.declared:
        outcome = Outcome.TAKEN if declared.is_new else Outcome.UNCHANGED
        outcome = Outcome.REFUSED if declared.reason else outcome
        notes = (declared.reason,) if declared.reason else ()
        lines.append(Line(declared.place, "resource", declared.resource.name, outcome, notes))
    described = {declared.resource.name for declared in catalogue.declared}
    for resource in made:
        if resource.name not in described:
            note = f"made as {resource.identifier} with the scopes {listed(resource.scopes)}"
            lines.append(Line("", "resource", resource.name, Outcome.TAKEN, (note,)))
    return lines


def _line(item: Item, known: Mapping[str, ClientRecord]) -> Line:
    if item.client is None:
        return Line(item.place, "client", item.client_id, Outcome.REFUSED, item.notes)
    here = known.get(item.client_id)
    if here is None:
        return Line(item.place, "client", item.client_id, Outcome.TAKEN, item.notes)
    outcome, notes = _compared(item.client, here)
    return Line(item.place, "client", item.client_id, outcome, notes)


def _compared(wanted: ClientRecord, here: ClientRecord) -> tuple[Outcome, tuple[str, ...]]:
    """Tell a client that was imported before from another one that happens to have its id."""
    wanted, here = _comparable(wanted), _comparable(here)
    differing = [
        said for member, said in _MEMBERS.items() if getattr(wanted, member) != getattr(here, member)
    ]
    if not differing:
        return Outcome.UNCHANGED, ()
    hashes = {secret.hash for secret in here.secrets}
    if any(secret.hash in hashes for secret in wanted.secrets):
        return Outcome.KEPT, (f"it is here already, with another {listed(differing)}: left as it is",)
    return Outcome.REFUSED, ("a client of this id is here already, and has none of these secrets",)


def _comparable(client: ClientRecord) -> ClientRecord:
    # When a secret was made is not known of every source, and is no difference that anybody would mean.
    secrets = sorted(
        (replace(secret, created_at=None) for secret in client.secrets), key=lambda s: s.secret_id
    )
    return replace(client, secrets=tuple(secrets), grants=dict(client.grants), metadata=dict(client.metadata))


def _audited(client: ClientRecord) -> dict[str, Any]:
    return {
        "name": client.name,
        "enabled": client.enabled,
        "grants": client.grants,
        "default_resource": client.default_resource,
        "token_lifetime_seconds": client.token_lifetime_seconds,
        "expires_at": client.expires_at,
        "metadata": client.metadata,
        "secret_ids": [secret.secret_id for secret in client.secrets],
    }


def _audited_resource(resource: ResourceRecord) -> dict[str, Any]:
    return {
        "identifier": resource.identifier,
        "scopes": resource.scopes,
        "default_scopes": resource.default_scopes,
        "token_lifetime_seconds": resource.token_lifetime_seconds,
    }
