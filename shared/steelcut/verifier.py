"""Untrusted token in, verified claims out (RFC 9068 §4, RFC 7519 §7.2, RFC 8725 §3).

Nothing that a token says is believed before its issuer's key has vouched for it. What a token may choose is its
issuer among the trusted ones and the ``kid`` of a key among that issuer's, and nothing else: ``jku``, ``x5u``, ``jwk``
and ``x5c`` are not looked at, and the algorithm is the key's own.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from steelcut.claims import Claims, numeric_date, read_claims, shown, text
from steelcut.errors import InvalidToken
from steelcut.jose import MAX_TOKEN_CHARACTERS, Malformed, decode_base64url, read_object
from steelcut.jwk import MAX_KID_CHARACTERS
from steelcut.jwks import KeySource
from steelcut.steps import Steps, run, run_async
from steelcut.trust import Keys, TrustedIssuer

if TYPE_CHECKING:
    from steelcut.exchange import Exchange
    from steelcut.jwk import VerificationKey

DEFAULT_LEEWAY_SECONDS: Final = 30
MAX_LEEWAY_SECONDS: Final = 60
# Each changes what the rest of the token means, and none is understood here: critical extensions (RFC 7515
# §4.1.11), an unencoded payload (RFC 7797), encryption (RFC 7516 §9).
REFUSED_HEADER_MEMBERS: Final = ("crit", "b64", "enc")


@dataclass(frozen=True, slots=True, eq=False)
class _Trust:
    """A trusted issuer, and where its keys are."""

    issuer: TrustedIssuer
    keys: Keys
    audiences: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Verified:
    """A token that was found good, for as long as its issuer's keys are ``known``."""

    claims: Claims
    trust: _Trust
    kid: str
    known: Mapping[str, VerificationKey]
    ends_at: float


