"""Resources, the scopes that belong to them, and who may call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import asyncpg

from auth_service.administration.audit import record
from auth_service.administration.errors import Conflict, Invalid, NotFound
from auth_service.administration.granting import RESOURCE_NAME, take_default, take_grants
from auth_service.administration.limits import check_lifetime, check_version, checked_scopes
from auth_service.administration.paging import DEFAULT_PAGE, Page, check_page_size, key_of, page_of
from auth_service.queries import resources as queries
from steelcut.discovery import check_resource_identifier

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from auth_service.queries.resources import CallerRow, ResourceRow, ScopeRow
    from steelcut.service.database.postgres import Connection

_MAX_IDENTIFIER = 2000
_NAMED_IN_A_SENTENCE = 3


class ResourceChanges(TypedDict, total=False):
    """What to change of a resource: what is not named stays; ``scopes`` and ``default_scopes`` are all of them."""

    identifier: str
    scopes: Sequence[str]
    default_scopes: Sequence[str]
    token_lifetime_seconds: int | None


async def create_resource(
    connection: Connection,
    actor: Actor,
    name: str,
    identifier: str,
    scopes: Sequence[str],
    token_lifetime_seconds: int | None = None,
    *,
    default_scopes: Sequence[str] = (),
) -> ResourceRow:
    """Register a resource under a short ``name`` and the absolute URI that becomes the token's ``aud``.

    ``default_scopes`` are what a client gets that asks for none, as far as it was granted them; without any it gets
    all that it was granted (RFC 6749 §3.3). Raises ``Invalid``, and ``Conflict`` when name or identifier are taken.
    """
    if RESOURCE_NAME.fullmatch(name) is None:
        raise Invalid(
            "A resource name starts with a letter or digit and has at most 128 letters, digits, '.', '_', '~', '-'."
        )
    _check_identifier(identifier)
    unique_scopes = checked_scopes(scopes)
    check_lifetime(token_lifetime_seconds)
    _check_defaults(default_scopes, unique_scopes)
    try:
        async with connection.transaction():
            await queries.insert_resource(
                connection, name, identifier, unique_scopes, token_lifetime_seconds, default_scopes
            )
            resource = await show_resource(connection, name)
            await record(connection, actor, "resource.create", "resource", name, after=_audited(resource))
    except asyncpg.UniqueViolationError as error:
        taken = "identifier" if "identifier" in (error.constraint_name or "") else "name"
        raise Conflict(f"A resource with this {taken} exists: choose another {taken}.") from None
    return resource


async def list_resources(connection: Connection) -> list[ResourceRow]:
    """Return all resources by name."""
    return await queries.resources(connection)


async def show_resource(connection: Connection, name: str) -> ResourceRow:
    """Return one resource. Raises ``NotFound``."""
    found = await queries.resources(connection, [name]) if RESOURCE_NAME.fullmatch(name) else []
    if not found:
        raise NotFound("There is no resource of this name: `steelcut resources list` shows them.")
    return found[0]


async def list_callers(
    connection: Connection, name: str, *, cursor: str | None = None, limit: int = DEFAULT_PAGE
) -> Page[CallerRow]:
    """Return a page of the clients that may call a resource, by id, with their scopes and when they last had them.

    Raises ``NotFound``.
    """
    check_page_size(limit)
    (after,) = key_of(cursor, 1) if cursor else ("",)
    await show_resource(connection, name)
    rows = await queries.callers(connection, name, after=after, limit=limit + 1)
    return page_of(rows, limit, lambda row: (row.client_id,))


async def list_scopes(connection: Connection, name: str | None = None) -> list[ScopeRow]:
    """Return the scopes of all resources, or of one, with how many clients have each and when it was last used.

    Raises ``NotFound`` for a resource that there is not.
    """
    if name is not None:
        await show_resource(connection, name)
    return await queries.scopes(connection, name)


async def update_resource(
    connection: Connection,
    actor: Actor,
    name: str,
    changes: ResourceChanges,
    *,
    expected_version: int | None = None,
    force: bool = False,
) -> ResourceRow:
    """Change a resource; what is as it was already is no change, makes no version and no audit event.

    Another identifier is another audience: tokens for the old one end with their time, and the resource server must
    know the new one. A scope that was granted goes only by ``force``, and then from all clients.
    Raises ``Invalid``, ``NotFound``, ``Conflict``, and ``PreconditionFailed`` when ``expected_version`` is not the
    current one.
    """
    if "identifier" in changes:
        _check_identifier(changes["identifier"])
    check_lifetime(changes.get("token_lifetime_seconds"))
    wanted: dict[str, Any] = {**changes}
    if "scopes" in changes:
        wanted["scopes"] = sorted(checked_scopes(changes["scopes"]))
    if "default_scopes" in changes:
        wanted["default_scopes"] = sorted(set(changes["default_scopes"]))
    try:
        async with connection.transaction():
            old = _audited(await _hold_resource(connection, name, expected_version))
            # A default goes with its scope, unless it is named.
            kept = wanted.get("scopes", old["scopes"])
            wanted.setdefault("default_scopes", [scope for scope in old["default_scopes"] if scope in kept])
            _check_defaults(wanted["default_scopes"], kept)
            gone = [scope for scope in old["scopes"] if scope not in kept]
            if gone:
                await _ungrant(connection, actor, name, gone, force=force)
            await _store(connection, actor, name, old, old | wanted)
            return await show_resource(connection, name)
    except asyncpg.UniqueViolationError:
        raise Conflict("A resource with this identifier exists: choose another identifier.") from None


async def delete_resource(
    connection: Connection,
    actor: Actor,
    name: str,
    *,
    expected_version: int | None = None,
    force: bool = False,
) -> None:
    """Delete a resource; while it is granted to clients only by ``force``, and then it is taken from them.

    Raises ``NotFound``, ``Conflict``, and ``PreconditionFailed`` when ``expected_version`` is not the current one.
    """
    async with connection.transaction():
        resource = await _hold_resource(connection, name, expected_version)
        await _ungrant(connection, actor, name, None, force=force)
        await take_default(connection, actor, name)
        await queries.delete_resource(connection, name)
        await record(connection, actor, "resource.delete", "resource", name, before=_audited(resource))


async def _hold_resource(connection: Connection, name: str, expected_version: int | None) -> ResourceRow:
    resource = None
    while resource is None:
        held = RESOURCE_NAME.fullmatch(name) and await queries.lock_resource(connection, name)
        shown = await show_resource(connection, name)
        resource = shown if held else None
    check_version(resource.version, expected_version)
    return resource


async def _store(
    connection: Connection, actor: Actor, name: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    changed = [member for member in new if new[member] != old[member]]
    if not changed:
        return
    await queries.update_resource(connection, name, new["identifier"], new["token_lifetime_seconds"])
    await queries.set_scopes(connection, name, new["scopes"], new["default_scopes"])
    before, after = ({member: state[member] for member in changed} for state in (old, new))
    await record(connection, actor, "resource.update", "resource", name, before=before, after=after)


async def _ungrant(
    connection: Connection, actor: Actor, name: str, scopes: Sequence[str] | None, *, force: bool
) -> None:
    """Take ``scopes`` (None: all) from the clients that have them, if ``force``; refuse if there are any without."""
    if force:
        await take_grants(connection, actor, name, scopes)
        return
    granted = await queries.grants_of(connection, name, scopes)
    if granted:
        what = f"The scope {', '.join(scopes)} of {name}" if scopes else f"The resource {name}"
        raise Conflict(f"{what} is granted to {_some(list(granted))}: take it from them first, or force it.")


def _some(client_ids: list[str]) -> str:
    shown = ", ".join(client_ids[:_NAMED_IN_A_SENTENCE])
    more = len(client_ids) - _NAMED_IN_A_SENTENCE
    return f"{shown} and {more} more" if more > 0 else shown


def _audited(resource: ResourceRow) -> dict[str, Any]:
    return {
        "identifier": resource.identifier,
        "scopes": list(resource.scopes),
        "default_scopes": list(resource.default_scopes),
        "token_lifetime_seconds": resource.token_lifetime_seconds,
    }


def _check_identifier(identifier: str) -> None:
    try:
        check_resource_identifier(identifier)
    except ValueError as error:
        raise Invalid(f"Not a resource identifier: {error}.") from None
    if len(identifier) > _MAX_IDENTIFIER:
        raise Invalid(f"A resource identifier has at most {_MAX_IDENTIFIER} characters.")


def _check_defaults(default_scopes: Sequence[str], scopes: Sequence[str]) -> None:
    for scope in default_scopes:
        if scope not in scopes:
            # Not repeated: it has not been looked at yet.
            raise Invalid("A default scope must be one of the resource's scopes.")
