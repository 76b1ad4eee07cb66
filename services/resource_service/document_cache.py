"""Documents ready to be sent: bounded in bytes and age, forgotten when they change, read once for all who wait.

What a cache must not do here is to serve an old version for longer than it takes to hear of a new one. Every change is
announced by the database at its commit (``NOTIFY``); whoever writes through this process has his change seen at once;
and ``max_age_seconds`` bounds what is lost while nobody listens. Only while the database is away, and for
``stale_seconds`` at most, is a document served that may have changed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from resource_service import documents, queries
from resource_service.errors import NotFound
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.aged_cache import AgedCache
from steelcut.service.database.postgres import PATIENCE_SECONDS, REQUEST_SECONDS
from steelcut.service.telemetry.counting import Durations

if TYPE_CHECKING:
    from steelcut.service.database.postgres import Database

# One document takes at most this part of the whole: it should not push out all others.
LARGEST_SHARE: Final = 8
# What a document costs beside its body, roughly: names, headers, the cache's own entries.
OVERHEAD_BYTES: Final = 1024
# `private, no-cache`: whoever keeps the document asks again with its tag, and shares it with nobody. `Vary` says
# the same to a cache that does not listen.
_ALWAYS: Final = ((b"cache-control", b"private, no-cache"), (b"vary", b"Authorization"))
_CONTENT_TYPE: Final = (b"content-type", b"application/json")

Fields = tuple[tuple[bytes, bytes], ...]
# The names of a resource and of one of its documents, which is empty for its own.
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ReadyDocument:
    """A document with the header fields of its answers; ``body`` is None when it was not read."""

    etag: str
    # As the header fields have it.
    quoted_etag: bytes
    body: bytes | None = field(repr=False)
    # Of 200, and of 304 (RFC 9110 §15.4.5).
    fields: Fields
    fields_if_unchanged: Fields

    @classmethod
    def of(cls, document: queries.Document) -> ReadyDocument:
        """Make the answers of a document that was read."""
        quoted_etag = b'"%s"' % document.etag.encode()
        unchanged = ((b"etag", quoted_etag), *_ALWAYS)
        whole = (*unchanged, _CONTENT_TYPE, (b"content-length", b"%d" % document.size))
        return cls(document.etag, quoted_etag, document.body, whole, unchanged)


class DocumentCache:
    """The documents that are asked for, up to ``max_bytes`` of them, each for up to ``max_age_seconds``.

    Where either is 0 every request reads the database.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_bytes: int,
        max_age_seconds: float,
        stale_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        """Read from ``database``; ``monotonic`` is the clock of the ages, in seconds."""
        self._database = database
        self._largest = max_bytes // LARGEST_SHARE - OVERHEAD_BYTES if max_age_seconds else -1
        self._ready: AgedCache[Name, ReadyDocument] = AgedCache(
            max_bytes,
            fresh_seconds=max_age_seconds,
            stale_seconds=stale_seconds,
            monotonic=monotonic,
            getsizeof=_size,
        )
        self._reading: dict[Name, asyncio.Task[ReadyDocument]] = {}
        # Of each statement that read a document.
        self.read_seconds = Durations()
        # Answers by what was last known.
        self.stale_answers = 0

    @property
    def documents(self) -> AgedCache[Name, ReadyDocument]:
        """The cache, for whoever counts."""
        return self._ready

    def ready(self, resource: str, key: str) -> ReadyDocument | None:
        """Return the document if it was read recently: no await, no query."""
        return self._ready.fresh((resource, key))

    async def read(
        self, resource: str, key: str, *, with_body: bool, known_etags: Sequence[str]
    ) -> tuple[ReadyDocument, bool]:
        """Read the document by one query, or with those who read it already.

        Its body is there when ``with_body`` and its tag is not among ``known_etags``. Said with it is whether it is the
        one that was last known, because the database is away or too slow. Raises ``NotFound``, and
        ``TemporarilyUnavailable`` when the database does not answer and nothing is known.
        """
        if self._largest < 0:
            return await self._read(resource, key, with_body=with_body, known_etags=known_etags), False
        name = (resource, key)
        known = self._ready.known(name)
        if known is not None and self._database.is_away():
            self.stale_answers += 1
            return known, True
        try:
            async with asyncio.timeout(None if known is None else PATIENCE_SECONDS):
                document = await self._with_others(name)
        except (TimeoutError, TemporarilyUnavailable):
            if known is None:
                raise
            self._database.note_away()
            self.stale_answers += 1
            return known, True
        if document.body is None and with_body and document.etag not in known_etags:
            # Too large to be kept, and so to be waited for together.
            return await self._read(resource, key, with_body=True, known_etags=()), False
        return document, False

    def forget(self, resource: str, key: str) -> None:
        """Read this document again at its next request: it was changed."""
        self._ready.forget((resource, key))
        # Whoever asks from now on must not get what is being read: it may be from before the change.
        self._reading.pop((resource, key), None)

    def missed(self) -> None:
        """Read every document again as soon as that can be: a notification may be missing."""
        self._ready.doubt_all()
        self._reading.clear()

    async def _with_others(self, name: Name) -> ReadyDocument:
        task = self._reading.get(name)
        if task is None:
            task = self._reading[name] = asyncio.create_task(self._read_to_keep(name))
            task.add_done_callback(lambda done: self._landed(name, done))
        # Shielded: a caller who goes away takes nothing from the others.
        return await asyncio.shield(task)

    async def _read_to_keep(self, name: Name) -> ReadyDocument:
        with self.read_seconds.timing():
            async with self._database.connection(within=REQUEST_SECONDS) as connection:
                found = await queries.document_up_to(connection, *name, max_bytes=self._largest)
        if found is None:
            raise NotFound("no such document")
        return ReadyDocument.of(found)

    def _landed(self, name: Name, done: asyncio.Task[ReadyDocument]) -> None:
        fault = asyncio.CancelledError() if done.cancelled() else done.exception()
        if self._reading.get(name) is not done:
            # A change was heard of meanwhile.
            return
        del self._reading[name]
        if isinstance(fault, NotFound):
            self._ready.forget(name)
        # Only what exists: a flood of invented names cannot push real documents out.
        elif fault is None and done.result().body is not None:
            self._ready.put(name, done.result())

    async def _read(
        self, resource: str, key: str, *, with_body: bool, known_etags: Sequence[str]
    ) -> ReadyDocument:
        with self.read_seconds.timing():
            async with self._database.connection(within=REQUEST_SECONDS) as connection:
                found = await documents.read(
                    connection, resource, key, with_body=with_body, known_etags=known_etags
                )
        return ReadyDocument.of(found)


def _size(document: ReadyDocument) -> int:
    return OVERHEAD_BYTES + len(document.body or b"")
