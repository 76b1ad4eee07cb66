"""The metadata of a guarded resource: by the middleware and by the route, wherever RFC 9728 §3.1 puts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from steelcut import Guard, GuardMiddleware
from tests.guard.test_middleware import AUDIENCE, ISSUER, METADATA_PATH, Plain, ask

guard = Guard(ISSUER, audience=AUDIENCE)


async def test_metadata_is_served_to_anybody() -> None:
    """RFC 9728 §3: GET and HEAD only; with another method it is a path like any other."""
    plain = Plain()
    app = GuardMiddleware(plain, guard)
    answer = await ask(app, METADATA_PATH)
    assert answer.json() == guard.metadata()
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert (await ask(app, METADATA_PATH, "POST")).status_code == 401
    assert (await ask(app, METADATA_PATH + "/")).status_code == 401
    assert plain.reached == []


async def test_resource_that_is_no_url_has_no_metadata() -> None:
    """A name such as other servers use is no place; the challenge then names none, unless it is told one."""
    plain = Plain()
    app = GuardMiddleware(plain, Guard(ISSUER, audience="orders-api"))
    assert (await ask(app, "/")).headers["WWW-Authenticate"] == 'Bearer realm="orders-api"'
    with pytest.raises(ValueError, match="resource_metadata"):
        Guard(ISSUER, audience="orders-api").metadata_route()
    told = Guard(ISSUER, audience="orders-api", resource_metadata="https://api.example.com/about")
    app = GuardMiddleware(plain, told)
    assert (
        'resource_metadata="https://api.example.com/about"'
        in (await ask(app, "/")).headers["WWW-Authenticate"]
    )
    assert (await ask(app, "/about")).json()["resource"] == "orders-api"


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/a%20b", "/a"),
        ("/%C3%A4", "/a"),
        ("/a%2Fb", "/b"),
        ("/a{x}b", "/aeb"),
        ("/%7Bx:path%7D", "/y"),
    ],
)
@pytest.mark.parametrize("kind", ["middleware", "starlette", "fastapi"])
async def test_metadata_is_where_the_url_says(kind: str, path: str, other: str) -> None:
    """Percent-encoding is the server's to decode, and braces in a URL are characters."""
    odd = Guard(ISSUER, audience=f"https://api.example.com{path}")
    apps: dict[str, Callable[[], Any]] = {
        "middleware": lambda: GuardMiddleware(Plain(), odd),
        "starlette": lambda: Starlette(routes=[odd.metadata_route()]),
        "fastapi": lambda: FastAPI(routes=[odd.metadata_route()]),
    }
    app = apps[kind]()
    assert odd.metadata_url == f"https://api.example.com/.well-known/oauth-protected-resource{path}"
    assert (await ask(app, odd.metadata_url)).json() == odd.metadata()
    elsewhere = await ask(app, f"https://api.example.com/.well-known/oauth-protected-resource{other}")
    assert elsewhere.status_code in {401, 404}
