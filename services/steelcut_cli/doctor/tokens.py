"""An access token, read aloud: what each part says, and whether a resource server would take it.

Every judgement is the verifier's own (``steelcut.verifier``), asked again with a clock that suits the token when its
times are what is wrong, so that whatever else is wrong is found too. What is not the issuer's word is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from steelcut.errors import InvalidToken, TemporarilyUnavailable
from steelcut.exchange import printable
from steelcut.jose import Malformed, decode_base64url, read_object
from steelcut.jwks import KeySource
from steelcut.trust import TrustedIssuer
from steelcut.verifier import Verifier
from steelcut_cli import output
from steelcut_cli.doctor.findings import Finding, State, failed, not_checked, ok

SIGNATURE: Final = "signature"
FORM: Final = "form"
VERDICT: Final = "verdict"
_MAX_SHOWN: Final = 200

# What each claim says, and where that is specified.
_MEANINGS: Final = {
    "iss": "who issued it (RFC 9068 §2.2)",
    "sub": "whom it is about: with client credentials the client itself (RFC 9068 §2.2)",
    "aud": "the resources that it is for (RFC 9068 §2.2, RFC 8707 §2)",
    "client_id": "the client that asked for it (RFC 9068 §2.2)",
    "scope": "what it lets its bearer do (RFC 9068 §2.2.3)",
    "iat": "when it was issued (RFC 7519 §4.1.6)",
    "nbf": "from when on it counts (RFC 7519 §4.1.5)",
    "exp": "when it ends (RFC 7519 §4.1.4)",
    "jti": "its own id, by which the audit log knows it (RFC 7519 §4.1.7)",
    "cnf": "the key that its bearer must prove to have (RFC 7800)",
    "typ": "what kind of token it is (RFC 9068 §2.1)",
    "alg": "how it is signed; the key decides, not the token (RFC 8725 §3.1)",
    "kid": "which of the issuer's keys has signed it (RFC 7515 §4.1.4)",
}
_HEADER: Final = ("typ", "alg", "kid")
_TIMES: Final = ("iat", "nbf", "exp")
# Which part of the token a refusal of the verifier is about, by the beginning of its reason.
_PLACES: Final = (
    (re.compile(r"claim (\S+)"), "claim {}"),
    (re.compile(r"(typ|alg|kid)\b"), "header {}"),
    (re.compile(r"a header with (\S+)"), "header {}"),
    (re.compile(r"no such key"), "header kid"),
    (re.compile(r"of another issuer"), "claim iss"),
    (re.compile(r"the signature is wrong"), SIGNATURE),
    (re.compile(r"expired|expires before"), "claim exp"),
    (re.compile(r"issued in the future"), "claim iat"),
    (re.compile(r"not valid yet"), "claim nbf"),
    (re.compile(r"for another audience"), "claim aud"),
    (re.compile(r"bound to a key"), "claim cnf"),
)
_ADVICE: Final = {
    SIGNATURE: "It was altered, or somebody else has signed it: trust nothing in it, and find out where it comes from.",
    "header kid": "The key was retired or revoked, or is of another deployment: ask for a new token, of this issuer.",
    "header alg": "It does not come from this issuer as it is.",
    "header typ": "It is no access token: perhaps an ID token. Send the access token.",
    "claim iss": "Ask the issuer that the resource server trusts, or set RESOURCE_ISSUER to the one that is asked.",
    "claim exp": "Ask for a new one. A token that has just been issued ends late enough only where clocks agree.",
    "claim iat": "The clocks differ: `steelcut doctor` compares them.",
    "claim nbf": "The clocks differ, or it is too early.",
    "claim aud": "Ask for a token with resource=RESOURCE, or correct the identifier: `steelcut resources update"
    " --identifier`, RESOURCE_BASE_URL.",
}


@dataclass(frozen=True, slots=True)
class Judge:
    """By what a token is judged; without an issuer nothing vouches for it, without a resource ``aud`` is not judged."""

    issuer: str | None
    jwks_uri: str | None
    resource: str | None
    leeway_seconds: float
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the verifier found wrong, by the part of the token; ``unavailable`` says why it could not look."""

    wrong: Mapping[str, str] = field(default_factory=dict)
    unavailable: str = ""

    @property
    def is_forged(self) -> bool:
        """Whether no key of the issuer vouches for what the token says."""
        return any(place in self.wrong for place in (SIGNATURE, FORM, "claim iss", *_header_places()))


def explain_token(unverified_token: str, judge: Judge) -> Iterator[Finding]:
    """Explain the header, the signature and each claim, and end with what a resource server would answer."""
    try:
        header, claims = _read(unverified_token)
    except Malformed as fault:
        yield failed(FORM, f"It is no JWT: {fault}.", "Give the access token alone, whole and in one line.")
        return
    verdict = _judge(unverified_token, claims, judge)
    if FORM in verdict.wrong:
        yield failed(FORM, f"{_capital(verdict.wrong[FORM])}.", "Nothing is believed of such a token.")
    for name in dict.fromkeys((*_HEADER, *header)):
        yield _part("header", name, header, verdict, judge)
    yield _signature(verdict, judge)
    for name in claims:
        yield _part("claim", name, claims, verdict, judge)
    for place, reason in verdict.wrong.items():
        kind, _, name = place.partition(" ")
        if kind == "claim" and name not in claims:
            yield failed(place, f"{_capital(reason)}.", _advice(place))
    yield _conclusion(verdict, judge)


