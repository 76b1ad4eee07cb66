"""Puts the admin API into the application, behind all that was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.routing import Route

from auth_service.admin import audit, clients, keys, problems, resources, secrets, usage
from auth_service.admin.admission import Administration, Admission
from auth_service.admin.metadata import admin_resource_metadata
from auth_service.admin.problems import WrongMethod
from auth_service.admin.routing import AdminRoute
from auth_service.administration.admin_api import ADMIN_PATH, admin_audience
from steelcut.discovery import PROTECTED_RESOURCE, well_known
from steelcut.service.http.asgi import render_http_error

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from auth_service.settings import AuthSettings
    from auth_service.state import Process
    from steelcut.service.database.postgres import Database

TAG = "administration"
ROUTERS = (clients.router, secrets.router, resources.router, keys.router, audit.router, usage.router)


def mount(app: FastAPI, settings: AuthSettings) -> None:
    """Add the routes. Only for a process that has ``AUTH_ADMIN_DATABASE_URL``; others have nothing at this path."""
    base = admin_base(settings)
    for router in ROUTERS:
        app.include_router(router, prefix=base, tags=[TAG])
    metadata_path = urlsplit(well_known(admin_audience(settings.issuer), PROTECTED_RESOURCE)).path
    app.router.routes.append(Route(metadata_path, admin_resource_metadata, methods=["GET"]))

    async def render(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        problem = problems.problem_of(error, with_content=False)
        if problem is None or not request.scope["path"].startswith(f"{base}/"):
            return await render_http_error(request, error)
        if isinstance(problem, WrongMethod):
            path = request.scope["raw_path"].decode("ascii", "replace")
            problem.headers = {"Allow": ", ".join(_methods(path.removeprefix(base)))}
        return problems.answer(request, problem)

    app.add_exception_handler(HTTPException, render)


def _methods(path: str) -> list[str]:
    """Return what a path takes (RFC 9110 §10.2.1): FastAPI has a route for each method and names only its own."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, AdminRoute)]
    matching = [route for route in routes if route.path_regex.match(path)]
    # A word of ours, as `rotate`, stands before an id.
    nearest = min((len(route.param_convertors) for route in matching), default=0)
    methods = (route.methods or () for route in matching if len(route.param_convertors) == nearest)
    return sorted(set().union(*methods))


def open_administration(process: Process, database: Database) -> Administration:
    """Return the admin API of a process, by its connections as the administrator."""
    return Administration(process, database, Admission.of(process, database), admin_base(process.settings))


def admin_base(settings: AuthSettings) -> str:
    """Return the path under which the admin API stands."""
    return urlsplit(settings.issuer).path + ADMIN_PATH
