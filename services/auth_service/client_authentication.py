"""Who is asking (RFC 6749 §2.3): credentials in, an authenticated client out."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from auth_service import client_secrets
from auth_service.clients import NOBODY, AuthenticatedClient, Client, StoredSecret
from auth_service.errors import (
    DifferentClientIds,
    InvalidClient,
    MalformedBasic,
    MalformedCredentials,
    RepeatedAuthorization,
    TooManyFailures,
    TwoAuthenticationMethods,
)

if TYPE_CHECKING:
    from auth_service.form import Form
    from auth_service.imported_secrets import ImportedSecrets
    from auth_service.limits.guesses import Guesses
    from auth_service.registry import Registry
    from steelcut.errors import OAuthError

# RFC 6749 Appendix A.1 and A.2: VSCHAR; the lengths are ours.
CLIENT_ID = re.compile(r"[\x20-\x7e]{1,255}")
_CLIENT_SECRET = re.compile(r"[\x20-\x7e]{1,1024}")

_SHOWN_CHARACTERS = 16

# Verified in the place of a secret that is not there, so that its absence takes as long as a wrong one.
_NO_SECRET = StoredSecret("", client_secrets.hash_secret(client_secrets.generate().value))


@dataclass(slots=True)
class Credentials:
    """What a caller claims to be. Not frozen, as nothing that is made for each token: it would take twice the time."""

    client_id: str
    unverified_secret: str = field(repr=False)


@dataclass(slots=True)
class Caller:
    """Who asks, from where, and what slows their guesses down, if anything does."""

    guesses: Guesses | None
    address: str
    # For how long a failure is to wait, when this is one that is only looked at for the rightful client's sake.
    wait: int = 0

    async def admit(self, client_id: str) -> None:
        """Stand before every query and slow hash of a secret that is not known to be right."""
        if self.guesses is not None:
            self.wait = await self.guesses.admit(client_id, self.address)

    async def refusal(self, client: Client | None, unverified_client_id: str) -> OAuthError:
        """Count a failure, and say what it is answered with."""
        if self.wait:
            return TooManyFailures(wait_seconds=self.wait)
        if self.guesses is not None:
            await self.guesses.failed(unverified_client_id, self.address)
        return _not_authenticated(client, unverified_client_id)


async def authenticate(
    registry: Registry,
    imported: ImportedSecrets,
    caller: Caller,
    authorization: Sequence[str],
    form: Form,
    now: float,
) -> AuthenticatedClient:
    """Return the client that proves itself, by at most one query.

    ``authorization`` holds the raw Authorization headers, ``now`` is Unix time in seconds. A secret that the
    cached client does not know is looked up afresh before it is refused: a new secret works at once on every
    replica, and a wrong secret costs the same work as an unknown client.

    While the database is away, a client goes on that could prove itself to what was last known of it; nobody is refused
    by that, since a secret may be new.

    Raises ``InvalidClient`` or ``InvalidRequest`` in one of its kinds, ``TooManyFailures`` before a query or a slow
    hash is spent on who has failed too often, and ``TemporarilyUnavailable`` when neither the database nor what was
    known of the client can tell, or an imported secret cannot be verified now.
    """
    credentials = presented_credentials(authorization, form)
    secret_id = client_secrets.secret_id_of(credentials.unverified_secret)
    if secret_id is not None:
        return await _by_secret_of_ours(registry, caller, credentials, secret_id, now)
    if credentials.unverified_secret.startswith(f"{client_secrets.PREFIX}_"):
        raise InvalidClient(
            f"one of our secrets, mistyped, for client {_shown(credentials.client_id)}",
            kind="mistyped_secret",
        )
    return await _by_imported_secret(registry, imported, caller, credentials, now)


async def _by_secret_of_ours(
    registry: Registry, caller: Caller, credentials: Credentials, secret_id: str, now: float
) -> AuthenticatedClient:
    client_id, secret = credentials.client_id, credentials.unverified_secret
    fresh = registry.cached(client_id)
    known = fresh or registry.known(client_id) or NOBODY
    if not _verify(known, secret_id, secret, now):
        await caller.admit(client_id)
        client, stale = await registry.load(client_id), False
    elif fresh is None:
        client, stale = await registry.load_or_keep(known)
    else:
        return AuthenticatedClient(_checked_life(fresh, now), secret_id)
    if _verify(client or NOBODY, secret_id, secret, now) and client is not None:
        return AuthenticatedClient(_checked_life(client, now), secret_id, stale)
    raise await caller.refusal(client, client_id)


async def _by_imported_secret(
    registry: Registry, imported: ImportedSecrets, caller: Caller, credentials: Credentials, now: float
) -> AuthenticatedClient:
    client_id, secret = credentials.client_id, credentials.unverified_secret
    known = registry.known(client_id) or NOBODY
    stored = known.imported_secret
    remembered = stored and stored.is_live(now) and imported.remembers(client_id, secret, stored.hash)
    if stored and remembered and registry.cached(client_id) is not None:
        return AuthenticatedClient(_checked_life(known, now), stored.secret_id)
    if not remembered:
        await caller.admit(client_id)
    client, stale = (
        await registry.load_or_keep(known) if remembered else (await registry.load(client_id), False)
    )
    stored = (client or NOBODY).imported_secret
    # One slow hash in each case, that of somebody else when there is no own: its time tells nobody who exists.
    hashed = stored.hash if stored else imported.decoy_for(client_id)
    matches = hashed is not None and await imported.verify(client_id, secret, hashed)
    if client and stored and matches and stored.is_live(now):
        return AuthenticatedClient(_checked_life(client, now), stored.secret_id, stale)
    raise await caller.refusal(client, client_id)


def _not_authenticated(client: Client | None, unverified_client_id: str) -> InvalidClient:
    if client is None:
        return InvalidClient(f"unknown client {_shown(unverified_client_id)}", kind="unknown_client")
    client_id = client.client_id
    return InvalidClient(
        f"wrong, revoked or expired secret for client {client_id}", client_id=client_id, kind="wrong_secret"
    )


def presented_credentials(authorization: Sequence[str], form: Form) -> Credentials:
    """Find the one pair of credentials in a request (RFC 6749 §2.3.1).

    Raises ``InvalidRequest`` in one of its kinds when there are two or they are malformed, ``InvalidClient``
    when there are none.
    """
    body_id, body_secret = form.get("client_id"), form.get("client_secret")
    if not authorization:
        if body_id is None or body_secret is None:
            raise InvalidClient("no credentials", kind="no_credentials")
        return _checked(body_id, body_secret)
    if len(authorization) > 1:
        raise RepeatedAuthorization
    if body_secret is not None:
        raise TwoAuthenticationMethods
    credentials = _checked(*_basic(authorization[0]))
    if body_id is not None and body_id != credentials.client_id:
        raise DifferentClientIds
    return credentials


def _basic(header: str) -> tuple[str, str]:
    """Split, then form-decode both halves (RFC 6749 §2.3.1; RFC 7617 §2)."""
    scheme, _, encoded = header.strip(" \t").partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("another scheme than Basic", kind="no_credentials")
    try:
        decoded = binascii.a2b_base64(encoded.strip(" "), strict_mode=True).decode("ascii")
    except ValueError:
        raise MalformedBasic from None
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise MalformedBasic("no colon")
    if "%" in decoded or "+" in decoded:
        return unquote_plus(client_id), unquote_plus(secret)
    return client_id, secret


def _checked(client_id: str, secret: str) -> Credentials:
    if not client_id or not secret:
        raise InvalidClient("empty client_id or client_secret", kind="no_credentials")
    if CLIENT_ID.fullmatch(client_id) is None or _CLIENT_SECRET.fullmatch(secret) is None:
        raise MalformedCredentials
    return Credentials(client_id, secret)


def _checked_life(client: Client, now: float) -> Client:
    if not client.enabled:
        raise InvalidClient(
            f"client {client.client_id} is disabled", client_id=client.client_id, kind="disabled_client"
        )
    if client.expires_at is not None and now >= client.expires_at:
        raise InvalidClient(
            f"client {client.client_id} has expired", client_id=client.client_id, kind="expired_client"
        )
    return client


def _shown(unverified_client_id: str) -> str:
    """Say enough of an id that may be anybody's to find a typo: it may also be a secret in the wrong place."""
    if client_secrets.PREFIX in unverified_client_id:
        return "(hidden: it looks like a secret)"
    if len(unverified_client_id) <= _SHOWN_CHARACTERS:
        return ascii(unverified_client_id)
    return f"{unverified_client_id[:_SHOWN_CHARACTERS]!a}… of {len(unverified_client_id)} characters"


def _verify(client: Client, secret_id: str, unverified_secret: str, now: float) -> bool:
    stored = client.secrets.get(secret_id, _NO_SECRET)
    matches = client_secrets.verify(unverified_secret, stored.hash)
    return matches and stored.is_live(now) and stored is not _NO_SECRET