class CacheInfo(NamedTuple):
    """How often a token was remembered, and how often not; how many may be, and are."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


class Verifier:
    """Verifies access tokens; knows no framework and no transport, and may be shared by all threads and event loops.

    A token that was found good is remembered by its digest, so that the next request with it costs no
    signature. The memory is bounded, ends with the token's own time and with the keys of its issuer.
    """

    def __init__(  # noqa: PLR0913 - all but the first by name
        self,
        issuers: str | TrustedIssuer | Iterable[str | TrustedIssuer],
        *,
        audience: str | None,
        leeway_seconds: float = DEFAULT_LEEWAY_SECONDS,
        check: Callable[[Claims], bool] | None = None,
        cache_size: int = 10_000,
        unknown_kid_cooldown_seconds: float = 30.0,
        exchange: Exchange | None = None,
        clock: Callable[[], float] = time.time,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Trust ``issuers`` with tokens for ``audience``, the identifier of the resource.

        An ``audience`` of None is for a verifier of many resources: each call names its own. ``leeway_seconds`` is how
        far two clocks may be apart; ``clock`` gives seconds since the epoch. ``cache_size`` is the number of tokens
        remembered, 0 for none. ``exchange`` and ``report`` are as in ``KeySource``.

        ``check`` is asked about the claims at every call, also of a remembered token, since its answer may depend on
        more than the token. Only ``True`` passes. It may raise ``InvalidToken`` with a reason for the log; an error
        that says that a claim is not there or not as expected (``LookupError``, ``TypeError``, ``ValueError``,
        ``AttributeError``) refuses the token, any other one is passed on. It must not block.

        Raises ``ValueError`` when the leeway is not from 0 to ``MAX_LEEWAY_SECONDS``, when there is no issuer, or one
        twice, or one that cannot be an issuer.
        """
        if not 0 <= leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"the leeway must be from 0 to {MAX_LEEWAY_SECONDS} seconds")
        if audience == "":
            raise ValueError("the audience must not be empty")
        if inspect.iscoroutinefunction(check):
            raise ValueError(
                "the check must be an ordinary function: what must be awaited belongs into the route"
            )
        self.audience = audience
        self._trusts: dict[str, _Trust] = {}
        for issuer in _several(issuers):
            keys = issuer.keys or KeySource(
                issuer.issuer,
                jwks_uri=issuer.jwks_uri,
                exchange=exchange,
                unknown_kid_cooldown_seconds=unknown_kid_cooldown_seconds,
                report=report,
            )
            if issuer.issuer in self._trusts:
                raise ValueError(f"the issuer {issuer.issuer} is there twice")
            self._trusts[issuer.issuer] = _Trust(issuer, keys, frozenset(issuer.audiences))
        if not self._trusts:
            raise ValueError("a verifier needs an issuer to trust")
        self._leeway = leeway_seconds
        self._further_check = check
        self._clock = clock
        self._cache_size = cache_size
        self._remembered: OrderedDict[bytes, _Verified] = OrderedDict()
        self._hits = self._misses = 0

    def cache_info(self) -> CacheInfo:
        """Tell how often a token was remembered, as the caches of ``functools`` do."""
        return CacheInfo(self._hits, self._misses, self._cache_size, len(self._remembered))

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuers whose tokens are trusted."""
        return tuple(self._trusts)

    def verify(self, unverified_token: str, *, audience: str | None = None) -> Claims:
        """Return the claims of a token that a trusted issuer meant for ``audience``, by default the verifier's.

        Waits at most a second for keys that are not known yet, and hardly ever for others. Raises ``InvalidToken``,
        whose reason names the check that failed, and ``TemporarilyUnavailable`` when no key of the issuer is known.
        """
        token = _bounded(unverified_token)
        digest = sha256(token).digest()
        verified = self._recall(digest)
        if verified is None:
            verified = run(self._steps(token, digest))
        return self._admit(verified, digest, audience)

    async def verify_async(self, unverified_token: str, *, audience: str | None = None) -> Claims:
        """Return what ``verify`` returns, without blocking, on asyncio or trio."""
        token = _bounded(unverified_token)
        digest = sha256(token).digest()
        verified = self._recall(digest)
        if verified is None:
            verified = await run_async(self._steps(token, digest))
        return self._admit(verified, digest, audience)

    def ready(self) -> bool:
        """Say whether tokens of any trusted issuer can be judged, after trying (briefly) to get keys not known yet."""
        run(self._prepare())
        return any(trust.keys.known for trust in self._trusts.values())

    async def ready_async(self) -> bool:
        """Say what ``ready`` says, without blocking, on asyncio or trio."""
        await run_async(self._prepare())
        return any(trust.keys.known for trust in self._trusts.values())

    def _prepare(self) -> Steps[None]:
        for trust in self._trusts.values():
            yield from trust.keys.steps(None)

    def _recall(self, digest: bytes) -> _Verified | None:
        """Return what is remembered of a token, unless its issuer's keys are to be seen to first."""
        verified = self._remembered.get(digest)
        if verified is None:
            return None
        keys = verified.trust.keys
        if keys.is_due() or keys.known is not verified.known:
            return None
        try:
            self._remembered.move_to_end(digest)
        except KeyError:  # forgotten meanwhile, by another thread
            return None
        self._hits += 1
        return verified

    def _steps(self, token: bytes, digest: bytes) -> Steps[_Verified]:
        self._misses += 1
        remembered = self._remembered.get(digest)
        if remembered is not None:
            yield from remembered.trust.keys.steps(remembered.kid)
            if remembered.trust.keys.known is remembered.known:
                return remembered
            self._remembered.pop(digest, None)
        verified = yield from self._check(token)
        if self._cache_size > 0:
            self._remembered[digest] = verified
            while len(self._remembered) > self._cache_size:
                with contextlib.suppress(KeyError):  # emptied meanwhile, by another thread
                    self._remembered.popitem(last=False)
        return verified

    def _check(self, token: bytes) -> Steps[_Verified]:
        """Verify a token that is not remembered, step by step (RFC 9068 §4)."""
        header, payload, signature = _split(token)
        kid, algorithm, kind = _read_header(_read(header, "header"))
        unverified_claims = _read(payload, "claims")
        trust = self._select(text(unverified_claims, "iss"))
        if kind not in trust.issuer.profile.types:
            raise InvalidToken(f"typ {shown(kind)}")
        yield from trust.keys.steps(kid)
        # Once, so that the key and the set to which it belongs are of one moment.
        known = trust.keys.known
        key = _key(known, kid, algorithm, trust.issuer)
        if not key.verify(token[: len(header) + 1 + len(payload)], _decode(signature, "signature")):
            raise InvalidToken("the signature is wrong", kind="wrong_signature")
        claims = read_claims(unverified_claims, trust.issuer.profile)
        self._check_times(claims)
        return _Verified(claims, trust, kid, known, claims.expires_at + self._leeway)

    def _select(self, unverified_issuer: str) -> _Trust:
        """Choose who is to vouch for a token: it names its issuer itself, whose key alone can confirm that."""
        trust = self._trusts.get(unverified_issuer)
        if trust is None:
            raise InvalidToken(f"of another issuer: {shown(unverified_issuer)}", kind="other_issuer")
        return trust

    def _check_times(self, claims: Claims) -> None:
        """RFC 7519 §4.1.4 to §4.1.6."""
        now = self._clock()
        if now >= claims.expires_at + self._leeway:
            raise InvalidToken("expired", kind="expired_token")
        if claims.issued_at > now + self._leeway:
            raise InvalidToken("issued in the future", kind="future_token")
        if claims.expires_at <= claims.issued_at:
            raise InvalidToken("expires before it was issued")
        if "nbf" in claims.raw and numeric_date(claims.raw, "nbf") > now + self._leeway:
            raise InvalidToken("not valid yet", kind="future_token")

    def _admit(self, verified: _Verified, digest: bytes, audience: str | None) -> Claims:
        """Check what may be otherwise at the next call with the same token."""
        claims = verified.claims
        if self._clock() >= verified.ends_at:
            self._remembered.pop(digest, None)
            raise InvalidToken("expired", kind="expired_token")
        if verified.trust.audiences:
            meant = not verified.trust.audiences.isdisjoint(claims.audience)
        else:
            if audience is None:
                audience = self.audience
            if audience is None:
                raise ValueError("this verifier has no audience of its own: each call must name one")
            meant = audience in claims.audience
        if not meant:
            raise InvalidToken(f"for another audience: {shown(claims.audience[0])}", kind="other_audience")
        if self._further_check is not None:
            _ask(self._further_check, claims)
        return claims


