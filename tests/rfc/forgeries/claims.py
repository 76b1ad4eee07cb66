"""Claims that are missing, of a wrong type, or meant for somebody else or another time (RFC 9068 §4); truly signed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from tests.rfc.forgeries.forger import Forger, Forgery, Rows, shown, with_claims
from tests.support.tokens import LEFT_OUT, encode

WRONG_TEXTS: Final[tuple[Any, ...]] = (
    *(None, "", 1, 1.5, True, ["x"], {"x": "y"}, "a\0b", "line\nend", "\ud800", LEFT_OUT),
)
WRONG_TIMES: Final[tuple[Any, ...]] = (
    *(None, "", "1900000000", True, [1], {}, -1, 10**12, 10**400, 1e300, LEFT_OUT),
)
WRONG_AUDIENCES: Final[tuple[Any, ...]] = (None, "", 1, True, {}, [], [[]], [None], LEFT_OUT)
WRONG_SCOPES: Final[tuple[Any, ...]] = (
    *("read ", " read", "read  write", "read\twrite", "read\nwrite", 'read "x"', "read\\x", "lire é"),
    *("read\xa0", ["read"], ["read", "write"]),
)
OTHER_AUDIENCES: dict[str, Callable[[str], Any]] = {
    "another resource of this server": lambda aud: aud.rpartition("/")[0] + "/other",
    "the server": lambda aud: aud.rpartition("/")[0],
    "the short name": lambda aud: aud.rpartition("/")[2],
    "ours and a slash": lambda aud: aud + "/",
    "ours and more": lambda aud: aud + "x",
    "ours and a fragment": lambda aud: aud + "#",
    "less than ours": lambda aud: aud[:-1],
    "ours in capitals": str.upper,
    "ours and a space": lambda aud: aud + " ",
    "ours and another in one text": lambda aud: f"{aud} https://other.example",
    "ours by another name of this machine": lambda aud: aud.replace("127.0.0.1", "localhost"),
    "ours over https": lambda aud: aud.replace("http:", "https:"),
    "a star": lambda _aud: "*",
    "only others": lambda _aud: ["https://a.example", "https://b.example"],
}
OTHER_ISSUERS: dict[str, Callable[[str], Any]] = {
    "another": lambda _iss: "https://other.example",
    "ours and a slash": lambda iss: iss + "/",
    "ours and a path": lambda iss: iss + "/x",
    "less than ours": lambda iss: iss[:-1],
    "ours in capitals": str.upper,
    "ours by another name of this machine": lambda iss: iss.replace("127.0.0.1", "localhost"),
    "ours over https": lambda iss: iss.replace("http:", "https:"),
    "ours after a user": lambda iss: iss.replace("//", "//user@"),
}


def rows() -> Rows:
    """Return all of them."""
    yield from _types()
    yield from _audiences()
    yield from _issuers()
    yield from _times()


def _types() -> Rows:
    for name in ("iss", "sub", "client_id", "jti", "scope"):
        for value in WRONG_TEXTS:
            yield f"{name} is {shown(value)}", with_claims(**{name: value}), f"claim {name}"
    for value in WRONG_SCOPES:
        yield f"scope is {shown(value)}", with_claims(scope=value), "claim scope"
    for name in ("exp", "iat", "nbf"):
        for value in WRONG_TIMES:
            if name != "nbf" or value is not LEFT_OUT:
                yield f"{name} is {shown(value)}", with_claims(**{name: value}), f"claim {name}"
        for literal in ("NaN", "Infinity", "-Infinity", "1e999"):
            yield f"{name} is the literal {literal}", _with_literal(name, literal), "claim"


def _with_literal(name: str, literal: str) -> Forgery:
    def forge(forger: Forger) -> str:
        rest = encode(forger.claims(**{name: LEFT_OUT}))
        return forger.texts(payload=rest[:-1] + f',"{name}":{literal}}}'.encode())

    return forge


def _audiences() -> Rows:
    for value in WRONG_AUDIENCES:
        yield f"aud is {shown(value)}", with_claims(aud=value), "claim aud"
    wrong: dict[str, Callable[[str], Any]] = {
        "a number beside ours": lambda aud: [aud, 1],
        "nothing beside ours": lambda aud: [aud, ""],
        "ours one level down": lambda aud: [[aud]],
        "ours as a name": lambda aud: {aud: True},
    }
    for name, change in wrong.items():
        yield f"aud is {name}", _with_audience(change), "claim aud"
    for name, change in OTHER_AUDIENCES.items():
        yield f"aud is {name}", _with_audience(change), "another audience"


def _with_audience(change: Callable[[str], Any]) -> Forgery:
    return lambda forger: forger.es256.token(forger.claims(aud=change(forger.audience)))


def _issuers() -> Rows:
    yield "iss is a list of ours", lambda f: f.es256.token(f.claims(iss=[f.issuer])), "claim iss"
    for name, change in OTHER_ISSUERS.items():
        yield f"iss is {name}", _with_issuer(change), "another issuer"


def _with_issuer(change: Callable[[str], Any]) -> Forgery:
    return lambda forger: forger.es256.token(forger.claims(iss=change(forger.issuer)))


def _times() -> Rows:
    """Times by their distance from now, in seconds; the service forgives 30."""
    yield "expired a moment beyond the leeway", _at(exp=-31, iat=-100), "expired"
    yield "expired long ago", _at(exp=-86_400, iat=-90_000), "expired"
    yield "exp is zero", with_claims(exp=0, iat=0), "expired"
    yield "issued beyond the leeway ahead", _at(iat=35, exp=600), "issued in the future"
    yield "issued far in the future", _at(iat=10**9, exp=10**9 + 600), "issued in the future"
    yield "valid later", _at(nbf=35), "not valid yet"
    yield "valid far in the future", _at(nbf=10**9), "not valid yet"
    yield "expires before it was issued", _at(iat=0, exp=-10), "before it was issued"
    yield "milliseconds for seconds", with_claims(exp=1_900_000_000_000, iat=0), "claim exp"


def _at(**distances: float) -> Forgery:
    return lambda f: f.es256.token(f.claims(**{name: time.time() + away for name, away in distances.items()}))
