"""If-Match and If-None-Match of a request that changes something (RFC 9110 §13.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from resource_service.errors import MalformedPrecondition

ANY: Final = "*"
# RFC 9110 §8.8.3
_ENTITY_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# Stands for a comma within a tag while a list is split; no octet of a header is decoded to it.
_COMMA: Final = "\uffff"


@dataclass(frozen=True, slots=True)
class EntityTags:
    """What one of the two fields names: ``tags`` without their quotes, or, when ``any_at_all``, whatever there is."""

    tags: tuple[str, ...] = ()
    any_at_all: bool = False

    def include(self, etag: str | None) -> bool:
        """Say whether the state ``etag`` is among them; None is the state of what does not exist."""
        return etag is not None and (self.any_at_all or etag in self.tags)


@dataclass(frozen=True, slots=True)
class Preconditions:
    """In which state of the document a change is wanted; None where a field was not sent."""

    if_match: EntityTags | None = None
    if_none_match: EntityTags | None = None

    @classmethod
    def parse(cls, if_match: Sequence[str], if_none_match: Sequence[str]) -> Self:
        """Read the values of both fields. Raises ``MalformedPrecondition``.

        A field that cannot be read is not passed over: whoever meant to protect a version would overwrite it.
        """
        return cls(
            # §13.1.1: the strong comparison, by which a weak tag equals none.
            _entity_tags(if_match, weak=False) if if_match else None,
            _entity_tags(if_none_match, weak=True) if if_none_match else None,
        )

    def hold(self, etag: str | None) -> bool:
        """Say whether both are true of a document whose tag is ``etag`` (§13.2.2); None: there is no document."""
        if self.if_match is not None and not self.if_match.include(etag):
            return False
        return self.if_none_match is None or not self.if_none_match.include(etag)

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return self.if_match is not None or self.if_none_match is not None


def _entity_tags(values: Sequence[str], *, weak: bool) -> EntityTags:
    # Several lines of a field are one list (§5.3).
    text = ",".join(values)
    if text.strip() == ANY:
        return EntityTags(any_at_all=True)
    members = [member for member in _members(text) if member]
    if not members:
        raise MalformedPrecondition("an empty list")
    found = [_ENTITY_TAG.fullmatch(member) for member in members]
    if not all(found):
        raise MalformedPrecondition("a member that is no entity tag")
    return EntityTags(tuple(match[2] for match in found if match and (weak or match[1] is None)))


def _members(text: str) -> list[str]:
    """Split a list at its commas, but not at those between quotes."""
    parts = text.split('"')
    # Every other part stands between quotes.
    for number in range(1, len(parts), 2):
        parts[number] = parts[number].replace(",", _COMMA)
    return [member.strip(" \t").replace(_COMMA, ",") for member in '"'.join(parts).split(",")]
