"""Untrusted token in, verified claims out (RFC 9068 §4, RFC 7519 §7.2, RFC 8725 §3).

Nothing that a token says is believed before the issuer's key has vouched for it. What a token may choose is
the ``kid`` by which a key is looked up among those already trusted, and nothing else: ``jku``, ``x5u``,
``jwk`` and ``x5c`` are not looked at, and the algorithm is the key's own.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from steelcut.errors import InvalidToken
from steelcut.jose import Malformed, decode_base64url, read_object
from steelcut.jwk import MAX_KID_CHARACTERS, VerificationKey

MAX_TOKEN_CHARACTERS: Final = 8192
MAX_LEEWAY_SECONDS: Final = 60
# RFC 9068 §2.1; media types are compared without case (RFC 7515 §4.1.9).
ACCEPTED_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
# Each changes what the rest of the token means, and none is understood here: critical extensions (RFC 7515
# §4.1.11), an unencoded payload (RFC 7797), encryption (RFC 7516 §9).
REFUSED_HEADER_MEMBERS: Final = ("crit", "b64", "enc")
# The end of the year 9999, after which no calendar can show the moment.
MAX_NUMERIC_DATE: Final = 253_402_300_799
# RFC 6749 §3.3
SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
MAX_SHOWN_CHARACTERS: Final = 40


class Keys(Protocol):
    """Where the verifier finds the keys that it trusts; ``steelcut.jwks.KeySource`` is one."""

    generation: int

    def is_due(self) -> bool:
        """Say whether ``refresh_if_due`` has anything to do."""

    async def refresh_if_due(self) -> bool:
        """Bring old keys up to date."""

    async def key(self, kid: str) -> VerificationKey | None:
        """Return the key of that name, or None."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the issuer says about the bearer of a verified access token (RFC 9068 §2.2).

    The times are seconds since the epoch. ``raw`` holds every claim of the token as it was signed.
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


class Verifier:
    """Verifies the access tokens of one issuer.

    A token that was found good is remembered by its digest, so that the next request with it costs no
    signature. The memory is bounded, ends with the token's own time and is dropped when the issuer's keys
    change.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        issuer: str,
        leeway_seconds: float = 30,
        clock: Callable[[], float] = time.time,
        cache_size: int = 10_000,
    ) -> None:
        """Trust the tokens that ``issuer`` signed with one of ``keys``.

        ``leeway_seconds`` is how far the two clocks may be apart; ``clock`` gives seconds since the epoch;
        ``cache_size`` is the number of tokens remembered, 0 for none.
        Raises ``ValueError`` when the leeway is not from 0 to ``MAX_LEEWAY_SECONDS``.
        """
        if not 0 <= leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"the leeway must be from 0 to {MAX_LEEWAY_SECONDS} seconds")
        self._keys = keys
        self._issuer = issuer
        self._leeway = leeway_seconds
        self._clock = clock
        self._cache_size = cache_size
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()
        self._generation = keys.generation

    async def verify(self, unverified_token: str, *, audience: str) -> Claims:
        """Return the claims of a token that the issuer meant for ``audience``.

        Raises ``InvalidToken``, whose reason names the check that failed, and ``TemporarilyUnavailable`` when
        no key of the issuer is known.
        """
        token = _bounded(unverified_token)
        digest = sha256(token).digest()
        if self._keys.is_due():
            await self._keys.refresh_if_due()
        if self._generation != self._keys.generation:
            self._forget()
        claims = self._verified.get(digest)
        if claims is None:
            claims = await self._check(token)
            self._remember(digest, claims)
        elif self._clock() >= claims.expires_at + self._leeway:
            del self._verified[digest]
            raise InvalidToken("expired")
        else:
            self._verified.move_to_end(digest)
        if audience not in claims.audience:
            raise InvalidToken(f"for another audience: {_shown(claims.audience[0])}")
        return claims

    async def _check(self, token: bytes) -> Claims:
        """Verify a token that is not remembered, step by step (RFC 9068 §4)."""
        header, payload, signature = _split(token)
        kid, algorithm = _read_header(header)
        key = await self._keys.key(kid)
        if key is None:
            raise InvalidToken(f"no such key: {_shown(kid)}")
        if algorithm != key.algorithm:
            raise InvalidToken(f"alg {_shown(algorithm)} with a key for {key.algorithm}")
        if not key.verify(token[: len(header) + 1 + len(payload)], _decode(signature, "signature")):
            raise InvalidToken("the signature is wrong")
        claims = _read_claims(_read(payload, "claims"))
        if claims.issuer != self._issuer:
            raise InvalidToken(f"of another issuer: {_shown(claims.issuer)}")
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Claims) -> None:
        """RFC 7519 §4.1.4 to §4.1.6."""
        now = self._clock()
        if now >= claims.expires_at + self._leeway:
            raise InvalidToken("expired")
        if claims.issued_at > now + self._leeway:
            raise InvalidToken("issued in the future")
        if claims.expires_at <= claims.issued_at:
            raise InvalidToken("expires before it was issued")
        if "nbf" in claims.raw and _numeric_date(claims.raw, "nbf") > now + self._leeway:
            raise InvalidToken("not valid yet")

    def _remember(self, digest: bytes, claims: Claims) -> None:
        # Waiting for a key may have let another generation in, which the next request will notice.
        if self._generation != self._keys.generation:
            return
        if self._cache_size > 0:
            self._verified[digest] = claims
            if len(self._verified) > self._cache_size:
                self._verified.popitem(last=False)

    def _forget(self) -> None:
        self._verified.clear()
        self._generation = self._keys.generation


def _bounded(unverified_token: str) -> bytes:
    if len(unverified_token) > MAX_TOKEN_CHARACTERS:
        raise InvalidToken(f"longer than {MAX_TOKEN_CHARACTERS} characters")
    try:
        return unverified_token.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidToken("not ASCII") from None


def _split(token: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the three segments of the compact serialisation (RFC 7515 §3.1), the only one accepted."""
    segments = token.split(b".")
    if len(segments) != 3:
        encrypted = " (a JWE has five)" if len(segments) == 5 else ""
        raise InvalidToken(f"{len(segments)} segments instead of three{encrypted}")
    header, payload, signature = segments
    return header, payload, signature


