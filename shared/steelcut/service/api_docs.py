"""``/docs``: Swagger UI over ``/openapi.json``, with every asset served by the service itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

_ASSETS = "/docs/assets"
_REDIRECT = "/docs/oauth2-redirect"


def add_docs(app: FastAPI) -> None:
    """Give ``app`` the page ``/docs``; its script and style come from the package ``fastapi-offline``."""

    async def docs(request: Request) -> Response:  # noqa: ARG001
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
            oauth2_redirect_url=_REDIRECT,
            swagger_ui_parameters={"tryItOutEnabled": True, "validatorUrl": None},
        )

    async def redirect(request: Request) -> Response:  # noqa: ARG001
        return get_swagger_ui_oauth2_redirect_html()

    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route(_REDIRECT, redirect, include_in_schema=False)
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-assets")
