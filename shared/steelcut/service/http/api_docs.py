"""``/docs``: Swagger UI over ``/openapi.json``, with every asset served by the service itself."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from starlette.staticfiles import StaticFiles

from steelcut.service.http.security_headers import POLICY, POLICY_FIELD

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_ASSETS = "/docs/assets"
_REDIRECT = "/docs/oauth2-redirect"
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def add_docs(app: FastAPI) -> None:
    """Give ``app`` the page ``/docs``; its script and style come from the package ``fastapi-offline``."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=app.title,
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
        oauth2_redirect_url=_REDIRECT,
        swagger_ui_parameters={"tryItOutEnabled": True, "validatorUrl": None},
    )
    redirect = get_swagger_ui_oauth2_redirect_html()
    for answer in (page, redirect):
        answer.headers[POLICY_FIELD] = _policy_of(bytes(answer.body))

    async def docs(request: Request) -> Response:  # noqa: ARG001
        return page

    async def redirected(request: Request) -> Response:  # noqa: ARG001
        return redirect

    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route(_REDIRECT, redirected, include_in_schema=False)
    app.mount(_ASSETS, _Assets(packages=[("fastapi_offline", "static")]), name="docs-assets")


class _Assets(StaticFiles):
    """Files that are sent whole: Starlette answers a range of HEAD by 206, and a unit that it does not know by 400.

    To pass over ``Range`` is right (RFC 9110 §14.2).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as if no range was asked for."""
        fields = [field for field in scope["headers"] if field[0] != b"range"]
        await super().__call__({**scope, "headers": fields}, receive, send)


def _policy_of(page: bytes) -> str:
    """Return what a page may do: run our scripts and the ones that stand in it, and talk to this service alone."""
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    # Swagger UI sets styles on its elements, and brings its pictures within its style sheet.
    return (
        f"{POLICY}; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
