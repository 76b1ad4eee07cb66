"""A forger who has everything: his own keys, the public ones, and for once the issuer's."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.tokens import LEFT_OUT, IssuerKey, base64url, encode, good_claims, unbase64url


@dataclass(frozen=True)
class Forger:
    """Makes tokens of every kind; truly signed ones show that a valid signature does not excuse the rest."""

    issuer: str
    audience: str
    es256: IssuerKey
    second_es256: IssuerKey
    rs256: IssuerKey
    eddsa: IssuerKey
    own: IssuerKey

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return claims that would be good, with ``changes``."""
        return good_claims(self.issuer, self.audience, **changes)

    def good(self) -> str:
        """Return a token that is good."""
        return self.es256.token(self.claims())

    def segments(self, header: str | None = None, payload: str | None = None) -> str:
        """Return a truly signed token of segments that need not be base64url."""
        first = base64url(encode(self.es256.header())) if header is None else header
        second = base64url(encode(self.claims())) if payload is None else payload
        signature = self.es256.sign(f"{first}.{second}".encode())
        return f"{first}.{second}.{base64url(signature)}"

    def texts(self, header: bytes | None = None, payload: bytes | None = None) -> str:
        """Return a truly signed token of texts that need not be JSON."""
        return self.segments(
            None if header is None else base64url(header), None if payload is None else base64url(payload)
        )


Forgery = Callable[[Forger], str]
Rows = Iterator[tuple[str, Forgery, str]]


def with_header(**changes: Any) -> Forgery:
    """Make a truly signed token of good claims under another header."""
    return lambda forger: forger.es256.token(forger.claims(), **changes)


def with_claims(**changes: Any) -> Forgery:
    """Make a truly signed token of other claims."""
    return lambda forger: forger.es256.token(forger.claims(**changes))


def with_signature(change: Callable[[bytes], bytes], key: str = "es256") -> Forgery:
    """Make a token that was good before its signature was changed."""

    def forge(forger: Forger) -> str:
        issuer_key: IssuerKey = getattr(forger, key)
        signing_input, _, signature = issuer_key.token(forger.claims()).rpartition(".")
        return f"{signing_input}.{base64url(change(unbase64url(signature)))}"

    return forge


def unsigned(algorithm: str) -> Forgery:
    """Make a token with nothing for a signature."""
    return lambda forger: f"{signing_input(forger, forger.es256.header(alg=algorithm))}."


def with_hmac(secret: Callable[[IssuerKey], bytes], key: str = "es256", algorithm: str = "HS256") -> Forgery:
    """Make a token that is signed with a public key as if it were a shared secret (RFC 8725 §2.1)."""

    def forge(forger: Forger) -> str:
        issuer_key: IssuerKey = getattr(forger, key)
        text = signing_input(forger, issuer_key.header(alg=algorithm))
        return f"{text}.{base64url(hmac.digest(secret(issuer_key), text.encode(), hashlib.sha256))}"

    return forge


def signing_input(forger: Forger, header: dict[str, Any]) -> str:
    """Return the part of a token that is signed."""
    return f"{base64url(encode(header))}.{base64url(encode(forger.claims()))}"


def spki(key: IssuerKey, encoding: Encoding = Encoding.DER) -> bytes:
    """Return a public key as everybody can have it."""
    octets: bytes = key.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    return octets


def pem(key: IssuerKey) -> bytes:
    """Return a public key as everybody can have it, in PEM."""
    return spki(key, Encoding.PEM)


def shown(value: object) -> str:
    """Return ``value`` for the name of a test."""
    return "absent" if value is LEFT_OUT else json.dumps(value)[:24]
