"""The master key: seals private keys before they reach the database (AES-256-GCM, NIST SP 800-38D)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from auth_service.settings import KeySettings

_NONCE_BYTES = 12


class SealBroken(Exception):
    """The bytes were sealed under another master key or for another key id, or were changed."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 bytes that only the processes have. ``key_id`` names it and reveals nothing of it.

    While one master key takes the place of another, ``previous`` still opens what it sealed.
    """

    key_id: str
    _cipher: AESGCM = field(repr=False)
    previous: MasterKey | None = None

    @classmethod
    def from_base64(cls, text: str, previous: str | None = None) -> Self:
        """Make the master key from ``AUTH_MASTER_KEY`` and ``AUTH_PREVIOUS_MASTER_KEY``, which the settings checked."""
        key = base64.b64decode(text)
        # A digest of 256 random bits gives none of them away.
        key_id = hashlib.sha256(b"steelcut master key id" + key).hexdigest()[:12]
        return cls(key_id, AESGCM(key), None if previous is None else cls.from_base64(previous))

    @classmethod
    def from_settings(cls, settings: KeySettings) -> Self:
        """Make the master key, and the previous one if there is one."""
        previous = settings.previous_master_key
        return cls.from_base64(
            settings.master_key.get_secret_value(), previous.get_secret_value() if previous else None
        )

    def named(self, key_id: str) -> MasterKey | None:
        """Return the one of the two that has this id, None when neither has."""
        if key_id == self.key_id:
            return self
        return None if self.previous is None else self.previous.named(key_id)

    def seal(self, private_bytes: bytes, kid: str) -> bytes:
        """Return nonce and ciphertext; ``kid`` is bound as associated data, so seals cannot be swapped."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, private_bytes, kid.encode())

    def unseal(self, sealed: bytes, kid: str) -> bytes:
        """Return the private bytes, sealed by this key or by the previous one. Raises ``SealBroken``."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], kid.encode())
        except (InvalidTag, ValueError):
            if self.previous is None:
                raise SealBroken(kid) from None
        return self.previous.unseal(sealed, kid)
