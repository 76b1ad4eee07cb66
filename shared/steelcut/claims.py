"""What an access token says, read by the profile of who issued it (RFC 9068 §2.2, RFC 7519 §4.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from steelcut.errors import InvalidToken

if TYPE_CHECKING:
    from steelcut.profiles import TokenProfile

# The end of the year 9999, after which no calendar can show the moment.
MAX_NUMERIC_DATE: Final = 253_402_300_799
# RFC 6749 §3.3
SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
SCOPE: Final = re.compile(rf"{SCOPE_TOKEN.pattern}(?: {SCOPE_TOKEN.pattern})*")
MAX_SHOWN_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Claims:
    """What the issuer says about the bearer of a verified access token (RFC 9068 §2.2).

    The times are seconds since the epoch. ``token_id`` is empty when the issuer gives its tokens none. ``raw`` holds
    every claim of the token as it was signed. All requests with that token share it, so it and the objects in it cannot
    be changed; the lists in it must not be. ``copy.deepcopy(claims.raw)`` is a ``dict`` of your own.
    """

    issuer: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scopes: frozenset[str]
    issued_at: float
    expires_at: float
    token_id: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)


def read_claims(claims: Mapping[str, Any], profile: TokenProfile) -> Claims:
    """Return the claims that ``profile`` requires, each of its right JSON type. Raises ``InvalidToken``."""
    if "cnf" in claims:
        # RFC 7800 §3.1: bound to a key whose possession nothing here can prove.
        raise InvalidToken("bound to a key that a Bearer credential does not prove")
    for name in profile.never:
        if name in claims:
            raise InvalidToken(f"claim {name}, which no access token has")
    for name, values in profile.marks.items():
        if claims.get(name) not in values:
            raise InvalidToken(f"claim {name} {shown(claims.get(name))}")
    return Claims(
        issuer=text(claims, "iss"),
        subject=text(claims, "sub"),
        client_id=text(claims, _first(claims, profile.client_id)),
        audience=_audience(claims),
        scopes=_scopes(claims, profile),
        issued_at=numeric_date(claims, "iat"),
        expires_at=numeric_date(claims, "exp"),
        token_id=_token_id(claims, profile),
        raw=claims,
    )


def text(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim that is a text, not empty and printable. Raises ``InvalidToken``."""
    value = claims.get(name)
    # Not printable: control characters and lone surrogates, on which a log or a header would choke.
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidToken(f"claim {name} {shown(value)}")
    return value


def numeric_date(claims: Mapping[str, Any], name: str) -> float:
    """Return a time (RFC 7519 §2): a JSON number of seconds; ``true`` is none, though Python thinks so."""
    value = claims.get(name)
    # NaN is not within any bounds, and the infinities are without.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMERIC_DATE:
        raise InvalidToken(f"claim {name} {shown(value)}")
    return value


def shown(value: object) -> str:
    """Return ``value`` for the log: short, printable, and only when it is text."""
    if value is None:
        return "is missing"
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}"
    return ascii(value[:MAX_SHOWN_CHARACTERS])


def _first(claims: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of ``names`` that there is, or else the first of all."""
    return next((name for name in names if name in claims), names[0])


def _token_id(claims: Mapping[str, Any], profile: TokenProfile) -> str:
    name = _first(claims, profile.token_id)
    return text(claims, name) if profile.complete or name in claims else ""


def _audience(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """RFC 7519 §4.1.3: one string, or an array of strings."""
    value = claims.get("aud")
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(member, str) and member for member in values):
        raise InvalidToken(f"claim aud {shown(value)}")
    return tuple(values)


def _scopes(claims: Mapping[str, Any], profile: TokenProfile) -> frozenset[str]:
    if profile.complete:
        (name,) = profile.scopes
        value = claims.get(name)
        if not isinstance(value, str) or not SCOPE.fullmatch(value):
            raise InvalidToken(f"claim {name} {shown(value)}")
        return frozenset(value.split(" "))
    found: set[str] = set()
    for name in profile.scopes:
        value = claims.get(name, "")
        values = value.split(" ") if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(member, str) for member in values):
            raise InvalidToken(f"claim {name} {shown(value)}")
        # A role may be called what no scope can be, two scopes with a space between them say: it grants nothing here.
        found.update(member for member in values if SCOPE_TOKEN.fullmatch(member))
    return frozenset(found)
