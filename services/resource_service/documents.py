"""The protected JSON: published as bytes, kept as bytes, served as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import orjson

from resource_service import queries
from resource_service.errors import DocumentError, NotFound, NotJSON, PreconditionFailed
from resource_service.names import check_key, check_resource_name
from resource_service.preconditions import EntityTags, Preconditions

if TYPE_CHECKING:
    from resource_service.queries import Document, PublishedDocument
    from steelcut.service.database.postgres import Connection

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
# 128 bits of SHA-256: as good as unique, and short in every header.
ETAG_CHARACTERS: Final = 32
# The key of the document that is the resource itself.
OWN_DOCUMENT: Final = ""
UNCONDITIONAL: Final = Preconditions()


async def read(
    connection: Connection,
    resource: str,
    key: str | None = None,
    *,
    with_body: bool = True,
    known_etags: Sequence[str] = (),
) -> Document:
    """Return a document by one query; without its body when its tag is known. Raises ``NotFound``."""
    name = key or OWN_DOCUMENT
    if with_body and not known_etags:
        found = await queries.document(connection, resource, name)
    else:
        found = await queries.document_unless_known(
            connection, resource, name, with_body=with_body, known_etags=known_etags
        )
    if found is None:
        raise NotFound("no such document")
    return found


async def publish(
    connection: Connection,
    resource: str,
    key: str | None,
    body: bytes,
    preconditions: Preconditions = UNCONDITIONAL,
) -> PublishedDocument:
    """Publish ``body`` as the document of ``resource``, or as its document ``key``; replaces an older one.

    Every replica serves it as soon as it hears of it. Raises ``DocumentError`` when the name or the bytes
    cannot be taken, and ``PreconditionFailed`` when the document is in another state than ``preconditions`` ask for;
    the one statement that writes decides that.
    """
    check_resource_name(resource)
    name = OWN_DOCUMENT if key is None else check_key(key)
    check_json(body)
    etag = hashlib.sha256(body).hexdigest()[:ETAG_CHARACTERS]
    match, none_match = preconditions.if_match, preconditions.if_none_match or EntityTags()
    if match is None:
        published = await queries.upsert_document(
            *(connection, resource, name, body, etag),
            may_replace=not none_match.any_at_all,
            unless=none_match.tags,
        )
    elif none_match.any_at_all:
        # A document that exists and does not.
        published = None
    else:
        published = await queries.replace_document(
            *(connection, resource, name, body, etag),
            whatever=match.any_at_all,
            among=match.tags,
            unless=none_match.tags,
        )
    if published is None:
        raise PreconditionFailed("the document is in another state")
    return published


async def list_documents(connection: Connection, resource: str | None = None) -> list[PublishedDocument]:
    """Return what is published, everywhere or under ``resource``."""
    return await queries.documents(connection, resource)


async def delete_document(
    connection: Connection,
    resource: str,
    key: str | None = None,
    preconditions: Preconditions = UNCONDITIONAL,
) -> bool:
    """Delete a document and say whether there was one.

    Raises ``PreconditionFailed`` when there is one in another state than ``preconditions`` ask for.
    """
    name = OWN_DOCUMENT if key is None else key
    async with connection.transaction():
        etag = await queries.lock_document(connection, resource, name)
        if etag is None:
            # Not to be deleted after all: the next statement would see one that was put meanwhile, and nobody judged.
            return False
        if not preconditions.hold(etag):
            raise PreconditionFailed("the document is in another state")
        return await queries.delete_document(connection, resource, name)


async def current_etag(connection: Connection, resource: str, key: str | None) -> str | None:
    """Return the tag of a document as it is now, None when there is none."""
    found = await queries.document_unless_known(
        connection, resource, key or OWN_DOCUMENT, with_body=False, known_etags=()
    )
    return None if found is None else found.etag


def check_json(body: bytes) -> None:
    """Accept one JSON text in UTF-8 without a byte order mark (RFC 8259 §8.1).

    Also refused, as RFC 8259 §9 allows: more than ``MAX_DOCUMENT_BYTES``, nesting beyond 1,024 levels, numbers
    that no double holds and text that is not Unicode, all of which some reader would stumble over.
    Raises ``NotJSON`` with the place, or ``DocumentError``.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"A document may have {MAX_DOCUMENT_BYTES} bytes; this one has {len(body)}.")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise NotJSON("a byte that is not UTF-8", line, column) from None
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotJSON(error.msg, error.lineno, error.colno) from None
