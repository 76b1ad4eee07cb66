"""Every SQL statement of the resource server: connection first, literal text, frozen values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Connection


@dataclass(frozen=True, slots=True)
class Document:
    """A document to serve; ``body`` is None when the caller has it already or asked for no body."""

    etag: str
    size: int
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishedDocument:
    """A document as a publisher sees it: ``size`` in bytes, ``created`` when it is not a new version of an old one."""

    resource: str
    key: str | None
    etag: str
    size: int
    published_at: datetime
    created: bool = False


# The hot statements: one row, by primary key.
DOCUMENT = "SELECT etag, body FROM documents WHERE resource = $1 AND key = $2"
# A body that is not sent is not read either: it lies apart from its row.
DOCUMENT_UNLESS_KNOWN = """
    SELECT etag, octet_length(body) AS size, CASE WHEN $3 AND etag <> ALL ($4::text[]) THEN body END AS body
      FROM documents
     WHERE resource = $1 AND key = $2
"""
# Of one that is too large to be kept, the size alone.
DOCUMENT_UP_TO = """
    SELECT etag, octet_length(body) AS size, CASE WHEN octet_length(body) <= $3 THEN body END AS body
      FROM documents
     WHERE resource = $1 AND key = $2
"""
# Not EXISTS, which looks through the table for the first row that comes: for a name without documents, through all.
RESOURCE_EXISTS = "SELECT (SELECT true FROM documents WHERE resource = $1 ORDER BY key LIMIT 1) IS NOT NULL"

_UPSERT = """
    INSERT INTO documents (resource, key, body, etag) VALUES ($1, $2, $3, $4)
    ON CONFLICT (resource, key) DO UPDATE
       SET body = excluded.body, etag = excluded.etag, published_at = now()
     WHERE $5 AND documents.etag <> ALL ($6::text[])
    RETURNING published_at, xmax = 0 AS created
"""
_REPLACE = """
    UPDATE documents
       SET body = $3, etag = $4, published_at = now()
     WHERE resource = $1 AND key = $2 AND ($5 OR etag = ANY ($6::text[])) AND etag <> ALL ($7::text[])
    RETURNING published_at
"""
MAY_PUBLISH = """
    SELECT bool_and(has_table_privilege('documents', privilege))
      FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
"""
_DOCUMENTS = """
    SELECT resource, nullif(key, '') AS key, etag, octet_length(body) AS size, published_at
      FROM documents
     WHERE $1::text IS NULL OR resource = $1
     ORDER BY resource, documents.key
"""
# From name to name by the primary key: DISTINCT would read every document.
_RESOURCE_NAMES = """
    WITH RECURSIVE names (resource) AS (
        (SELECT resource FROM documents ORDER BY resource LIMIT 1)
        UNION ALL
        SELECT (SELECT d.resource FROM documents d WHERE d.resource > names.resource ORDER BY d.resource LIMIT 1)
          FROM names WHERE names.resource IS NOT NULL
    )
    SELECT resource FROM names WHERE resource IS NOT NULL LIMIT $1
"""


async def document(connection: Connection, resource: str, key: str) -> Document | None:
    """Read a document with its body; ``key`` is empty for the resource's own."""
    row = await connection.fetchrow(DOCUMENT, resource, key)
    return None if row is None else Document(row["etag"], len(row["body"]), row["body"])


async def document_unless_known(
    connection: Connection, resource: str, key: str, *, with_body: bool, known_etags: Sequence[str]
) -> Document | None:
    """Read a document, its body only when ``with_body`` and when its tag is not among ``known_etags``."""
    row = await connection.fetchrow(DOCUMENT_UNLESS_KNOWN, resource, key, with_body, known_etags)
    return None if row is None else Document(row["etag"], row["size"], row["body"])


async def document_up_to(
    connection: Connection, resource: str, key: str, *, max_bytes: int
) -> Document | None:
    """Read a document, its body only when it has at most ``max_bytes``."""
    row = await connection.fetchrow(DOCUMENT_UP_TO, resource, key, max_bytes)
    return None if row is None else Document(row["etag"], row["size"], row["body"])


async def resource_exists(connection: Connection, resource: str) -> bool:
    """Say whether any document lies under ``resource``."""
    exists: bool = await connection.fetchval(RESOURCE_EXISTS, resource)
    return exists


async def upsert_document(
    connection: Connection,
    resource: str,
    key: str,
    body: bytes,
    etag: str,
    *,
    may_replace: bool = True,
    unless: Sequence[str] = (),
) -> PublishedDocument | None:
    """Store a document, in the place of an older version if there is one.

    None, and nothing is changed, when there is one and it must not be replaced, or its tag is among ``unless``.
    Of writers at the same time each sees what the one before it has left.
    """
    row = await connection.fetchrow(_UPSERT, resource, key, body, etag, may_replace, unless)
    if row is None:
        return None
    return PublishedDocument(resource, key or None, etag, len(body), row["published_at"], row["created"])


async def replace_document(
    connection: Connection,
    resource: str,
    key: str,
    body: bytes,
    etag: str,
    *,
    whatever: bool,
    among: Sequence[str],
    unless: Sequence[str],
) -> PublishedDocument | None:
    """Store a document in the place of an older version: of any if ``whatever``, else of one whose tag is ``among``.

    None, and nothing is changed, when there is no such version or its tag is among ``unless``. Of writers at the
    same time each sees what the one before it has left.
    """
    row = await connection.fetchrow(_REPLACE, resource, key, body, etag, whatever, among, unless)
    if row is None:
        return None
    return PublishedDocument(resource, key or None, etag, len(body), row["published_at"])


async def lock_document(connection: Connection, resource: str, key: str) -> str | None:
    """Return the tag of a document, which nobody else changes before the transaction ends; None without one."""
    etag: str | None = await connection.fetchval(
        "SELECT etag FROM documents WHERE resource = $1 AND key = $2 FOR UPDATE", resource, key
    )
    return etag


async def may_publish(connection: Connection) -> bool:
    """Say whether the role of this connection may write documents."""
    may: bool = await connection.fetchval(MAY_PUBLISH)
    return may


async def documents(connection: Connection, resource: str | None) -> list[PublishedDocument]:
    """Read what is published, by name, without the bodies."""
    return [PublishedDocument(**row) for row in await connection.fetch(_DOCUMENTS, resource)]


async def resource_names(connection: Connection, *, limit: int) -> list[str]:
    """Read under which names documents lie, in order, at most ``limit`` of them."""
    return [row["resource"] for row in await connection.fetch(_RESOURCE_NAMES, limit)]


async def delete_document(connection: Connection, resource: str, key: str) -> bool:
    """Delete a document and say whether there was one."""
    deleted = await connection.fetchval(
        "DELETE FROM documents WHERE resource = $1 AND key = $2 RETURNING true", resource, key
    )
    return deleted is not None
