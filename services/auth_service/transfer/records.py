"""Clients and resources as they move: neutral values between a source and the database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auth_service.administration.errors import Invalid
from auth_service.administration.limits import (
    MAX_NAME_CHARACTERS,
    check_label,
    check_lifetime,
    check_metadata,
    check_name,
)
from auth_service.client_authentication import CLIENT_ID
from auth_service.client_secrets import IMPORTED_PREFIX
from auth_service.foreign_hashes import UnusableHash, recognised

CLIENT_CREDENTIALS = "client_credentials"
# More than any client id may have.
_SHOWN_CHARACTERS = 256


class Refused(Exception):
    """One client of a source is not taken; the message is a clause that says why."""


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """A resource with its scopes, both sets in order."""

    name: str
    identifier: str
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...] = ()
    token_lifetime_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret as its hash."""

    secret_id: str
    hash: str = field(repr=False)
    label: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A client with all that belongs to it. ``grants`` maps names of resources to scopes, in order."""

    client_id: str
    name: str
    grants: Mapping[str, tuple[str, ...]]
    secrets: tuple[SecretRecord, ...] = ()
    default_resource: str | None = None
    token_lifetime_seconds: int | None = None
    enabled: bool = True
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    grant_types: tuple[str, ...] = (CLIENT_CREDENTIALS,)


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one client of a source.

    ``place`` says where it stands there. Without a ``client`` it is refused, and ``notes`` say why; with one, they
    say what is not as it was in the source.
    """

    place: str
    client_id: str
    client: ClientRecord | None
    notes: tuple[str, ...] = ()


def item(place: str, client_id: object, make: Callable[[list[str]], ClientRecord]) -> Item:
    """Let ``make`` build the record, with a list for its notes, and refuse the client when it cannot be one."""
    notes: list[str] = []
    # Half a surrogate pair is a text in JSON and none on a terminal.
    shown = (
        client_id[:_SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
        if isinstance(client_id, str)
        else ""
    )
    try:
        record = make(notes)
        _check(record)
    except (Refused, UnusableHash) as reason:
        return Item(place, shown, None, (str(reason),))
    except Invalid as reason:
        return Item(place, shown, None, (clause(str(reason)),))
    return Item(place, shown, record, tuple(notes))


def first_of_each(items: Iterable[Item], why: str = "") -> list[Item]:
    """Refuse every later client of the same id; ``why`` ends the reason."""
    first: dict[str, str] = {}
    kept = []
    for one in items:
        earlier = first.setdefault(one.client_id, one.place) if one.client_id else one.place
        reason = f"{earlier} has the same client id{why}"
        kept.append(one if earlier == one.place else Item(one.place, one.client_id, None, (reason,)))
    return kept


def text(value: object, name: str) -> str:
    """Return ``value`` if it is a text that is not empty. Raises ``Refused``."""
    if value is None or value == "":
        raise Refused(f"{name} is missing")
    if not isinstance(value, str):
        raise Refused(f"{name} is no text")
    return value


def imported_secret(stored: object, label: str, notes: list[str]) -> SecretRecord:
    """Return the secret of a foreign hash. Raises ``Refused`` or ``UnusableHash``."""
    given = text(stored, "the secret")
    hashed = recognised(given)
    if hashed != given:
        notes.append("the hash is written in another notation, of the same bits")
    # The same each time, and of no use to anybody: what it is made of is a salted hash.
    tail = hashlib.sha256(hashed.encode()).hexdigest()[:12]
    return SecretRecord(f"{IMPORTED_PREFIX}{tail}", hashed, label)


def tidy_name(value: object, client_id: str, notes: list[str]) -> str:
    """Return a name that may be shown on a terminal: the source's, or else the client's id."""
    name = value if isinstance(value, str) and value.strip() else client_id
    printable = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name
    )
    if len(printable) > MAX_NAME_CHARACTERS or printable != name:
        notes.append(f"the name is cut to {MAX_NAME_CHARACTERS} printable characters")
    return printable[:MAX_NAME_CHARACTERS]


def in_order(values: Iterable[str]) -> tuple[str, ...]:
    """Return ``values`` without repetitions, sorted: a set that can be compared and written."""
    return tuple(sorted(set(values)))


def clause(sentence: str) -> str:
    """Return a sentence as a part of a longer one."""
    return f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")


def listed(words: Sequence[str]) -> str:
    """Return words as they stand in a sentence."""
    return ", ".join(words)


def _check(record: ClientRecord) -> None:
    if CLIENT_ID.fullmatch(record.client_id) is None or record.client_id != record.client_id.strip():
        raise Refused("a client id is 1 to 255 printable ASCII characters, with no space at its ends")
    check_name(record.name, "A client name")
    check_lifetime(record.token_lifetime_seconds)
    check_metadata(record.metadata)
    for secret in record.secrets:
        check_label(secret.label)
