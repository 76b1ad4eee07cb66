"""Signing keys: generated, written as JWK, parsed once, used to sign (RFC 7515, 7517, 7518, 8037)."""

from __future__ import annotations

import hashlib
import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from jwt.algorithms import get_default_algorithms

SigningAlgorithm = Literal["ES256", "RS256", "EdDSA"]
ALGORITHMS: tuple[SigningAlgorithm, ...] = get_args(SigningAlgorithm)
RSA_BITS = 2048  # RFC 7518 §3.3: at least

_GENERATORS: Mapping[SigningAlgorithm, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS),
    "EdDSA": Ed25519PrivateKey.generate,
}
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ECDSA = ec.ECDSA(SHA256())
_P256_OCTETS = 32


def _sign_es256(key: Any, signing_input: bytes) -> bytes:
    return concatenated(key.sign(signing_input, _ECDSA))


def concatenated(signature: bytes) -> bytes:
    """Return an ECDSA signature by P-256 as RFC 7518 §3.4 has it: both numbers in full length, one behind the other.

    ``signature`` is what OpenSSL made: a DER sequence of two integers (RFC 3279 §2.2.3), each as short as it is, and an
    octet longer where its first bit is set. All of it is short enough for lengths of one octet.
    """
    end = 4 + signature[3]
    r, s = signature[4:end], signature[end + 2 :]
    return r[-_P256_OCTETS:].rjust(_P256_OCTETS, b"\0") + s[-_P256_OCTETS:].rjust(_P256_OCTETS, b"\0")


_SIGNERS: Mapping[SigningAlgorithm, Callable[[Any, bytes], bytes]] = {
    "ES256": _sign_es256,
    "RS256": lambda key, signing_input: key.sign(signing_input, padding.PKCS1v15(), SHA256()),
    "EdDSA": lambda key, signing_input: key.sign(signing_input),
}
# RFC 7638 §3.2, RFC 8037 §2: the members that make the thumbprint, which are also all that a verifier needs.
_PUBLIC_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}

# RFC 9068 §2.1.
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at birth; ``private_der`` is PKCS #8 and exists in clear only until it is sealed."""

    kid: str
    algorithm: SigningAlgorithm
    public_jwk: str
    private_der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key ready to sign: parsed once, with the JOSE header of its tokens already encoded."""

    kid: str
    header_segment: bytes
    _private_key: Any = field(repr=False)
    _sign: Callable[[Any, bytes], bytes] = field(repr=False)

    def sign(self, signing_input: bytes) -> bytes:
        """Return the raw JWS signature of ``signing_input`` (RFC 7515 §5.1)."""
        return self._sign(self._private_key, signing_input)


def generate(algorithm: SigningAlgorithm) -> NewKey:
    """Make a key pair; its ``kid`` is the RFC 7638 thumbprint of the public half.

    For RSA this takes up to a second.
    """
    while True:
        key = _generate(algorithm)
        # One in 64 would look like an option on a command line.
        if not key.kid.startswith("-"):
            return key


def public_key_pem(public_jwk: str) -> str:
    """Return a published key as SubjectPublicKeyInfo (RFC 7468 §13)."""
    jwk = orjson.loads(public_jwk)
    public_key = get_default_algorithms()[jwk["alg"]].from_jwk(jwk)
    pem: bytes = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def _generate(algorithm: SigningAlgorithm) -> NewKey:
    private_key = _GENERATORS[algorithm]()
    jwk = get_default_algorithms()[algorithm].to_jwk(private_key.public_key(), as_dict=True)
    public = {name: jwk[name] for name in _PUBLIC_MEMBERS[jwk["kty"]]}
    canonical = json.dumps(public, separators=(",", ":"), sort_keys=True).encode()
    kid = base64url(hashlib.sha256(canonical).digest()).decode()
    published = {**public, "kid": kid, "use": "sig", "alg": algorithm}
    private_der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return NewKey(kid, algorithm, orjson.dumps(published).decode(), private_der)


def load_signing_key(kid: str, algorithm: SigningAlgorithm, private_der: bytes) -> SigningKey:
    """Parse a private key; for RSA this takes tens of milliseconds, so it is done once per process."""
    header = orjson.dumps({"alg": algorithm, "kid": kid, "typ": TOKEN_TYPE})
    private_key = load_der_private_key(private_der, password=None)
    return SigningKey(kid, base64url(header), private_key, _SIGNERS[algorithm])


def base64url(data: bytes) -> bytes:
    """Encode without padding (RFC 7515 §2)."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")
