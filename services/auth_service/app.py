"""The ASGI application: wiring only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.routing import Route

from auth_service.metadata import authorization_server_metadata, authorize, jwks
from auth_service.openapi import describe
from auth_service.settings import AuthSettings
from auth_service.state import open_process
from auth_service.token_endpoint import token
from steelcut.discovery import AUTHORIZATION_SERVER, well_known
from steelcut.service.http import asgi
from steelcut.service.http.api_docs import add_docs
from steelcut.service.http.asgi import Application, ExactRoute
from steelcut.service.http.health import add_health
from steelcut.service.refusal import Refusal
from steelcut.service.settings import load
from steelcut.service.telemetry.logs import Logger, make_logger
from steelcut.service.telemetry.observation import observed

if TYPE_CHECKING:
    from auth_service.state import Process


def create_app(settings: AuthSettings | None = None, log: Logger | None = None) -> FastAPI:
    """Build the application; without arguments from the environment, which stays as it is.

    Raises ``ConfigurationError`` when the environment cannot be used.
    """
    settings = settings or load(AuthSettings)
    log = log or make_logger("auth_service", settings.log_format)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        try:
            async with open_process(settings, log) as process:
                app.state.process = process
                if process.admin_database is not None:
                    app.state.administration = _admin().open_administration(process, process.admin_database)
                with observed(app.watch, process, settings, log, service="auth_service"):
                    yield
        except Refusal as refusal:
            app.state.refusal = refusal
            raise

    app = Application(
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        title="Steelcut authorization server",
        version=version("steelcut"),
    )
    base = urlsplit(settings.issuer).path
    token_route = ExactRoute(f"{base}/token", token, method="POST")
    # Plain routes: an ordinary FastAPI route costs more than the signature.
    app.router.routes[:0] = [
        token_route,
        Route(f"{base}/.well-known/jwks.json", jwks, methods=["GET"]),
        Route(f"{base}/authorize", authorize, methods=["GET", "POST"]),
        Route(
            urlsplit(well_known(settings.issuer, AUTHORIZATION_SERVER)).path,
            authorization_server_metadata,
            methods=["GET"],
        ),
    ]
    add_health(app, {"database": lambda: _database(app), "signing_key": lambda: _signing_key(app)})
    add_docs(app)
    describe(app, settings)
    asgi.install(app, log, first=[token_route], proxies=settings.trusted_proxies or "")
    if settings.admin_database_url is not None:
        _admin().mount(app, settings)
    return app


def _admin() -> ModuleType:
    # Only where it is wanted: a process that serves tokens alone starts in two thirds of the time without it.
    return import_module("auth_service.admin.mounting")


async def _database(app: FastAPI) -> str | None:
    process: Process = app.state.process
    return await process.database.check(process.settings.stale_seconds)


async def _signing_key(app: FastAPI) -> str | None:
    process: Process = app.state.process
    return process.key_ring.fault
