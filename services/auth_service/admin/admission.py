"""Who may pass: an access token of this server's own, for the admin API, of a client that may call it still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn, Self

from auth_service.admin import problems
from auth_service.administration.admin_api import ADMIN_RESOURCE, admin_audience
from auth_service.queries.admission import standing_scopes
from steelcut.errors import InsufficientScope, InvalidToken
from steelcut.guard import Guard
from steelcut.jose import Malformed
from steelcut.jwk import VerificationKey, read_key_set
from steelcut.trust import TrustedIssuer
from steelcut.verifier import Verifier

if TYPE_CHECKING:
    from auth_service.key_ring import KeyRing
    from auth_service.state import Process
    from steelcut.claims import Claims
    from steelcut.service.database.postgres import Database
    from steelcut.steps import Steps

# How far the clocks of this process and of the database may be apart.
CLOCKS_APART: Final = timedelta(seconds=30)


class OwnKeys:
    """The keys that this process publishes, as a verifier sees them: no HTTP request to ourselves."""

    def __init__(self, key_ring: KeyRing) -> None:
        """Follow ``key_ring``."""
        self._key_ring = key_ring
        self._read = b""
        self.known: Mapping[str, VerificationKey] = {}

    def is_due(self) -> bool:
        """Say whether other keys are published than those that are known here."""
        return self._key_ring.jwks != self._read

    def steps(self, kid: str | None) -> Steps[None]:  # noqa: ARG002 - all keys are here, whichever is asked for
        """Read the published keys again, if they changed; there is nothing to wait for."""
        yield from ()
        if self.is_due():
            self._read = self._key_ring.jwks
            try:
                self.known = read_key_set(self._read)
            except Malformed:  # there is none yet, so no token is of it
                self.known = {}


class StandingVerifier(Verifier):
    """Believes a token only as far as its client has today what the token says.

    A client that was deleted, disabled or has expired, or from which the scope was taken, is out at once, and not when
    its last token ends.
    """

    def __init__(self, keys: OwnKeys, database: Database, issuer: str) -> None:
        """Trust tokens of ``keys``, and what the clients have in ``database``."""
        self._resource = admin_audience(issuer)
        super().__init__(TrustedIssuer(issuer, keys=keys), audience=self._resource)
        self._database = database

    def verify(self, unverified_token: str, *, audience: str | None = None) -> NoReturn:
        """Refuse to judge a token without the database, which is asked on an event loop alone."""
        raise NotImplementedError("the database must be awaited: use verify_async")

    async def verify_async(self, unverified_token: str, *, audience: str | None = None) -> Claims:
        """Return the claims with the scopes that the client has still. Raises as ``Verifier.verify`` does."""
        claims = await super().verify_async(unverified_token, audience=audience)
        # A new client may have the id of one that was deleted; it does not inherit its tokens.
        created_before = datetime.fromtimestamp(claims.issued_at, UTC) + CLOCKS_APART
        async with self._database.connection() as connection:
            standing = await standing_scopes(
                connection, claims.client_id, ADMIN_RESOURCE, audience or self._resource, created_before
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
        return cls(Guard(verifier=verifier, audience=admin_audience(issuer)))

    async def admit(self, authorization: Sequence[str], scopes: Sequence[str]) -> Claims:
        """Return the claims of a request that needs any of ``scopes``.

        Raises a ``BearerError`` whose challenge names the first of them, ``problems.InsufficientScope`` that names
        all, and ``TemporarilyUnavailable``.
        """
        try:
            return await self._guard.admit(authorization, any_of=scopes)
        except InsufficientScope as refusal:
            needed = " or ".join(scopes)
            raise problems.InsufficientScope(
                f"The access token does not grant {needed}: ask for a token that does, if its client has that scope.",
                headers=refusal.headers(),
                members={"missing_scopes": list(scopes)},
            ) from refusal


@dataclass(frozen=True, slots=True)
class Administration:
    """What the admin API needs for as long as the process lives; ``base`` is its path."""

    process: Process
    database: Database
    admission: Admission
    base: str
