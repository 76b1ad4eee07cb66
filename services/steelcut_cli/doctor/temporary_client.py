"""A client that lives for the time of one round trip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from auth_service.administration import clients
from auth_service.administration.actor import terminal_actor
from auth_service.administration.errors import NotFound
from auth_service.queries import keys as key_queries
from steelcut_cli.doctor.places import ask
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from auth_service.queries.clients import ClientRow
    from auth_service.queries.resources import ResourceRow
    from steelcut_cli.connections import Connection

# One id for all runs: whatever a run that is killed leaves behind, the next one finds and removes (ADR 0032).
CLIENT_ID: Final = "steelcut-doctor"
NAME: Final = "steelcut doctor"
# By it we know that a client of this id is ours, and not somebody's who has the same idea.
MARK: Final = {"made_by": "steelcut doctor"}
LIFE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TemporaryClient:
    """What it takes to get a token for one resource, for a minute at most."""

    client_id: str
    secret: str = field(repr=False)
    resource: str = ""
    scope: str = ""


@contextlib.contextmanager
def temporary_client(url: SecretStr, resource: ResourceRow) -> Iterator[TemporaryClient]:
    """Register a client that may read ``resource``, and delete it at the end, whatever happens.

    It ends by itself a minute later, and so do its tokens, should this process be killed before. Raises
    :class:`Refusal`, also when it cannot be deleted.
    """
    client = ask(url, lambda connection: _create(connection, resource))
    try:
        yield client
    finally:
        try:
            ask(url, _delete)
        except Refusal as refusal:
            raise Refusal(
                f"The temporary client {CLIENT_ID} could not be deleted: {refusal} It expires within a minute;"
                f" `steelcut clients delete {CLIENT_ID}` removes it, and so does the next run."
            ) from None


async def _create(connection: Connection, resource: ResourceRow) -> TemporaryClient:
    await _remove_leftover(connection)
    scopes = ["read"] if "read" in resource.scopes else list(resource.scopes)
    new = await clients.create_client(
        connection,
        terminal_actor(),
        NAME,
        {resource.name: scopes},
        client_id=CLIENT_ID,
        token_lifetime_seconds=int(LIFE.total_seconds()),
        # By the database's clock, which the services are likelier to share than this machine's.
        expires_at=await key_queries.now(connection) + LIFE,
        metadata=MARK,
    )
    return TemporaryClient(CLIENT_ID, new.secret, resource.identifier, " ".join(scopes))


async def _remove_leftover(connection: Connection) -> None:
    try:
        found: ClientRow = await clients.show_client(connection, CLIENT_ID)
    except NotFound:
        return
    if found.metadata != MARK:
        raise Refusal(f"There is a client {CLIENT_ID} that this command did not make: it is left alone.")
    if found.state != "expired":
        raise Refusal(
            "Another `steelcut doctor` is at work, or was killed a moment ago: try again in a minute."
        )
    await clients.delete_client(connection, terminal_actor(), CLIENT_ID)


async def _delete(connection: Connection) -> None:
    with contextlib.suppress(NotFound):
        await clients.delete_client(connection, terminal_actor(), CLIENT_ID)
