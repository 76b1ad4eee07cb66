"""Texts that are not three segments of canonical base64url, or too many of them (RFC 7515 §2, §3.1)."""

from __future__ import annotations

import string
from typing import Any, Final

from tests.rfc.forgeries.forger import Forger, Forgery, Rows, with_claims
from tests.support.tokens import base64url, encode

ALPHABET: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def rows() -> Rows:
    """Return all of them."""
    yield from _numbers()
    yield from _spellings()
    yield from _sizes()


def _numbers() -> Rows:
    yield "one segment", lambda f: f.good().replace(".", ""), "1 segments"
    yield "two segments", lambda f: f.good().rpartition(".")[0], "2 segments"
    yield "four segments", lambda f: f.good() + ".AAAA", "4 segments"
    yield "a dot after it", lambda f: f.good() + ".", "4 segments"
    yield "a dot before it", lambda f: "." + f.good(), "4 segments"
    yield "a dot twice", lambda f: f.good().replace(".", "..", 1), "4 segments"
    yield "two dots alone", lambda _f: "..", "header"
    yield "three dots alone", lambda _f: "...", "4 segments"
    yield "a thousand dots", lambda _f: "." * 1000, "1001 segments"
    yield "a single letter", lambda _f: "A", "1 segments"
    yield "no header", lambda f: "." + f.good().partition(".")[2], "header"
    yield "no claims", lambda f: f.segments(payload=""), "claims"
    yield "no signature", lambda f: f.good().rpartition(".")[0] + ".", "signature"
    yield "two tokens joined", lambda f: f.good() + f.good(), "5 segments"
    yield "a token in a token", lambda f: f.texts(payload=f.good().encode()), "claims"
    yield "JSON serialisation in base64url", lambda f: base64url(encode(_flattened(f))), "1 segments"


def _flattened(forger: Forger) -> dict[str, str]:
    protected, payload, signature = forger.good().split(".")
    return {"protected": protected, "payload": payload, "signature": signature}


def _spellings() -> Rows:
    yield "padding after the signature", lambda f: f.good() + "=", "signature: not canonical"
    yield "much padding after the signature", lambda f: f.good() + "====", "signature: not canonical"
    yield "loose bits in the header", _loose_header, "header: not canonical"
    yield "loose bits in the claims", _loose_claims, "claims: not canonical"
    yield "loose bits in the signature", _loose_signature, "signature: not canonical"
    yield "plus in the header", lambda f: f.segments(header="+" + _header(f)[1:]), "header: "
    yield (
        "slash in the claims",
        lambda f: f.segments(payload="////" + base64url(encode(f.claims()))),
        "claims: ",
    )
    yield "tilde in the claims", lambda f: f.segments(payload=base64url(encode(f.claims())) + "~"), "claims: "
    yield "a length that base64 cannot have", lambda f: f.segments(header="A" * 5), "header: not base64url"


def _header(forger: Forger) -> str:
    return base64url(encode(forger.es256.header()))


def _loose_header(forger: Forger) -> str:
    return forger.segments(header=_loosened(base64url(_uneven(forger.es256.header()))))


def _loose_claims(forger: Forger) -> str:
    return forger.segments(payload=_loosened(base64url(_uneven(forger.claims()))))


def _loose_signature(forger: Forger) -> str:
    text, _, signature = forger.good().rpartition(".")
    return f"{text}.{_loosened(signature)}"


def _uneven(members: dict[str, Any]) -> bytes:
    """Return JSON whose base64url has bits to spare in its last letter."""
    text = encode(members)
    return text if len(text) % 3 else text + b" "


def _loosened(segment: str) -> str:
    """Return another spelling of the same octets: with spare bits that are not zero."""
    assert len(segment) % 4, "no bits to spare"
    return segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) | 1]


def _sizes() -> Rows:
    yield "a character too long", _of_length(8193), "longer than"
    # As much as fits into the head of a request.
    yield "60 kB of claims", with_claims(x="y" * 45_000), "longer than"
    yield "60 kB of one letter", lambda _f: "A" * 60_000, "longer than"
    yield "60 kB of signature", lambda f: f.good() + "A" * 60_000, "longer than"


def _of_length(length: int) -> Forgery:
    """Make a truly signed token of ``length`` characters or a few more."""

    def forge(forger: Forger) -> str:
        claims = forger.claims()
        filler = (length - len(forger.es256.token({**claims, "x": ""}))) * 3 // 4
        while len(token := forger.es256.token({**claims, "x": "y" * filler})) < length:
            filler += 1
        return token

    return forge
