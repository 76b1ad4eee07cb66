"""A guard as a dependency of FastAPI, described in its OpenAPI document."""

# No `from __future__ import annotations`: FastAPI reads them while it runs, and they hold what is known only then.
import logging
from typing import TYPE_CHECKING, Annotated

from fastapi import HTTPException, Security
from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from steelcut.claims import Claims
from steelcut.errors import OAuthError
from steelcut.guard.core import Dependency, sufficient

if TYPE_CHECKING:
    from steelcut.guard.core import Guard


class Refused(HTTPException):
    """A request that a guard does not let pass; FastAPI answers it, with the challenge, unless told otherwise.

    ``refusal`` is the ``OAuthError`` behind it, whose ``reason`` is for the log alone.
    """

    def __init__(self, refusal: OAuthError) -> None:
        """Answer as ``refusal`` says."""
        headers = {"Cache-Control": "no-store", **refusal.headers()}
        super().__init__(refusal.status, detail=refusal.body(), headers=headers)
        self.refusal = refusal


class Scheme(SecurityBase):
    """What the OpenAPI document says of a guard; who passes is the dependency's to say."""

    def __init__(self, guard: "Guard") -> None:
        """Describe ``guard``: as OAuth 2.0 when it is known where tokens are to be had, else as a Bearer token."""
        if guard.token_url is None:
            self.scheme_name = guard.scheme_name or "Bearer"
            self.model = HTTPBearer(bearerFormat="JWT")
        else:
            self.scheme_name = guard.scheme_name or "OAuth2"
            flow = OAuthFlowClientCredentials(tokenUrl=guard.token_url, scopes=dict(guard.scopes))
            self.model = OAuth2(flows=OAuthFlows(clientCredentials=flow))

    async def __call__(self) -> None:
        """Do nothing."""


def dependency(guard: "Guard", scopes: tuple[str, ...], any_of: tuple[str, ...]) -> Dependency:
    """Return the dependency that needs all of ``scopes`` and, if there is any, one of ``any_of``."""
    described = Security(Scheme(guard), scopes=sufficient(scopes, any_of))

    async def admitted(
        connection: HTTPConnection, wanted: SecurityScopes, _: Annotated[None, described]
    ) -> Claims:
        # Security(guard(), scopes=[...]) adds to what the dependency needs by itself.
        needed = (*scopes, *wanted.scopes)
        try:
            return await guard.admit(connection.headers.getlist("authorization"), needed, any_of)
        except OAuthError as refusal:
            logging.getLogger("steelcut").info("Refused %r: %s", connection.url.path, refusal.reason)
            raise Refused(refusal) from refusal

    return admitted
