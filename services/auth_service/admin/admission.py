"""Who may pass: an access token of this server's own, for the admin API, of a client that may call it still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from auth_service.admin import problems
from auth_service.administration.admin_api import ADMIN_RESOURCE, admin_audience
from auth_service.queries.admission import standing_scopes
from steelcut.errors import InsufficientScope, InvalidToken
from steelcut.guard import Guard
from steelcut.jose import Malformed
from steelcut.jwk import VerificationKey, read_key_set
from steelcut.verifier import Claims, Verifier

if TYPE_CHECKING:
    from auth_service.key_ring import KeyRing
    from auth_service.state import Process
    from steelcut.service.postgres import Database

# How far the clocks of this process and of the database may be apart.
CLOCKS_APART: Final = timedelta(seconds=30)


class OwnKeys:
    """The keys that this process publishes, as a verifier sees them: no HTTP request to ourselves."""

    def __init__(self, key_ring: KeyRing) -> None:
        """Follow ``key_ring``."""
        self._key_ring = key_ring
        self._read = b""
        self._keys: dict[str, VerificationKey] = {}
        self.generation = 0

    def is_due(self) -> bool:
        """Say whether other keys are published than those that are known here."""
        return self._key_ring.jwks != self._read

    async def refresh_if_due(self) -> bool:
        """Read the published keys again, if they changed."""
        if not self.is_due():
            return False
        self._read = self._key_ring.jwks
        try:
            self._keys = read_key_set(self._read)
        except Malformed:  # there is none yet, so no token is of it
            self._keys = {}
        self.generation += 1
        return True

    async def key(self, kid: str) -> VerificationKey | None:
        """Return the key of that name, or None."""
        return self._keys.get(kid)


class StandingVerifier(Verifier):
    """Believes a token only as far as its client has today what the token says.

    A client that was deleted, disabled or has expired, or from which the scope was taken, is out at once, and not when
    its last token ends.
    """

    def __init__(self, keys: OwnKeys, database: Database, issuer: str) -> None:
        """Trust tokens of ``keys``, and what the clients have in ``database``."""
        super().__init__(keys, issuer=issuer)
        self._database = database

    async def verify(self, unverified_token: str, *, audience: str) -> Claims:
        """Return the claims with the scopes that the client has still. Raises as ``Verifier.verify`` does."""
        claims = await super().verify(unverified_token, audience=audience)
        # A new client may have the id of one that was deleted; it does not inherit its tokens.
        created_before = datetime.fromtimestamp(claims.issued_at, UTC) + CLOCKS_APART
        async with self._database.connection() as connection:
            standing = await standing_scopes(
                connection, claims.client_id, ADMIN_RESOURCE, audience, created_before
            )
        if standing is None:
            raise InvalidToken(f"{claims.client_id} is no active client that may call the admin API")
        return replace(claims, scopes=claims.scopes & standing)


class Admission:
    """The guard of the admin API."""

    def __init__(self, guard: Guard) -> None:
        """Use ``of``, which makes the guard."""
        self._guard = guard

    @classmethod
    def of(cls, process: Process, database: Database) -> Self:
        """Guard the admin API of ``process``, whose administrator's pool is ``database``."""
        issuer = process.settings.issuer
        verifier = StandingVerifier(OwnKeys(process.key_ring), database, issuer)
        return cls(Guard(verifier, audience=admin_audience(issuer)))

    async def admit(self, authorization: Sequence[str], scopes: Sequence[str]) -> Claims:
        """Return the claims of a request that needs any of ``scopes``.

        Raises a ``BearerError`` whose challenge names the first of them, ``problems.InsufficientScope`` that names
        all, and ``TemporarilyUnavailable``.
        """
        refusals: list[InsufficientScope] = []
        for scope in scopes:
            try:
                return await self._guard.admit(authorization, scope=scope)
            except InsufficientScope as refusal:
                refusals.append(refusal)
        needed = " or ".join(scopes)
        raise problems.InsufficientScope(
            f"The access token does not grant {needed}: ask for a token that does, if its client has that scope.",
            headers=refusals[0].headers(),
            members={"missing_scopes": list(scopes)},
        ) from refusals[0]