def _decode(segment: bytes, what: str) -> bytes:
    try:
        return decode_base64url(segment)
    except Malformed as fault:
        raise InvalidToken(f"{what}: {fault}") from None


def _read(segment: bytes, what: str) -> dict[str, Any]:
    try:
        return read_object(_decode(segment, what))
    except Malformed as fault:
        raise InvalidToken(f"{what}: {fault}") from None


def _read_header(segment: bytes) -> tuple[str, object]:
    """Return ``kid`` and ``alg``, both still only what the token claims, ``alg`` of whatever type."""
    header = _read(segment, "header")
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in ACCEPTED_TYPES:
        raise InvalidToken(f"typ {_shown(kind)}")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        raise InvalidToken(f"kid {_shown(kid)}")
    for name in REFUSED_HEADER_MEMBERS:
        if name in header:
            raise InvalidToken(f"a header with {name}")
    return kid, algorithm


def _read_claims(claims: Mapping[str, Any]) -> Claims:
    """Return the claims that RFC 9068 §2.2 requires, each of its right JSON type."""
    if "cnf" in claims:
        # RFC 7800 §3.1: bound to a key whose possession nothing here can prove.
        raise InvalidToken("bound to a key that a Bearer credential does not prove")
    return Claims(
        issuer=_text(claims, "iss"),
        subject=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        audience=_audience(claims),
        scopes=_scopes(claims),
        issued_at=_numeric_date(claims, "iat"),
        expires_at=_numeric_date(claims, "exp"),
        token_id=_text(claims, "jti"),
        raw=claims,
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    # Not printable: control characters and lone surrogates, on which a log or a header would choke.
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidToken(f"claim {name} {_shown(value)}")
    return value


def _audience(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """RFC 7519 §4.1.3: one string, or an array of strings."""
    value = claims.get("aud")
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(member, str) and member for member in values):
        raise InvalidToken(f"claim aud {_shown(value)}")
    return tuple(values)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    value = claims.get("scope")
    if not isinstance(value, str) or not SCOPE.fullmatch(value):
        raise InvalidToken(f"claim scope {_shown(value)}")
    return frozenset(value.split(" "))


def _numeric_date(claims: Mapping[str, Any], name: str) -> float:
    """RFC 7519 §2: a JSON number of seconds; ``true`` is none, though Python thinks so."""
    value = claims.get(name)
    # NaN is not within any bounds, and the infinities are without.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMERIC_DATE:
        raise InvalidToken(f"claim {name} {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return ``value`` for the log: short, printable, and only when it is text."""
    if value is None:
        return "is missing"
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}"
    return ascii(value[:MAX_SHOWN_CHARACTERS])
