"""Tokens and keys made by hand, with cryptography alone, so that the tests do not lean on what they test."""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

LEFT_OUT: Final = object()


def base64url(octets: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """Decode what ``base64url`` encoded."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class IssuerKey:
    """A key pair of an issuer."""

    kid: str
    algorithm: str
    private: Any = field(repr=False)

    @classmethod
    def generate(cls, algorithm: str = "ES256", kid: str = "key-1") -> IssuerKey:
        """Make a key pair for ``algorithm``."""
        private: Any
        if algorithm == "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "RS256":
            private = rsa.generate_private_key(65537, 2048)
        else:
            private = ed25519.Ed25519PrivateKey.generate()
        return cls(kid, algorithm, private)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """Return the public half as the issuer publishes it, with ``changes``; ``LEFT_OUT`` removes a member."""
        public = self.private.public_key()
        members: dict[str, Any]
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            x, y = (base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
            members = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        elif self.algorithm == "RS256":
            numbers = public.public_numbers()
            n = base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
            members = {"kty": "RSA", "n": n, "e": base64url(numbers.e.to_bytes(3, "big"))}
        else:
            members = {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes_raw())}
        members |= {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        return changed(members, changes)

    def sign(self, signing_input: bytes) -> bytes:
        """Return the raw signature of a JWS."""
        signature: bytes
        if self.algorithm == "ES256":
            r, s = decode_dss_signature(self.private.sign(signing_input, ec.ECDSA(SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.algorithm == "RS256":
            signature = self.private.sign(signing_input, padding.PKCS1v15(), SHA256())
        else:
            signature = self.private.sign(signing_input)
        return signature

    def header(self, **changes: Any) -> dict[str, Any]:
        """Return the JOSE header of a good access token, with ``changes``."""
        return changed({"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt"}, changes)

    def token(self, claims: Any, **header_changes: Any) -> str:
        """Return a token of ``claims``, truly signed, under a header with ``header_changes``."""
        return self.signed(encode(self.header(**header_changes)), encode(claims))

    def signed(self, header: bytes, payload: bytes) -> str:
        """Return a token of two texts as they are, truly signed."""
        signing_input = f"{base64url(header)}.{base64url(payload)}"
        return f"{signing_input}.{base64url(self.sign(signing_input.encode()))}"


def good_claims(issuer: str, audience: str, now: float | None = None, **changes: Any) -> dict[str, Any]:
    """Return the claims of a good access token (RFC 9068 §2.2), with ``changes``."""
    issued_at = int(time.time() if now is None else now)
    claims = {
        "iss": issuer,
        "sub": "client-1",
        "aud": audience,
        "client_id": "client-1",
        "scope": "read",
        "iat": issued_at,
        "exp": issued_at + 600,
        "jti": secrets.token_urlsafe(16),
    }
    return changed(claims, changes)


def changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``members`` with ``changes``; a member of the value ``LEFT_OUT`` is removed."""
    return {name: value for name, value in {**members, **changes}.items() if value is not LEFT_OUT}


def encode(value: Any) -> bytes:
    """Write compact JSON, NaN and the like included."""
    return json.dumps(value, separators=(",", ":")).encode()
