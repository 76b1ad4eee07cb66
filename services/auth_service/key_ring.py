"""The signing keys of this process: read from the database, unsealed once, published as a JWK set."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import orjson

from auth_service import queries
from auth_service.master_key import SealBroken
from auth_service.signing_keys import SigningAlgorithm, SigningKey, load_signing_key
from steelcut.errors import TemporarilyUnavailable
from steelcut.service.refusal import Refusal

if TYPE_CHECKING:
    from auth_service.master_key import MasterKey
    from auth_service.queries import StoredKey
    from steelcut.service.postgres import Connection

# A pending key is published before it signs, a retiring one until its last token has expired.
_PUBLISHED = frozenset({"pending", "active", "retiring"})


class KeyRing:
    """Which key signs now, and the set that verifiers read (RFC 7517 §5)."""

    def __init__(self, master_key: MasterKey) -> None:
        """Start empty; ``refresh`` fills it."""
        self._master_key = master_key
        self._keys: dict[str, SigningKey] = {}
        self._active: SigningKey | None = None
        self.jwks = orjson.dumps({"keys": []})

    @property
    def active(self) -> SigningKey:
        """The key that signs. Raises ``TemporarilyUnavailable`` when there is none yet."""
        if self._active is None:
            raise TemporarilyUnavailable("no active signing key: run `steelcut keys create`")
        return self._active

    @property
    def can_sign(self) -> bool:
        """Whether there is a key to sign with."""
        return self._active is not None

    async def refresh(self, connection: Connection) -> None:
        """Read the keys again. Raises ``Refusal`` when the master key does not open one that is needed."""
        stored = [key for key in await queries.signing_keys(connection) if key.state in _PUBLISHED]
        keys = {key.kid: self._keys.get(key.kid) or self._unseal(key) for key in stored}
        active = next((key.kid for key in stored if key.state == "active"), None)
        # Replaced as a whole, so that a request never sees half a change.
        self._keys = keys
        self._active = keys[active] if active is not None else None
        self.jwks = orjson.dumps({"keys": [orjson.loads(key.public_jwk) for key in stored]})

    def _unseal(self, key: StoredKey) -> SigningKey:
        try:
            private_der = self._master_key.unseal(key.sealed_private, key.kid)
        except SealBroken:
            raise Refusal(
                f"AUTH_MASTER_KEY is not the master key that sealed the signing key {key.kid}: that one has the id "
                f"{key.master_key_id}, this one {self._master_key.key_id}. Start with the right master key."
            ) from None
        return load_signing_key(key.kid, cast("SigningAlgorithm", key.algorithm), private_der)
