"""The OpenAPI description of the plain routes, given by hand: what they truly take and answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resource_service.document_endpoint import READ_SCOPE
from resource_service.forward_auth import (
    CLIENT_ID_HEADER,
    EXPIRES_HEADER,
    SCOPE_HEADER,
)
from resource_service.forward_auth import PATH as VERIFY_PATH
from resource_service.metadata import metadata_path
from resource_service.publishing_endpoint import WRITE_SCOPE
from steelcut.service.http.asgi import TRACE_HEADER

if TYPE_CHECKING:
    from fastapi import FastAPI

    from resource_service.settings import ResourceSettings

_BEARER = "access_token"
_ENTITY_TAGS_PATTERN = r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'
_NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$"
_IDENTIFIER_PATTERN = (
    r"^([A-Za-z0-9][A-Za-z0-9._~-]{0,127}|https://[a-z0-9.-]+(:\d{1,4})?(/[A-Za-z0-9._~-]*)*)$"
)

# RFC 6749 §3.3
_SCOPES_PATTERN = r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$"

_ERROR_CODES = [
    "invalid_request",
    "unauthorized",
    "invalid_token",
    "insufficient_scope",
    "access_denied",
    "not_found",
    "precondition_failed",
    "temporarily_unavailable",
    "server_error",
]


def describe(app: FastAPI, settings: ResourceSettings) -> None:
    """Make ``app.openapi()`` tell of the plain routes and of the token that they need."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        document["paths"] = _paths(settings) | document["paths"]
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(_schemas())
        components["securitySchemes"] = {_BEARER: _security_scheme(settings)}
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own documented way to extend it


def _paths(settings: ResourceSettings) -> dict[str, Any]:
    return {
        "/{resource}": _document_path(settings, "resource"),
        "/{resource}/{key}": _document_path(settings, "resource", "key"),
        VERIFY_PATH: {"get": _verify_operation()},
        metadata_path(settings): {
            "parameters": [_path_parameter("resource")],
            "get": {
                "operationId": "metadata",
                "summary": "Protected resource metadata (RFC 9728)",
                "tags": ["discovery"],
                "responses": {
                    "200": _answer("What a client must know to get a token", "Metadata", "Cache-Control"),
                    "404": _answer("There is no such resource", "Error"),
                    "503": _answer("The service cannot answer now; try again", "Error", "Retry-After"),
                },
            },
        },
    }


def _document_path(settings: ResourceSettings, *names: str) -> dict[str, Any]:
    path = {
        "parameters": [_path_parameter(name) for name in names],
        "get": _document_operation(f"read_{names[-1]}", "Read a protected document"),
        "head": _document_operation(f"head_{names[-1]}", "Ask for the tag and the size of a document"),
    }
    if settings.publisher_database_url is not None:
        path["put"] = _put_operation(f"put_{names[-1]}", settings.max_document_bytes)
        path["delete"] = _change_operation(f"delete_{names[-1]}", "Delete a document", _deletion())
    return path


def _document_operation(operation_id: str, summary: str) -> dict[str, Any]:
    etag = ("ETag", "Cache-Control", "Vary")
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": f"Needs an access token for this very resource with the scope `{READ_SCOPE}`.",
        "tags": ["documents"],
        "security": [{_BEARER: []}],
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "description": 'Tags of versions at hand, `"…"`, or `*` (RFC 9110 §13.1.2)',
                "schema": {"type": "string"},
            },
            _precondition("If-Match", "Only if it has one of these tags, or, for `*`, exists"),
        ],
        "responses": {
            "200": {
                "description": "The document, byte for byte as it was published",
                "headers": _headers(*etag),
                "content": {"application/json": {"schema": {}}},
            },
            "304": {"description": "The caller has this version already", "headers": _headers(*etag)},
            "400": _answer("Not one Bearer credential (RFC 6750 §3.1)", "Error", "WWW-Authenticate"),
            "401": _answer(
                "No token, or none that is good here (RFC 6750 §3.1)", "Error", "WWW-Authenticate"
            ),
            "403": _answer("The token grants too little (RFC 6750 §3.1)", "Error", "WWW-Authenticate"),
            "404": _answer("There is no such document", "Error"),
            "412": _answer("The document is in another state than If-Match asks for", "Error"),
            "503": _answer("The service cannot answer now; try again", "Error", "Retry-After"),
        },
    }


