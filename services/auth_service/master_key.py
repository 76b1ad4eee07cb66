"""The master key: seals private keys before they reach the database (AES-256-GCM, NIST SP 800-38D)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class SealBroken(Exception):
    """The bytes were sealed under another master key or for another key id, or were changed."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 bytes that only the processes have. ``key_id`` names it and reveals nothing of it."""

    key_id: str
    _cipher: AESGCM = field(repr=False)

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Make the master key from ``AUTH_MASTER_KEY``, which the settings have checked."""
        key = base64.b64decode(text)
        # A digest of 256 random bits gives none of them away.
        key_id = hashlib.sha256(b"steelcut master key id" + key).hexdigest()[:12]
        return cls(key_id, AESGCM(key))

    def seal(self, private_bytes: bytes, kid: str) -> bytes:
        """Return nonce and ciphertext; ``kid`` is bound as associated data, so seals cannot be swapped."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, private_bytes, kid.encode())

    def unseal(self, sealed: bytes, kid: str) -> bytes:
        """Return the private bytes. Raises ``SealBroken``."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], kid.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(kid) from None
