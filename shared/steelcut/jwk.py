"""Public keys as an issuer publishes them, made ready to verify (RFC 7517, RFC 7518 §6, RFC 8037 §2).

One algorithm per key, and the key says which: a token never chooses how it is checked (RFC 8725 §3.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from steelcut.jose import Malformed, decode_base64url, read_object

ALGORITHMS = ("ES256", "RS256", "EdDSA")
MAX_KEYS = 100
MAX_KID_CHARACTERS = 256
P256_OCTETS = 32
MIN_RSA_BITS = 2048
# Verifying costs the square of the size; nobody publishes more.
MAX_RSA_BITS = 8192
MAX_RSA_EXPONENT = 2**32

Check = Callable[[Any, bytes, bytes], None]


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that verifies the signatures of one algorithm."""

    kid: str
    algorithm: str
    _public_key: Any = field(repr=False)
    _check: Check = field(repr=False)

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Say whether ``signature`` is this key's over ``signing_input``."""
        try:
            self._check(self._public_key, signing_input, signature)
        except InvalidSignature:
            return False
        return True


def read_key_set(octets: bytes) -> dict[str, VerificationKey]:
    """Return the usable keys of a JWK Set by ``kid`` (RFC 7517 §5).

    A key that cannot be used is skipped, as the RFC asks: unknown type or curve, another ``use``, a size that
    is too small, no ``kid``. When two keys share a ``kid`` neither is trusted: which one was meant?
    Raises ``Malformed`` when the document as a whole is no JWK Set, holds more than ``MAX_KEYS`` keys, or not
    one that can be used.
    """
    members = read_object(octets).get("keys")
    if not isinstance(members, list):
        raise Malformed("no JWK Set: it has no array `keys`")
    if len(members) > MAX_KEYS:
        raise Malformed(f"a JWK Set of more than {MAX_KEYS} keys")
    kids = Counter(_kid(jwk) for jwk in members)
    read = (read_key(jwk) for jwk in members if kids[_kid(jwk)] == 1)
    keys = {key.kid: key for key in read if key is not None}
    if not keys:
        raise Malformed("a JWK Set without a usable key")
    return keys


def read_key(jwk: object) -> VerificationKey | None:
    """Return the key in ``jwk``, or None when it is not one that verifies our tokens.

    Only public members are looked at; a private one that was published by mistake is not kept.
    """
    kid = _kid(jwk)
    if kid is None or not isinstance(jwk, Mapping):
        return None
    kind = _KINDS.get((_text(jwk, "kty"), _text(jwk, "crv")))
    if kind is None or not _meant_for_us(jwk, kind.algorithm):
        return None
    try:
        return VerificationKey(kid, kind.algorithm, kind.parse(jwk), kind.check)
    except (ValueError, UnsupportedAlgorithm):  # a point off the curve, a wrong length, a bad spelling
        return None


def _kid(jwk: object) -> str | None:
    kid = jwk.get("kid") if isinstance(jwk, Mapping) else None
    return kid if isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARACTERS else None


def _text(jwk: Mapping[str, Any], name: str) -> str | None:
    value = jwk.get(name)
    return value if isinstance(value, str) else None


def _meant_for_us(jwk: Mapping[str, Any], algorithm: str) -> bool:
    """Say whether the key may verify signatures of ``algorithm`` (RFC 7517 §4.2 to §4.4)."""
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and jwk.get("alg", algorithm) == algorithm
    )


def _octets(jwk: Mapping[str, Any], name: str, length: int | None = None) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{name} is not base64url")
    octets = decode_base64url(value.encode())
    if length is not None and len(octets) != length:
        raise Malformed(f"{name} has a wrong length")
    return octets


def _p256(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    x, y = (int.from_bytes(_octets(jwk, name, P256_OCTETS)) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def _rsa(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    modulus, exponent = (int.from_bytes(_octets(jwk, name)) for name in ("n", "e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or exponent > MAX_RSA_EXPONENT:
        raise Malformed("an RSA key of a size that is not accepted")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ed25519(jwk: Mapping[str, Any]) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(jwk, "x", 32))


def _check_es256(key: ec.EllipticCurvePublicKey, signing_input: bytes, signature: bytes) -> None:
    # RFC 7518 §3.4: R and S as 32 octets each, and nothing else; a DER signature has no place here.
    if len(signature) != 2 * P256_OCTETS:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:P256_OCTETS]), int.from_bytes(signature[P256_OCTETS:])
    key.verify(encode_dss_signature(r, s), signing_input, _ECDSA_SHA256)


def _check_rs256(key: rsa.RSAPublicKey, signing_input: bytes, signature: bytes) -> None:
    key.verify(signature, signing_input, _PKCS1, _SHA256)


def _check_eddsa(key: ed25519.Ed25519PublicKey, signing_input: bytes, signature: bytes) -> None:
    key.verify(signature, signing_input)


_SHA256: Final = SHA256()
_ECDSA_SHA256: Final = ec.ECDSA(_SHA256)
_PKCS1: Final = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class _Kind:
    algorithm: str
    parse: Callable[[Mapping[str, Any]], Any]
    check: Check


# What is accepted, by (kty, crv); all else is skipped, `oct` above all: a shared secret is nobody's public key.
_KINDS: Final[Mapping[tuple[str | None, str | None], _Kind]] = {
    ("EC", "P-256"): _Kind("ES256", _p256, _check_es256),
    ("RSA", None): _Kind("RS256", _rsa, _check_rs256),
    ("OKP", "Ed25519"): _Kind("EdDSA", _ed25519, _check_eddsa),
}