def _judge(token: str, claims: Mapping[str, Any], judge: Judge) -> _Verdict:
    if judge.issuer is None:
        return _Verdict()
    failures: list[str] = []
    keys = KeySource(judge.issuer, jwks_uri=judge.jwks_uri, report=failures.append)
    wrong: dict[str, str] = {}
    # Times first as they are, then as they would suit the token.
    for clock in (judge.clock, lambda: _moment_of(claims, judge)):
        verifier = Verifier(
            TrustedIssuer(judge.issuer, keys=keys),
            audience=judge.resource or _first_audience(claims),
            leeway_seconds=judge.leeway_seconds,
            cache_size=0,
            clock=clock,
        )
        try:
            verifier.verify(token)
        except InvalidToken as refusal:
            wrong.setdefault(_place(refusal.reason), refusal.reason)
        except TemporarilyUnavailable as refusal:
            return _Verdict(unavailable=failures[0] if failures else refusal.reason)
    return _Verdict(wrong)


def _part(kind: str, name: str, members: Mapping[str, Any], verdict: _Verdict, judge: Judge) -> Finding:
    place = f"{kind} {name}"
    told = _told(name, members, judge)
    reason = verdict.wrong.get(place)
    if reason is not None:
        return failed(place, f"{told} It is refused: {reason}.", _advice(place))
    if judge.issuer is None or verdict.unavailable or (verdict.is_forged and kind == "claim"):
        return not_checked(place, told)
    if name == "aud" and judge.resource is None:
        return not_checked(place, told, "Name the resource to have it compared: --resource.")
    return ok(place, told)


def _told(name: str, members: Mapping[str, Any], judge: Judge) -> str:
    if name not in members:
        return "It is missing."
    value = members[name]
    shown = output.cell(value if isinstance(value, str) else repr(value))[:_MAX_SHOWN]
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        shown = _time(value, judge.clock())
    meaning = _MEANINGS.get(name)
    return f"{shown}: {meaning}." if meaning else f"{shown}."


def _time(value: float, now: float) -> str:
    try:
        moment = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return repr(value)
    apart = output.duration(timedelta(seconds=abs(value - now)))
    return f"{output.moment(moment)}, {f'in {apart}' if value > now else f'{apart} ago'}"


def _signature(verdict: _Verdict, judge: Judge) -> Finding:
    if judge.issuer is None:
        return not_checked(
            SIGNATURE,
            "Which issuer is trusted was not said.",
            "Name it: --issuer, or RESOURCE_ISSUER or AUTH_ISSUER.",
        )
    if verdict.unavailable:
        return not_checked(
            SIGNATURE,
            f"The keys of {judge.issuer} cannot be had: {printable(verdict.unavailable).rstrip('.')}.",
            "`steelcut doctor` looks at the issuer.",
        )
    if SIGNATURE in verdict.wrong:
        return failed(SIGNATURE, f"No key of {judge.issuer} has made it.", _advice(SIGNATURE))
    if verdict.is_forged:
        return not_checked(SIGNATURE, "The verifier stopped before it.")
    return ok(SIGNATURE, f"A key of {judge.issuer} has made it.")


def _conclusion(verdict: _Verdict, judge: Judge) -> Finding:
    if judge.issuer is None or verdict.unavailable:
        return not_checked(VERDICT, "Nothing vouches for what it says: it was only decoded.")
    at = f" at {judge.resource}" if judge.resource else ""
    if verdict.wrong:
        return failed(
            VERDICT, f"It would be refused{at}, with 401 invalid_token: {'; '.join(verdict.wrong.values())}."
        )
    if judge.resource is None:
        return ok(VERDICT, "It is good at the resources in its aud, where its scope is enough.")
    return ok(VERDICT, f"It would be accepted{at}, where its scope is enough.")


def is_refused(findings: list[Finding]) -> bool:
    """Say whether a resource server would refuse the token."""
    return any(finding.state is State.FAILED for finding in findings)


def _read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    segments = token.split(".")
    if len(segments) == 5:
        raise Malformed(
            "it is encrypted, a JWE of five parts, which its issuer and its audience alone can read"
        )
    if len(segments) != 3:
        raise Malformed(f"it has {len(segments)} parts in the place of three")
    header, claims, _ = segments
    return read_object(decode_base64url(header.encode())), read_object(decode_base64url(claims.encode()))


def _moment_of(claims: Mapping[str, Any], judge: Judge) -> float:
    """Return a moment in the token's life: its last second, at which only times that contradict each other fail."""
    ends = claims.get("exp")
    return ends - 1 if isinstance(ends, int | float) and not isinstance(ends, bool) else judge.clock()


def _first_audience(claims: Mapping[str, Any]) -> str:
    audience = claims.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    # Whatever it is: what is wrong with it is found before it is compared.
    return first if isinstance(first, str) and first else "nobody"


def _place(reason: str) -> str:
    for pattern, place in _PLACES:
        found = pattern.match(reason)
        if found is not None:
            return place.format(*found.groups())
    return FORM


def _header_places() -> Iterator[str]:
    return (f"header {name}" for name in (*_HEADER, "crit", "b64", "enc"))


def _advice(place: str) -> str:
    return _ADVICE.get(place, "It does not come from an issuer as RFC 9068 asks.")


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
