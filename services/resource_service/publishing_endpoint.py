"""``PUT`` and ``DELETE /{resource}`` and ``/{resource}/{key}``: a document is created, replaced or deleted.

Nothing of the content is read before the caller is known to be allowed to send it and all that its head says of it
can be taken; so ``Expect: 100-continue`` spares whoever is refused the upload (RFC 9110 §10.1.1).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from resource_service import documents
from resource_service.errors import (
    ContentTooSlow,
    DocumentTooLarge,
    MalformedDocument,
    NotFound,
    NotJSON,
    PartialContent,
    PreconditionFailed,
    UnsupportedCoding,
    UnsupportedType,
)
from resource_service.preconditions import Preconditions
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.http.headers import values

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from resource_service.state import Process
    from steelcut.service.database.postgres import Connection, Database

METHODS: Final = ("PUT", "DELETE")
WRITE_SCOPE: Final = "write"
_NEEDED: Final = (WRITE_SCOPE,)
# Not `+json`: the document is served as application/json, and what it was said to be would be lost. UTF-8 is what
# JSON is, said or not (RFC 8259 §8.1); other parameters mean nothing to this type and are passed over (§11).
_JSON: Final = re.compile(r"application/json[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_CHARSET: Final = re.compile(r";[ \t]*charset[ \t]*=[ \t]*([^;]*)", re.IGNORECASE)
_UTF_8: Final = frozenset({"utf-8", '"utf-8"'})


async def handle(scope: Scope, receive: Receive, send: Send, *, else_allowed: Sequence[str]) -> None:
    """Change one document, in this order: method, guard, head, preconditions, content, database, answer.

    ``else_allowed`` are the methods that the path takes besides these.
    """
    process: Process = scope["app"].state.process
    publisher = process.publisher
    if publisher is None or scope["method"] not in METHODS:
        allowed = else_allowed if publisher is None else (*else_allowed, *METHODS)
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
    resource = scope["path_params"]["resource"]
    claims = await process.guard(resource).admit(values(scope, b"authorization"), _NEEDED)
    scope["log"]["client_id"] = claims.client_id
    if scope["method"] == "PUT":
        await _put(process, publisher, scope, receive, send)
    else:
        await _delete(process, publisher, scope, send)


async def _put(process: Process, publisher: Database, scope: Scope, receive: Receive, send: Send) -> None:
    """RFC 9110 §9.3.4."""
    resource, key = scope["path_params"]["resource"], scope["path_params"]["key"]
    settings = process.settings
    check_content_fields(scope, settings.max_document_bytes)
    preconditions = _preconditions(scope)
    if preconditions:
        # The statement that writes decides; this one spares the upload of what is too late already.
        async with process.database.connection() as connection:
            if not preconditions.hold(await documents.current_etag(connection, resource, key)):
                raise PreconditionFailed("the document is in another state, seen before the content")
    if process.uploads.locked():
        raise TemporarilyUnavailable("as many documents as this process takes at once are on their way")
    async with process.uploads:
        body = await read_content(receive, settings.max_document_bytes, settings.upload_seconds)
        try:
            async with _writing(publisher) as connection:
                document = await documents.publish(connection, resource, key, body, preconditions)
                # Whoever wrote here reads it here, before the notification comes.
                process.documents.forget(resource, key or documents.OWN_DOCUMENT)
        except NotJSON as mistake:
            raise MalformedDocument(mistake) from None
    scope["log"].update(change="created" if document.created else "replaced", etag=document.etag)
    headers = [(b"etag", b'"%s"' % document.etag.encode())]
    if document.created:
        path = resource if key is None else f"{resource}/{key}"
        headers += [(b"location", settings.identifier(path).encode()), (b"content-length", b"0")]
    await _answer(send, 201 if document.created else 204, headers)


async def _delete(process: Process, publisher: Database, scope: Scope, send: Send) -> None:
    """RFC 9110 §9.3.5."""
    resource, key = scope["path_params"]["resource"], scope["path_params"]["key"]
    preconditions = _preconditions(scope)
    async with _writing(publisher) as connection:
        if not await documents.delete_document(connection, resource, key, preconditions):
            # §13.2.1: what would not succeed without preconditions does not fail by them.
            raise NotFound("no such document")
    process.documents.forget(resource, key or documents.OWN_DOCUMENT)
    scope["log"]["change"] = "deleted"
    await _answer(send, 204, [])


def check_content_fields(scope: Scope, max_bytes: int) -> None:
    """Refuse by the head of a request what its content could not be taken for.

    Raises ``PartialContent``, ``UnsupportedCoding``, ``UnsupportedType``, or ``DocumentTooLarge``.
    """
    # RFC 9110 §14.5: a part must not be taken for the whole.
    if values(scope, b"content-range"):
        raise PartialContent("Content-Range in a PUT")
    codings = ",".join(values(scope, b"content-encoding"))
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings.split(",")):
        raise UnsupportedCoding("another Content-Encoding than identity")
    types = values(scope, b"content-type")
    if len(types) != 1 or not _JSON.fullmatch(types[0].strip()):
        raise UnsupportedType("not one Content-Type of application/json")
    if any(charset.strip().lower() not in _UTF_8 for charset in _CHARSET.findall(types[0])):
        raise UnsupportedType("another charset than UTF-8")
    # The parser of HTTP has let pass at most one, of digits alone.
    if any(int(length) > max_bytes for length in values(scope, b"content-length")):
        raise DocumentTooLarge("by its Content-Length")


async def read_content(receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """Return the content of a request.

    Raises ``DocumentTooLarge`` at the first byte beyond ``max_bytes``, ``ContentTooSlow`` when it has not come
    within ``seconds``, and ``ClientDisconnect`` when the caller goes away before its end.
    """
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                content += message.get("body", b"")
                if len(content) > max_bytes:
                    raise DocumentTooLarge("while it was read")
                if not message.get("more_body", False):
                    return bytes(content)
    except TimeoutError:
        raise ContentTooSlow(f"not all of the content within {seconds:g} seconds") from None


def _preconditions(scope: Scope) -> Preconditions:
    return Preconditions.parse(values(scope, b"if-match"), values(scope, b"if-none-match"))


@asynccontextmanager
async def _writing(publisher: Database) -> AsyncIterator[Connection]:
    """Lend a connection of the publisher; whatever keeps the database from writing is an outage.

    Say, rights that were taken, or a standby server that only reads.
    """
    try:
        async with publisher.connection() as connection:
            yield connection
    except asyncpg.PostgresError as fault:
        raise TemporarilyUnavailable(f"database: {type(fault).__name__}") from fault


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
