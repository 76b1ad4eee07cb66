"""The ASGI application: wiring only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from resource_service.document_endpoint import DocumentRoute
from resource_service.forward_auth import ForwardAuthRoute
from resource_service.metadata import metadata_path, protected_resource_metadata
from resource_service.openapi import describe
from resource_service.settings import ResourceSettings
from resource_service.state import open_process
from steelcut.service.http import asgi
from steelcut.service.http.api_docs import add_docs
from steelcut.service.http.asgi import Application
from steelcut.service.http.health import add_health
from steelcut.service.refusal import Refusal
from steelcut.service.settings import load
from steelcut.service.telemetry.logs import Logger, make_logger
from steelcut.service.telemetry.observation import observed

if TYPE_CHECKING:
    from resource_service.state import Process


def create_app(settings: ResourceSettings | None = None, log: Logger | None = None) -> FastAPI:
    """Build the application; without arguments from the environment, which stays as it is.

    Raises ``ConfigurationError`` when the environment cannot be used.
    """
    settings = settings or load(ResourceSettings)
    log = log or make_logger("resource_service", settings.log_format)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        try:
            async with open_process(settings, log) as process:
                app.state.process = process
                with observed(app.watch, process, settings, log, service="resource_service"):
                    yield
        except Refusal as refusal:
            app.state.refusal = refusal
            raise

    app = Application(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        title="Steelcut resource server",
        version=version("steelcut"),
    )
    asked_for = [DocumentRoute(), ForwardAuthRoute(settings)]
    app.router.routes[:0] = [
        *asked_for,
        Route(metadata_path(settings), protected_resource_metadata, methods=["GET"]),
    ]
    add_health(app, {"database": lambda: _database(app), "issuer_keys": lambda: _issuer_keys(app)})
    add_docs(app)
    describe(app, settings)
    asgi.install(app, log, first=asked_for)
    return app


async def _database(app: FastAPI) -> str | None:
    process: Process = app.state.process
    return await process.database.check(process.settings.stale_seconds)


async def _issuer_keys(app: FastAPI) -> str | None:
    process: Process = app.state.process
    return None if await process.keys.ready_async() else "no key of the issuer is known yet"
