"""``GET`` and ``HEAD /{resource}`` and ``/{resource}/{key}``: guard first, then the cache or one query, then the bytes.

What changes documents is in ``publishing_endpoint``.

Plain ASGI: this path is walked at every protected request, and each layer would be paid for each time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from starlette.routing import BaseRoute, Match

from resource_service import publishing_endpoint
from resource_service.documents import OWN_DOCUMENT
from resource_service.errors import PreconditionFailed
from resource_service.names import DOCUMENT_PATH
from resource_service.preconditions import Preconditions
from steelcut.service.http.headers import values

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from resource_service.state import Process

METHODS: Final = ("GET", "HEAD")
READ_SCOPE: Final = "read"
_NEEDED: Final = (READ_SCOPE,)
_CONDITIONS: Final = (b"if-none-match", b"if-match")
ANY_TAG: Final = "*"
# RFC 9110 §8.8.3
_ENTITY_TAG: Final = re.compile(r'"([\x21\x23-\x7e\x80-\xff]*)"')


class DocumentRoute(BaseRoute):
    """The route of all documents: one match of one pattern."""

    name = "document"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every path that a document may have, with any method."""
        if scope["type"] != "http":
            return Match.NONE, {}
        found = DOCUMENT_PATH.fullmatch(scope["path"])
        if found is None:
            return Match.NONE, {}
        return Match.FULL, {"path_params": found.groupdict()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one document, in this order: method, guard, cache or database, answer."""
        method = scope["method"]
        if method not in METHODS:
            await publishing_endpoint.handle(scope, receive, send, else_allowed=METHODS)
            return
        process: Process = scope["app"].state.process
        resource, key = scope["path_params"]["resource"], scope["path_params"]["key"]

        claims = await process.guard(resource).admit(values(scope, b"authorization"), _NEEDED)
        scope["log"]["client_id"] = claims.client_id

        conditions = [field for field in scope["headers"] if field[0] in _CONDITIONS]
        if_none_match = conditions and [value for name, value in conditions if name == b"if-none-match"]
        document = process.documents.ready(resource, key or OWN_DOCUMENT)
        # Most who send a tag send it as they were given it: then there is nothing to parse.
        unchanged = True
        if document is None or if_none_match != [document.quoted_etag]:
            known_etags = entity_tags(if_none_match) if if_none_match else ()
            has_any = ANY_TAG in known_etags
            if document is None:
                document, stale = await process.documents.read(
                    resource,
                    key or OWN_DOCUMENT,
                    with_body=method == "GET" and not has_any,
                    known_etags=known_etags,
                )
                if stale:
                    scope["log"]["stale"] = True
            unchanged = has_any or document.etag in known_etags
        if len(conditions) > len(if_none_match) and not _matches(scope, document.etag):
            # The first of both to be looked at (RFC 9110 §13.2.2).
            raise PreconditionFailed("the document is in another state")
        if unchanged:
            status, fields, body = 304, document.fields_if_unchanged, b""
        else:
            status, fields, body = 200, document.fields, document.body or b""
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})


def _matches(scope: Scope, etag: str) -> bool:
    """Say whether If-Match, which has been sent, is true of ``etag`` (RFC 9110 §13.1.1)."""
    return Preconditions.parse(values(scope, b"if-match"), ()).hold(etag)


def entity_tags(if_none_match: Sequence[bytes]) -> list[str]:
    """Return the opaque tags of If-None-Match, without ``W/``, for the weak comparison (RFC 9110 §13.1.2)."""
    lines = [line.decode("latin-1") for line in if_none_match]
    if [line.strip() for line in lines] == [ANY_TAG]:
        return [ANY_TAG]
    return [tag for line in lines for tag in _ENTITY_TAG.findall(line) if tag != ANY_TAG]
