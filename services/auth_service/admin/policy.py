"""Whom an administrator may touch: nobody gives, or reaches by another client, rights that they do not have.

Whoever may write secrets could otherwise give themselves one of a mightier client, and whoever may write clients
could grant a new one everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from auth_service.admin.problems import Escalation
from auth_service.administration.admin_api import ADMIN_RESOURCE, ROTATE_OWN
from auth_service.administration.clients import hold_client
from auth_service.administration.granting import RESOURCE_NAME
from auth_service.queries.resources import share_resources

if TYPE_CHECKING:
    from auth_service.queries.clients import ClientRow
    from steelcut.service.database.postgres import Connection

# These scopes of the admin API give no power over anybody else. A scope that is not named here does.
HARMLESS: Final = frozenset({ROTATE_OWN})


def lacking(grants: Mapping[str, Sequence[str]], scopes: Iterable[str]) -> list[str]:
    """Return which scopes of the admin API are in ``grants`` that a caller with ``scopes`` may not touch."""
    return sorted(set(grants.get(ADMIN_RESOURCE, ())) - HARMLESS - set(scopes))


def check_grants(grants: Mapping[str, Sequence[str]], scopes: Iterable[str]) -> None:
    """Let a caller with ``scopes`` give ``grants``. Raises ``Escalation``."""
    if missing := lacking(grants, scopes):
        raise Escalation(
            f"Your token does not carry {', '.join(missing)}, so it cannot grant it: ask somebody who has it, or use "
            "`steelcut clients update`.",
            members={"missing_scopes": missing},
        )


def check_target(client: ClientRow, scopes: Iterable[str]) -> None:
    """Let a caller with ``scopes`` touch ``client``. Raises ``Escalation``."""
    if missing := lacking(client.grants, scopes):
        raise Escalation(
            f"This client has {', '.join(missing)} of the admin API, which your token does not carry: ask somebody who "
            "has it, or use the command line.",
            members={"missing_scopes": missing},
        )


def check_resource(name: str) -> None:
    """Keep the admin API's own resource out of its reach. Raises ``Escalation``."""
    if name == ADMIN_RESOURCE:
        raise Escalation(
            "The resource of this API is not changed by this API: use `steelcut resources update` or `delete`."
        )


async def hold_target(
    connection: Connection,
    client_id: str,
    scopes: Iterable[str],
    *,
    expected_version: int | None = None,
    resources: Iterable[str] = (),
) -> ClientRow:
    """Return a client that a caller with ``scopes`` may touch and that nobody else changes until the transaction's end.

    ``resources`` are those that are going to be granted. Raises ``Escalation``, ``NotFound``, ``PreconditionFailed``.
    """
    # Resources before clients, as everywhere.
    await share_resources(
        connection, sorted(name for name in set(resources) if RESOURCE_NAME.fullmatch(name))
    )
    client = await hold_client(connection, client_id, expected_version)
    check_target(client, scopes)
    return client
