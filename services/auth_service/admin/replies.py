"""Answers of the admin API: one JSON object, its version, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from auth_service.admin.preconditions import entity_tag
from steelcut.service.http.asgi import NO_STORE

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is sent; ``headers`` are those that belong to it alone."""

    status: int
    content: bytes = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: BaseModel, status: int = 200, *, version: int | None = None, location: str | None = None
    ) -> Self:
        """Answer with ``model``, of a ``version``, which is to be found at ``location``."""
        headers = {}
        if version is not None:
            headers["ETag"] = entity_tag(version)
        if location is not None:
            headers["Location"] = location
        return cls(status, model.model_dump_json().encode(), headers)

    def to_bytes(self) -> bytes:
        """Return headers and content in one piece, to be sealed; the status is kept beside it."""
        return orjson.dumps([self.headers, self.content.decode()])

    @classmethod
    def from_bytes(cls, status: int, octets: bytes) -> Self:
        """Return what ``to_bytes`` was given."""
        headers, content = orjson.loads(octets)
        return cls(status, content.encode(), headers)

    def response(self, **headers: str) -> Response:
        """Return it as it is sent."""
        return Response(
            self.content,
            self.status,
            {**NO_STORE, **self.headers, **headers},
            media_type="application/json",
        )


def no_content() -> Response:
    """Return the answer to a deletion."""
    return Response(None, 204, NO_STORE)


def next_page(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the header that leads from this page to the next one, if there is one (RFC 8288)."""
    if cursor is None:
        return {}
    query = urlencode({**request.query_params, "cursor": cursor})
    return {"Link": f'<{request.scope["raw_path"].decode()}?{query}>; rel="next"'}
