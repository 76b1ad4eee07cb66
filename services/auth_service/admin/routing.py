"""A route of the admin API: what is done at each request before its function, and with what is refused.

An ordinary FastAPI route, whose security requirements in the description are those that are enforced.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from auth_service.admin import problems
from auth_service.admin.calls import call_of
from auth_service.admin.problems import InvalidContent, MalformedRequest, Problem
from auth_service.admin.request_body import read_request

if TYPE_CHECKING:
    from auth_service.admin.admission import Administration

SECURITY_SCHEME: Final = "admin_token"
MAX_ERRORS: Final = 20

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def needs(*scopes: str) -> dict[str, Any]:
    """Return ``openapi_extra`` for a route that takes a token with any of ``scopes``."""
    return {"security": [{SECURITY_SCHEME: [scope]} for scope in scopes]}


def admin_router() -> APIRouter:
    """Return a router for operations that are called as their functions."""
    return APIRouter(route_class=AdminRoute, generate_unique_id_function=lambda route: route.name)


class AdminRoute(APIRoute):
    """Admits the caller, then reads the body, then calls the function; answers whatever was refused as a problem."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path as it was sent: an id may hold a slash, and then it came as ``%2F``."""
        if scope["type"] != "http":
            return Match.NONE, {}
        match, child_scope = super().matches({**scope, "path": scope["raw_path"].decode("ascii", "replace")})
        if "path_params" in child_scope:
            sent = child_scope["path_params"]
            child_scope["path_params"] = {name: unquote(value) for name, value in sent.items()}
        return match, child_scope

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        scopes = [
            scope for needed in (self.openapi_extra or {})["security"] for scope in needed[SECURITY_SCHEME]
        ]
        parameters = {field.alias for field in self.dependant.query_params}
        takes_body = self.body_field is not None

        async def serve(request: Request) -> Response:
            administration: Administration = request.app.state.administration
            claims = await administration.admission.admit(request.headers.getlist("authorization"), scopes)
            request.scope["log"]["client_id"] = claims.client_id
            request.scope["admin_call"] = call_of(
                request, administration.process, administration.database, claims, administration.base
            )
            _check_query(request, parameters)
            return await handle(await read_request(request, takes_body=takes_body))

        async def answered(request: Request) -> Response:
            try:
                return await serve(request)
            except RequestValidationError as error:
                return problems.answer(request, _of_validation_error(error))
            except Exception as error:
                problem = problems.problem_of(error, with_content=takes_body)
                if problem is None:
                    raise
                return problems.answer(request, problem)

        return answered


def _check_query(request: Request, known: set[str]) -> None:
    """Refuse parameters that would be ignored, and such as could be understood in two ways."""
    query = request.scope["query_string"].decode("latin-1")
    try:
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True, errors="strict")]
    except UnicodeDecodeError:
        raise MalformedRequest("The query is not UTF-8.") from None
    for name in names:
        if name not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise MalformedRequest(f"This request does not take one of the query's parameters: {takes}.")
    if len(set(names)) < len(names):
        raise MalformedRequest("A parameter of the query appears more than once.")


def _of_validation_error(error: RequestValidationError) -> Problem:
    faults = error.errors()[:MAX_ERRORS]
    members = {"errors": [_fault(fault) for fault in faults]}
    if any(fault["loc"][0] == "body" for fault in faults):
        return InvalidContent("The content is not what this request takes: see errors.", members=members)
    return MalformedRequest("The request is not what this path takes: see errors.", members=members)


def _fault(fault: Any) -> dict[str, str]:
    place, *path = fault["loc"]
    # Of pydantic's own words; what was sent is not repeated.
    detail = fault["msg"].removeprefix("Value error, ")
    if place == "body":
        # RFC 6901 §6: as a URI fragment.
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
        return {"pointer": "#" + "".join(f"/{quote(step, safe='~')}" for step in steps), "detail": detail}
    return {"parameter": str(path[-1]) if path else str(place), "detail": detail}
