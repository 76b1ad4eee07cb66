"""One admitted request: who makes it, and the transactions in which it is carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import Request

from auth_service.admin.preconditions import expected_version
from auth_service.administration.actor import Actor

if TYPE_CHECKING:
    from auth_service.state import Process
    from steelcut.claims import Claims
    from steelcut.service.database.postgres import Connection, Database


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose token was found good; ``scopes`` are what its client may do, ``base`` is the API's path."""

    request: Request = field(repr=False)
    process: Process = field(repr=False)
    database: Database = field(repr=False)
    client_id: str
    scopes: frozenset[str]
    actor: Actor
    base: str

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection of the administrator, in one transaction. Raises ``TemporarilyUnavailable``."""
        async with self.database.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection of the administrator, to read. Raises ``TemporarilyUnavailable``."""
        async with self.database.connection() as connection:
            yield connection

    def path(self, *segments: str) -> str:
        """Return the path of an object of this API."""
        return "/".join((self.base, *(quote(segment, safe="") for segment in segments)))

    def if_match(self, *, required: bool = False) -> int | None:
        """Return the version on which the caller decided, see ``preconditions``."""
        return expected_version(self.request.headers.getlist("if-match"), required=required)


def call_of(request: Request, process: Process, database: Database, claims: Claims, base: str) -> Call:
    """Return the call that ``request`` makes by a token of ``claims``."""
    client = request.scope.get("client")
    address = client[0] if client else ""
    trace_id = request.scope["log"]["trace_id"]
    actor = Actor(f"client:{claims.client_id}", address, trace_id)
    return Call(request, process, database, claims.client_id, claims.scopes, actor, base)


async def _current_call(request: Request) -> Any:
    return request.scope["admin_call"]


CurrentCall = Annotated[Call, Depends(_current_call)]
