"""Texts that are no JSON object, or none that two readers read alike (RFC 7515 §4, RFC 8725 §3.7); truly signed."""

from __future__ import annotations

from collections.abc import Callable

from tests.rfc.forgeries.forger import Forger, Forgery, Rows
from tests.support.tokens import base64url, encode

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "an array": lambda text: b"[" + text + b"]",
    "a string": lambda text: encode(text.decode()),
    "a number": lambda _text: b"1",
    "null": lambda _text: b"null",
    "noise": lambda _text: b"\x80\xff\xfe",
    "cut off": lambda text: text[:-1],
    "followed by more": lambda text: text + b"{}",
    "followed by NUL": lambda text: text + b"\0",
    "after a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "Latin-1": lambda text: text[:-1] + b',"x":"\xe9"}',
    "an overlong UTF-8": lambda text: text[:-1] + b',"x":"\xc0\xaf"}',
    "a surrogate in UTF-8": lambda text: text[:-1] + b',"x":"\xed\xa0\x80"}',
    "with single quotes": lambda text: text.replace(b'"', b"'"),
    "with a comment": lambda text: text[:-1] + b"/* x */}",
    "with a comma too many": lambda text: text[:-1] + b",}",
    "with NaN": lambda text: text[:-1] + b',"x":NaN}',
    "with Infinity": lambda text: text[:-1] + b',"x":-Infinity}',
    "with a bare control character": lambda text: text[:-1] + b',"x":"\x01"}',
    "with a number of 5,000 digits": lambda text: text[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "with a name twice": lambda text: text[:-1] + b',"x":1,"x":1}',
    "with a name twice, far inside": lambda text: text[:-1] + b',"x":[{"y":{"z":1,"z":2}}]}',
}


def rows() -> Rows:
    """Return all of them."""
    for name, change in CHANGES.items():
        yield f"header is {name}", _header(change), "header: "
        yield f"claims are {name}", _claims(change), "claims: "
    yield "header names alg twice", _header(lambda text: text[:-1] + b',"alg":"none"}'), "occurs twice"
    yield "claims name aud twice", _aud_twice, "occurs twice"
    yield (
        "claims name exp twice, once in escapes",
        _claims(lambda text: text[:-1] + b',"e\\u0078p":9999999999}'),
        "occurs twice",
    )
    # How deep the parser goes depends on the version of Python; beyond it the signature is what is wrong.
    yield "header nested deeply", _nested(5000), ""
    yield "header nested deeply and closed", _nested(2500, closing="]"), ""
    yield "header nested deeply in objects", _nested(1000, opening='{"a":'), ""


def _header(change: Callable[[bytes], bytes]) -> Forgery:
    return lambda forger: forger.texts(header=change(encode(forger.es256.header())))


def _claims(change: Callable[[bytes], bytes]) -> Forgery:
    return lambda forger: forger.texts(payload=change(encode(forger.claims())))


def _aud_twice(forger: Forger) -> str:
    other = encode(forger.claims(aud="https://other.example"))
    return forger.texts(payload=other[:-1] + b',"aud":' + encode(forger.audience) + b"}")


def _nested(depth: int, *, opening: str = "[", closing: str = "") -> Forgery:
    tower = opening * depth + closing * depth

    def forge(forger: Forger) -> str:
        header = encode(forger.es256.header())[:-1] + b',"x":' + tower.encode() + b"}"
        return f"{base64url(header)}.{base64url(encode(forger.claims()))}.{base64url(bytes(64))}"

    return forge