def _several(issuers: str | TrustedIssuer | Iterable[str | TrustedIssuer]) -> Iterator[TrustedIssuer]:
    given = (issuers,) if isinstance(issuers, str | TrustedIssuer) else issuers
    return (TrustedIssuer(issuer) if isinstance(issuer, str) else issuer for issuer in given)


def _ask(check: Callable[[Claims], bool], claims: Claims) -> None:
    try:
        passed = check(claims)
    except (LookupError, TypeError, ValueError, AttributeError) as fault:
        # `claims.raw["tenant"]` of a token without it: the token's fault, and no reason to fail.
        raise InvalidToken(f"the further check met {type(fault).__name__}") from fault
    # Not merely true: a coroutine that nobody awaits is true as well.
    if passed is not True:
        raise InvalidToken("refused by the further check")


def _key(
    known: Mapping[str, VerificationKey], kid: str, algorithm: object, issuer: TrustedIssuer
) -> VerificationKey:
    key = known.get(kid)
    if key is None:
        raise InvalidToken(f"no such key: {shown(kid)}", kind="unknown_key")
    if algorithm != key.algorithm:
        raise InvalidToken(f"alg {shown(algorithm)} with a key for {key.algorithm}")
    if key.algorithm not in issuer.algorithms:
        raise InvalidToken(f"alg {key.algorithm}, which is not trusted of this issuer")
    return key


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


def _read_header(header: Mapping[str, Any]) -> tuple[str, object, str]:
    """Return ``kid``, ``alg`` and ``typ``, all still only what the token claims, ``alg`` of whatever type."""
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "")
    if not isinstance(kind, str):
        raise InvalidToken(f"typ {shown(kind)}")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        raise InvalidToken(f"kid {shown(kid)}")
    for name in REFUSED_HEADER_MEMBERS:
        if name in header:
            raise InvalidToken(f"a header with {name}")
    return kid, algorithm, kind.lower()
