"""Entity tags against lost updates: ``"7"`` is version 7 of an object (RFC 9110 §8.8.3 and §13.1.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from auth_service.admin.problems import Changed, MalformedRequest, PreconditionNeeded

_TAG: Final = re.compile(r'"([1-9][0-9]{0,17})"')
_OPAQUE_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def entity_tag(version: int) -> str:
    """Return the tag of a version."""
    return f'"{version}"'


def expected_version(if_match: Sequence[str], *, required: bool = False) -> int | None:
    """Return the version that the values of If-Match ask for, None where any will do.

    Raises ``PreconditionNeeded`` when there are none and one is ``required``, ``Changed`` for a tag that no version
    can have, ``MalformedRequest`` for what is no tag, or more than one.
    """
    if not if_match:
        if required:
            raise PreconditionNeeded(
                "Send If-Match with the ETag of what you read, so that no change is lost."
            )
        return None
    value = if_match[0].strip()
    if len(if_match) == 1 and value == "*":
        return None
    if len(if_match) > 1 or _OPAQUE_TAG.fullmatch(value) is None:
        raise MalformedRequest('Send one entity tag in If-Match, in quotes as in the ETag: "7".')
    tag = _TAG.fullmatch(value)
    if tag is None:
        raise Changed("No version has this entity tag: read it again, and send the ETag as it came.")
    return int(tag[1])
