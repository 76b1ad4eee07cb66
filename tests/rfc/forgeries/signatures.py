"""Signatures that are none: zeros, other encodings, other schemes, other texts (RFC 7518 §3.4, CVE-2022-21449)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512

from tests.rfc.forgeries.forger import Forger, Forgery, Rows, signing_input, with_signature
from tests.support.tokens import base64url, encode

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
ZERO, ONE, ORDER = (number.to_bytes(32, "big") for number in (0, 1, P256_ORDER))

Change = Callable[[bytes], bytes]

ES256_CHANGES: dict[str, Change] = {
    "nothing": lambda _s: b"",
    "zeros": lambda _s: ZERO + ZERO,
    "ones": lambda _s: b"\xff" * 64,
    "r zero": lambda s: ZERO + s[32:],
    "s zero": lambda s: s[:32] + ZERO,
    "r the order of the curve": lambda s: ORDER + s[32:],
    "s the order of the curve": lambda s: s[:32] + ORDER,
    "r and s the order of the curve": lambda _s: ORDER + ORDER,
    "r and s exchanged": lambda s: s[32:] + s[:32],
    "r and s one": lambda _s: ONE + ONE,
    "DER": lambda s: encode_dss_signature(int.from_bytes(s[:32], "big"), int.from_bytes(s[32:], "big")),
    "one bit changed": lambda s: s[:-1] + bytes([s[-1] ^ 1]),
    "one octet less": lambda s: s[:-1],
    "one octet more": lambda s: s + b"\0",
    "one octet before": lambda s: b"\0" + s,
    "a zero before s": lambda s: s[:32] + b"\0" + s[32:],
    "half": lambda s: s[:32],
    "twice": lambda s: s + s,
    "as wide as P-384": lambda s: bytes(16) + s[:32] + bytes(16) + s[32:],
    "noise": lambda _s: secrets.token_bytes(64),
}
RS256_CHANGES: dict[str, Change] = {
    "nothing": lambda _s: b"",
    "zeros": lambda s: bytes(len(s)),
    "one": lambda s: bytes(len(s) - 1) + b"\1",
    "one octet less": lambda s: s[:-1],
    "one octet before": lambda s: b"\0" + s,
    "huge": lambda s: s * 12,
}
EDDSA_CHANGES: dict[str, Change] = {
    "nothing": lambda _s: b"",
    "zeros": lambda _s: bytes(64),
    "the neutral point": lambda _s: b"\1" + bytes(63),
    # RFC 8032 §5.1.7: s is smaller than the order, or one signature could be written in several ways.
    "s plus the order": lambda s: (
        s[:32] + (int.from_bytes(s[32:], "little") + ED25519_ORDER).to_bytes(32, "little")
    ),
    "one octet less": lambda s: s[:-1],
}
PKCS1, PSS = padding.PKCS1v15(), padding.PSS(padding.MGF1(SHA256()), 32)


def rows() -> Rows:
    """Return all of them."""
    for key, changes in (("es256", ES256_CHANGES), ("rs256", RS256_CHANGES), ("eddsa", EDDSA_CHANGES)):
        for name, change in changes.items():
            yield f"{key} signature is {name}", with_signature(change, key), "signature"
    yield "PS256 by the RSA key", _rsa_signed("PS256", PSS, SHA256()), "alg 'PS256'"
    yield "PSS named RS256", _rsa_signed("RS256", PSS, SHA256()), "signature"
    yield "RS512 by the RSA key", _rsa_signed("RS512", PKCS1, SHA512()), "alg 'RS512'"
    yield "RSA with SHA-512 named RS256", _rsa_signed("RS256", PKCS1, SHA512()), "signature"
    yield "RSA with SHA-1 named RS256", _rsa_signed("RS256", PKCS1, SHA1()), "signature"  # noqa: S303 - that is the forgery
    yield "signature of another token", _transplanted, "signature"
    yield "claims changed after signing", _other_claims, "signature"
    yield "header changed after signing", _other_header, "signature"


def _rsa_signed(algorithm: str, scheme: Any, digest: Any) -> Forgery:
    def forge(forger: Forger) -> str:
        text = signing_input(forger, forger.rs256.header(alg=algorithm))
        return f"{text}.{base64url(forger.rs256.private.sign(text.encode(), scheme, digest))}"

    return forge


def _transplanted(forger: Forger) -> str:
    return f"{signing_input(forger, forger.es256.header())}.{forger.good().rpartition('.')[2]}"


def _other_claims(forger: Forger) -> str:
    header, _, signature = forger.good().split(".")
    return f"{header}.{base64url(encode(forger.claims(sub='root', scope='read write')))}.{signature}"


def _other_header(forger: Forger) -> str:
    _, payload, signature = forger.good().split(".")
    return f"{base64url(encode(forger.es256.header(cty='JWT')))}.{payload}.{signature}"
