"""The OpenAPI description of the plain routes, given by hand: what they truly take and answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from auth_service.form import MEDIA_TYPE
from auth_service.grants import SUPPORTED_GRANT_TYPES
from steelcut.discovery import AUTHORIZATION_SERVER, well_known
from steelcut.service.http.asgi import TRACE_HEADER

if TYPE_CHECKING:
    from fastapi import FastAPI

    from auth_service.settings import AuthSettings

_BASIC = "client_secret_basic"
_FLOW = "client_credentials"

_ERROR_CODES = [
    "invalid_request",
    "invalid_client",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "temporarily_unavailable",
    "server_error",
    "not_found",
]


def describe(app: FastAPI, settings: AuthSettings) -> None:
    """Make ``app.openapi()`` tell of the plain routes and of both ways to authenticate."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        # Only for who asks: it is a tenth of a start.
        from auth_service.admin.openapi import describe_administration  # noqa: PLC0415

        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        document["paths"] = _paths(settings) | document["paths"]
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(_schemas())
        components["securitySchemes"] = _security_schemes(settings)
        describe_administration(document, settings)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own documented way to extend it


def _paths(settings: AuthSettings) -> dict[str, Any]:
    base = urlsplit(settings.issuer).path
    metadata_path = urlsplit(well_known(settings.issuer, AUTHORIZATION_SERVER)).path
    return {
        f"{base}/token": {"post": _token_operation()},
        metadata_path: {
            "get": _document_operation("metadata", "Authorization server metadata (RFC 8414)", "Metadata")
        },
        f"{base}/.well-known/jwks.json": {
            "get": _document_operation("jwks", "Public keys that verify access tokens (RFC 7517)", "JWKSet")
        },
    }


def _token_operation() -> dict[str, Any]:
    return {
        "operationId": "token",
        "summary": "Get an access token (RFC 6749 §4.4)",
        "description": (
            "Authenticate with HTTP Basic or with client_id and client_secret in the form, never with both."
        ),
        "tags": ["token"],
        # One of these; the empty one is a secret in the form.
        "security": [{_BASIC: []}, {}],
        "requestBody": {
            "required": True,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/TokenRequest"},
                    "encoding": {"resource": {"style": "form", "explode": True}},
                }
            },
        },
        "responses": {
            "200": _answer("An access token (RFC 6749 §5.1)", "TokenResponse"),
            "400": _answer("The request is refused (RFC 6749 §5.2)", "Error"),
            "401": _answer("Client authentication failed (RFC 6749 §5.2)", "Error", "WWW-Authenticate"),
            "408": _answer("The body did not come within 10 seconds", "Error", "Connection"),
            "413": _answer("The body is larger than 64 KiB", "Error"),
            "429": _answer("Too many failures, or tokens over the quota: wait", "Error", "Retry-After"),
            "503": _answer("The service cannot answer now; try again", "Error", "Retry-After"),
        },
    }


def _document_operation(operation_id: str, summary: str, schema: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": ["discovery"],
        "responses": {"200": _answer(summary, schema, "Cache-Control")},
    }


def _answer(description: str, schema: str, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {name: {"schema": {"type": "string"}} for name in (TRACE_HEADER, *headers)},
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    texts = {"type": "array", "items": text}
    return {
        "TokenRequest": {
            "type": "object",
            "required": ["grant_type"],
            "properties": {
                "grant_type": {"type": "string", "enum": list(SUPPORTED_GRANT_TYPES)},
                "scope": {
                    "type": "string",
                    "description": "Scopes with one space between; left out, all that were granted",
                    "examples": ["read"],
                },
                "resource": {
                    **texts,
                    "description": "Identifier or short name of each resource (RFC 8707); left out, the default one",
                    "examples": [["api_v0.0.1"]],
                },
                "client_id": {**text, "description": "With client_secret, when HTTP Basic is not used"},
                "client_secret": {"type": "string", "format": "password"},
            },
        },
        "TokenResponse": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "scope"],
            "properties": {
                "access_token": {"type": "string", "description": "A JWT (RFC 9068)"},
                "token_type": {"type": "string", "const": "Bearer"},
                "expires_in": {"type": "integer", "description": "Seconds"},
                "scope": text,
                "expires_on": {
                    "type": "integer",
                    "description": "Unix seconds; only to a secret in the form and a short name of a resource",
                },
            },
        },
        "Error": {
            "type": "object",
            "required": ["error", "error_description"],
            "properties": {"error": {"type": "string", "enum": _ERROR_CODES}, "error_description": text},
        },
        "Metadata": {
            "type": "object",
            "required": [
                "issuer",
                "authorization_endpoint",
                "token_endpoint",
                "jwks_uri",
                "response_types_supported",
                "grant_types_supported",
                "token_endpoint_auth_methods_supported",
                "scopes_supported",
                "service_documentation",
            ],
            "properties": {
                "issuer": text,
                "authorization_endpoint": text,
                "token_endpoint": text,
                "jwks_uri": text,
                "response_types_supported": texts,
                "grant_types_supported": texts,
                "token_endpoint_auth_methods_supported": texts,
                "scopes_supported": texts,
                "service_documentation": text,
            },
        },
        "JWKSet": {
            "type": "object",
            "required": ["keys"],
            "properties": {
                "keys": {"type": "array", "items": {"type": "object", "required": ["kty", "kid", "alg"]}}
            },
        },
    }


def _security_schemes(settings: AuthSettings) -> dict[str, Any]:
    return {
        _BASIC: {
            "type": "http",
            "scheme": "basic",
            "description": "client_id and client_secret (RFC 6749 §2.3.1)",
        },
        _FLOW: {
            "type": "oauth2",
            "description": "Gets a token from this server, with the secret in the header or in the body",
            "flows": {"clientCredentials": {"tokenUrl": f"{settings.issuer}/token", "scopes": {}}},
        },
    }
