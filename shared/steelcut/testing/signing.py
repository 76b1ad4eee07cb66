"""The keys of issuers that live in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_GENERATE: Final[dict[str, Callable[[], Any]]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the name under which its public half is published."""

    kid: str
    algorithm: str
    _private: Any = field(repr=False)

    @classmethod
    def generate(cls, algorithm: str, *, kid: str) -> Self:
        """Make a key for ``algorithm``. Raises ``ValueError`` for another one than ES256, RS256 and EdDSA."""
        make = _GENERATE.get(algorithm)
        if make is None:
            raise ValueError(f"the algorithm must be one of {', '.join(_GENERATE)}")
        return cls(kid, algorithm, make())

    def jwk(self) -> dict[str, Any]:
        """Return the public half (RFC 7517)."""
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self._private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: dict[str, Any], token_type: str) -> str:
        """Return ``claims`` as a JWT (RFC 7519)."""
        headers = {"typ": token_type, "kid": self.kid}
        return jwt.encode(claims, self._private, algorithm=self.algorithm, headers=headers)


# By issuer and algorithm, for as long as the process lives: see ``Issuer``.
_made: Final[dict[tuple[str, str], list[SigningKey]]] = {}


def keys_of(issuer: str, algorithm: str) -> list[SigningKey]:
    """Return the keys of ``issuer``, oldest first; the list is the issuer's own to add to."""
    key = (issuer, algorithm)
    if key not in _made:
        _made[key] = [SigningKey.generate(algorithm, kid=kid_of(algorithm, 1))]
    return _made[key]


def kid_of(algorithm: str, number: int) -> str:
    """Name a key so that an issuer of the same URL with another algorithm has none of that name."""
    return f"{algorithm.lower()}-{number}"