def _verify_operation() -> dict[str, Any]:
    return {
        "operationId": "verify",
        "summary": "Forward authentication: ask for a proxy whether a request may pass",
        "description": (
            "Takes the caller's headers, and this query from the proxy's configuration. "
            "Any method asks the same; content is not looked at."
        ),
        "tags": ["forward authentication"],
        "security": [{_BEARER: []}],
        "parameters": [
            {
                "name": "resource",
                "in": "query",
                "required": True,
                "description": "What the proxy guards: its identifier, or the name of a resource of this service",
                "schema": {"type": "string", "pattern": _IDENTIFIER_PATTERN, "examples": ["api_v0.0.1"]},
            },
            _scopes_parameter("scope", "Scopes that the token must all have, a space between them"),
            _scopes_parameter("any_scope", "Scopes of which the token must have one, a space between them"),
        ],
        "responses": {
            "200": {
                "description": "The request may pass; the headers are for the service behind the proxy",
                "headers": _headers(CLIENT_ID_HEADER, SCOPE_HEADER, EXPIRES_HEADER, "Cache-Control"),
            },
            "400": _answer("The proxy's configuration has written another query than this", "Error"),
            "401": _answer(
                "No token, or none that is good there; also for a credential that is not one Bearer token, "
                "because nginx hands no 400 on (RFC 6750 §3.1)",
                "Error",
                "WWW-Authenticate",
            ),
            "403": _answer("The token grants too little (RFC 6750 §3.1)", "Error", "WWW-Authenticate"),
            "503": _answer("The service cannot answer now; try again", "Error", "Retry-After"),
        },
    }


def _scopes_parameter(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "string", "pattern": _SCOPES_PATTERN, "examples": ["read"]},
    }


def _put_operation(operation_id: str, max_bytes: int) -> dict[str, Any]:
    responses = {
        "201": {"description": "The document was created", "headers": _headers("ETag", "Location")},
        "204": {"description": "The document was replaced", "headers": _headers("ETag")},
        "400": _answer(
            "Not JSON, and then with `line` and `column`; or a header that cannot be served",
            "DocumentError",
            "WWW-Authenticate",
        ),
        "404": _answer("No document can have this path", "Error"),
        "408": _answer("The document did not arrive in time", "Error", "Connection"),
        "413": _answer(f"The document has more than {max_bytes} bytes", "Error"),
        "415": _answer("Not application/json in UTF-8, or coded", "Error", "Accept", "Accept-Encoding"),
    }
    return {
        **_change_operation(operation_id, "Create or replace a document", responses),
        "requestBody": {
            "required": True,
            "description": f"Any JSON text of up to {max_bytes} bytes; these very bytes are served",
            "content": {"application/json": {"schema": {}}},
        },
    }


def _deletion() -> dict[str, Any]:
    return {
        "204": {"description": "The document was deleted", "headers": _headers()},
        "400": _answer("A header that cannot be served", "Error", "WWW-Authenticate"),
        "404": _answer("There is no such document", "Error"),
    }


def _change_operation(operation_id: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": f"Needs an access token for this very resource with the scope `{WRITE_SCOPE}`.",
        "tags": ["documents"],
        "security": [{_BEARER: []}],
        "parameters": [
            _precondition("If-Match", "Only if the document has one of these tags, or, for `*`, exists"),
            _precondition("If-None-Match", "Only if it has none of these tags, or, for `*`, does not exist"),
        ],
        "responses": {
            **responses,
            "401": _answer(
                "No token, or none that is good here (RFC 6750 §3.1)", "Error", "WWW-Authenticate"
            ),
            "403": _answer("The token grants too little (RFC 6750 §3.1)", "Error", "WWW-Authenticate"),
            "412": _answer("The document is in another state than the preconditions ask for", "Error"),
            "503": _answer("The service cannot answer now; try again", "Error", "Retry-After"),
        },
    }


def _precondition(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": f"{description} (RFC 9110 §13.1)",
        "schema": {"type": "string", "pattern": _ENTITY_TAGS_PATTERN, "examples": ["*"]},
    }


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": _NAME_PATTERN, "examples": ["api_v0.0.1"]},
    }


def _answer(description: str, schema: str, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _headers(*headers),
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in (TRACE_HEADER, *names)}


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    texts = {"type": "array", "items": text}
    metadata = {
        "resource": text,
        "authorization_servers": texts,
        "scopes_supported": texts,
        "bearer_methods_supported": texts,
        "resource_name": text,
        "resource_documentation": text,
    }
    error = {"error": {"type": "string", "enum": _ERROR_CODES}, "error_description": text}
    place = {name: {"type": "integer", "minimum": 1} for name in ("line", "column")}
    return {
        "Metadata": {"type": "object", "required": list(metadata), "properties": metadata},
        "Error": {"type": "object", "required": list(error), "properties": error},
        "DocumentError": {"type": "object", "required": list(error), "properties": {**error, **place}},
    }


def _security_scheme(settings: ResourceSettings) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": f"An access token (RFC 9068) from {settings.issuer}",
    }
