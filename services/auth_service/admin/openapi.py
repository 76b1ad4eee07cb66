"""The description of the admin API: what FastAPI cannot know of headers, problems and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from auth_service.admin.problems import KINDS, MEDIA_TYPE, TYPE_PREFIX, Problem
from auth_service.administration.admin_api import ADMIN_PATH, SCOPES
from steelcut.service.http.asgi import TRACE_HEADER

if TYPE_CHECKING:
    from auth_service.settings import AuthSettings

Responses = dict[int | str, dict[str, Any]]

_TEXT: Final = {"schema": {"type": "string"}}
_ALWAYS: Final = (400, 401, 403, 503)
_HEADERS: Final = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    409: ("Retry-After",),
    503: ("Retry-After",),
}


@dataclass(frozen=True, slots=True)
class Good:
    """The good answer of a route: its status, its headers, and the problems that routes of its kind have."""

    description: str
    status: int = 200
    headers: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()


_CONTENT: Final = (413, 415, 422)
SHOWN: Final = Good("What was asked for")
TAGGED: Final = Good("The object, and its version as ETag", 200, ("ETag",))
PATCHED: Final = Good(
    "The object as it is now, and its version as ETag", 200, ("ETag",), (*_CONTENT, 412, 428)
)
CREATED: Final = Good(
    "What was created, and where it is", 201, ("ETag", "Location", "Idempotent-Replayed"), _CONTENT
)
# Without a version of its own.
CREATED_INSIDE: Final = Good(
    "What was created, and where it is", 201, ("Location", "Idempotent-Replayed"), _CONTENT
)
REPEATED: Final = Good("What was done", 200, ("Idempotent-Replayed",), _CONTENT)
MERGED: Final = Good("The object as it is now", 200, (), _CONTENT)
DELETED: Final = Good("It is gone", 204)

IF_MATCH: Final = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "description": 'The ETag on which the change was decided, as `"7"`; else 412. A PATCH needs it.',
            "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,17}")$'},
        }
    ]
}
IDEMPOTENT: Final = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Any text that is new for each new request: one that is repeated with it is answered again "
            "for 24 hours, and creates nothing twice",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }
    ]
}


def documented(*statuses: int, good: Good = SHOWN) -> Responses:
    """Return ``responses`` of a route: its good answer, the problems of that kind, those of ``statuses`` and of all."""
    refused = sorted({*_ALWAYS, 422, *statuses, *good.problems})
    responses: Responses = {status: _problem(KINDS[status]) for status in refused}
    responses[good.status] = {"description": good.description, "headers": _headers(*good.headers)}
    return responses


def describe_administration(document: dict[str, Any], settings: AuthSettings) -> None:
    """Add the parts that the admin API's operations refer to, where there is one."""
    if settings.admin_database_url is None:
        return
    components = document["components"]
    for path, operations in document["paths"].items():
        if path.startswith(f"{urlsplit(settings.issuer).path}{ADMIN_PATH}"):
            for operation in operations.values():
                # Without content there is none that cannot be meant; till here it kept FastAPI's own words away.
                if "requestBody" not in operation:
                    del operation["responses"]["422"]
    components["schemas"]["Problem"] = _schema()
    components["securitySchemes"]["admin_token"] = {
        "type": "oauth2",
        "description": "An access token of this server for the resource `admin`",
        "flows": {"clientCredentials": {"tokenUrl": f"{settings.issuer}/token", "scopes": dict(SCOPES)}},
    }


def _problem(problem: type[Problem]) -> dict[str, Any]:
    return {
        "description": problem.title,
        "headers": _headers(*_HEADERS.get(problem.status, ())),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return dict.fromkeys((TRACE_HEADER, *names), _TEXT)


def _schema() -> dict[str, Any]:
    text = {"type": "string"}
    kinds = sorted(TYPE_PREFIX + problem.kind for problem in Problem.__subclasses__())
    fault = {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": text,
            "pointer": {**text, "description": "Where in the body (RFC 6901)"},
            "parameter": {**text, "description": "Which parameter of the path or the query"},
        },
    }
    return {
        "type": "object",
        "description": "Problem details (RFC 9457)",
        "required": ["type", "title", "status", "detail", "trace_id"],
        "properties": {
            "type": {**text, "enum": kinds},
            "title": text,
            "status": {"type": "integer"},
            "detail": {**text, "description": "A sentence that says what to do"},
            "trace_id": {**text, "description": "By which the log knows the request"},
            "errors": {"type": "array", "items": fault},
            "missing_scopes": {"type": "array", "items": text},
            "allowed_from": {**text, "format": "date-time"},
        },
    }
