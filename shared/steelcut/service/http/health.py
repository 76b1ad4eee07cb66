"""``/healthz`` (the process lives) and ``/readyz`` (it can do its work)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import Response
from pydantic import BaseModel, Field

from steelcut.service.http.asgi import NO_STORE
from steelcut.service.refusal import Hindered

if TYPE_CHECKING:
    from fastapi import FastAPI

    from steelcut.service.http.ending import Ending


# Each check returns None when all is well, else what is wrong, in words that may be shown to anybody.
Checks = Mapping[str, Callable[[], Awaitable[str | None]]]
_METHODS: Final = ["GET", "HEAD"]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """What the process needs, and whether it has it."""

    status: Literal["ready", "not ready"]
    checks: Annotated[dict[str, str], Field(description="`ok`, or what is wrong, by name of the check")]


def add_health(app: FastAPI, checks: Checks) -> None:
    """Give ``app`` the two probes; ``checks`` run one after the other at each ``/readyz``."""

    # RFC 9110 §9.1. The lower of two routes serves, the upper one describes: a description of both methods would name
    # one operation twice.
    @app.get("/healthz", summary="The process lives", tags=["health"])
    @app.api_route("/healthz", methods=_METHODS, include_in_schema=False)
    async def healthz(response: Response) -> Alive:
        response.headers.update(NO_STORE)
        return Alive()

    @app.get(
        "/readyz",
        summary="The process can do its work",
        tags=["health"],
        responses={503: {"model": Readiness, "description": "Something that it needs is missing"}},
    )
    @app.api_route("/readyz", methods=_METHODS, include_in_schema=False)
    async def readyz(response: Response) -> Readiness:
        response.headers.update(NO_STORE)
        results = {name: await check() for name, check in checks.items()}
        ending: Ending | None = getattr(app.state, "ending", None)
        if ending is not None and ending.is_told:
            results["process"] = "it is about to end"
        ready = all(result is None or isinstance(result, Hindered) for result in results.values())
        if not ready:
            response.status_code = 503
        shown = {name: result or "ok" for name, result in results.items()}
        return Readiness(status="ready" if ready else "not ready", checks=shown)
