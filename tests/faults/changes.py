"""Administrative changes over a socket, for processes that are killed: the service functions on the service's pool.

It stands in for the operator's HTTP API. To test that one instead, write another ``Administration`` (see
``operators``) that puts the same verbs to it, and let the nursery serve the application as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_service.administration import clients, keys, resources, secrets
from auth_service.administration.actor import Actor
from auth_service.administration.errors import AdministrationError
from auth_service.app import create_app
from steelcut.service.asgi import JSONBytes

if TYPE_CHECKING:
    from auth_service.state import Process
    from steelcut.service.postgres import Connection

Verb = Callable[..., Awaitable[Any]]


async def _create_client(connection: Connection, actor: Actor, _: Process, **members: Any) -> Any:
    new = await clients.create_client(connection, actor, **members)
    return {"secret": new.secret}


async def _rotate_secret(
    connection: Connection, actor: Actor, _: Process, client_id: str, overlap_seconds: float
) -> Any:
    overlap = timedelta(seconds=overlap_seconds)
    rotated = await secrets.rotate_secret(connection, actor, client_id, overlap=overlap)
    return {"secret": rotated.added.value}


async def _create_key(connection: Connection, actor: Actor, process: Process) -> Any:
    made = await keys.create_key(connection, actor, process.master_key, process.settings.signing_algorithm)
    return {"kid": made.kid}


async def _promote_key(connection: Connection, actor: Actor, process: Process, kid: str) -> Any:
    await keys.promote_key(connection, actor, kid, process.settings.key_timing, force=True)


async def _revoke_key(connection: Connection, actor: Actor, process: Process, kid: str) -> Any:
    settings = process.settings
    algorithm, timing = settings.signing_algorithm, settings.key_timing
    await keys.revoke_key(connection, actor, kid, process.master_key, algorithm, timing, force=True)


def _plain(function: Callable[..., Awaitable[Any]], **fixed: Any) -> Verb:
    async def verb(connection: Connection, actor: Actor, _: Process, *positional: Any, **named: Any) -> None:
        await function(connection, actor, *positional, **named, **fixed)

    return verb


VERBS: dict[str, Verb] = {
    "create_client": _create_client,
    "update_client": _plain(clients.update_client),
    "disable_client": _plain(clients.disable_client),
    "enable_client": _plain(clients.enable_client),
    "delete_client": _plain(clients.delete_client),
    "rotate_secret": _rotate_secret,
    "create_resource": _plain(resources.create_resource),
    "update_resource": _plain(resources.update_resource, force=True),
    "delete_resource": _plain(resources.delete_resource, force=True),
    "create_key": _create_key,
    "promote_key": _promote_key,
    "revoke_key": _revoke_key,
}


async def change(request: Request) -> Response:
    """Make one change and answer when it is committed: 200, or 409 with the sentence of a refusal."""
    process: Process = request.app.state.process
    members = orjson.loads(await request.body())
    actor = Actor("operator", trace_id=request.scope["log"]["trace_id"])
    assert process.admin_database is not None
    try:
        async with process.admin_database.connection() as connection:
            answer = await VERBS[request.path_params["verb"]](connection, actor, process, **members)
    except AdministrationError as refusal:
        return JSONBytes({"refused": str(refusal)}, 409)
    return JSONBytes(answer or {})


def application() -> FastAPI:
    """Return the authorization server, set up by the environment, with the changes beside its own routes."""
    app = create_app()
    app.router.routes.insert(0, Route("/changes/{verb}", change, methods=["POST"]))
    return app
