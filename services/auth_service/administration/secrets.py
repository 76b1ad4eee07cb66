"""Secrets as objects: a client may have several, so that one can be exchanged while the other still works.

**In use** is a live secret that has got a token, unless a newer one has outlived it. **Outlived** is a secret that
got no token for a day although a newer live secret of the same client has got one since. No token lives longer than
a day, so whatever still runs with the old secret would have come back with it by then. **Safe to delete** is one that
has been outlived or has expired: taking it away breaks nothing that anybody has seen.

The times are those of ``secret_usage``, which is written within a second of a secret's first use and once a minute
while it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from auth_service import client_secrets
from auth_service.administration.audit import record
from auth_service.administration.clients import hold_client, show_client
from auth_service.administration.errors import Conflict, Invalid, NotFound
from auth_service.administration.limits import MAX_LIFETIME_SECONDS, check_expiry, check_label
from auth_service.queries import secrets as queries

if TYPE_CHECKING:
    from auth_service.administration.actor import Actor
    from auth_service.queries.secrets import SecretRow
    from steelcut.service.database.postgres import Connection

MAX_LIVE_SECRETS = 10
# Expired ones stay for the record; more would only make each look-up of the client longer.
MAX_EXPIRED_SECRETS = 10
DEFAULT_OVERLAP = timedelta(days=1)
MAX_OVERLAP = timedelta(days=365)
REST_SECONDS = float(MAX_LIFETIME_SECONDS)


@dataclass(frozen=True, slots=True)
class AddedSecret:
    """A secret at the only moment when it is known in clear."""

    secret: SecretRow
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """A new secret, and those that it replaces, which now have an end."""

    added: AddedSecret
    replaced: tuple[SecretRow, ...]


class _End(NamedTuple):
    """When a secret ends, None for never; ``by_operator`` where its successors end then, too."""

    expires_at: datetime | None
    by_operator: bool


async def list_secrets(connection: Connection, client_id: str) -> list[SecretRow]:
    """Return a client's secrets, oldest first. Raises ``NotFound`` when there is no such client."""
    await show_client(connection, client_id)
    return await queries.secrets(connection, client_id, rest_seconds=REST_SECONDS)


async def add_secret(
    connection: Connection,
    actor: Actor,
    client_id: str,
    *,
    label: str = "",
    expires_at: datetime | None = None,
) -> AddedSecret:
    """Give the client one more secret; it works at once, on every replica.

    Raises ``Invalid``, ``NotFound``, and ``Conflict`` when ``MAX_LIVE_SECRETS`` live.
    """
    check_label(label)
    check_expiry(expires_at, "The secret's end")
    async with connection.transaction():
        await hold_client(connection, client_id)
        added = await _add(connection, client_id, label, _End(expires_at, by_operator=False))
        after = _audited(added.secret)
        await record(connection, actor, "secret.add", "client", client_id, after=after)
    return added


async def expire_secret(
    connection: Connection, actor: Actor, client_id: str, secret_id: str, expires_at: datetime | None
) -> SecretRow:
    """Let a live secret end at ``expires_at``, or never (None).

    Raises ``Invalid``, ``NotFound``, and ``Conflict`` for one that has ended already: it is not brought back.
    """
    check_expiry(expires_at, "The secret's end")
    async with connection.transaction():
        await hold_client(connection, client_id)
        before = await _one(connection, client_id, secret_id)
        if not before.live:
            raise Conflict("This secret has expired and is not brought back: add a new one.")
        await queries.set_expiry(connection, client_id, secret_id, expires_at)
        after = await _one(connection, client_id, secret_id)
        if after.expires_at != before.expires_at:
            states = {"before": _audited(before), "after": _audited(after)}
            await record(connection, actor, "secret.expire", "client", client_id, **states)
    return after


async def revoke_secret(
    connection: Connection, actor: Actor, client_id: str, secret_id: str, *, force: bool = False
) -> None:
    """Delete a secret: whoever has it gets no more tokens by it.

    Raises ``NotFound``, and ``Conflict`` for one in use (see above) unless ``force``.
    """
    async with connection.transaction():
        await hold_client(connection, client_id)
        secret = await _one(connection, client_id, secret_id)
        if secret.in_use and not force:
            raise Conflict(_why_in_use(secret))
        await queries.delete_secrets(connection, client_id, [secret_id])
        before = _audited(secret) | {"in_use": secret.in_use}
        await record(connection, actor, "secret.revoke", "client", client_id, before=before)


async def rotate_secret(
    connection: Connection,
    actor: Actor,
    client_id: str,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    replaces: str | None = None,
    label: str = "",
    expires_at: datetime | None = None,
) -> RotatedSecret:
    """Give the client a new secret, and let its live ones end after ``overlap`` at the latest.

    ``replaces`` is the id of the only one to end; without it all of them do.
    Raises ``Invalid``, ``NotFound``, and ``Conflict`` when ``MAX_LIVE_SECRETS`` live.
    """
    check_label(label)
    check_expiry(expires_at, "The secret's end")
    _check_overlap(overlap)
    async with connection.transaction():
        await hold_client(connection, client_id)
        replaced = await _to_replace(connection, client_id, replaces)
        end = _End(expires_at, by_operator=False)
        return await _rotate(connection, actor, client_id, replaced, overlap, label, end, by_operator=True)


async def rotate_own_secret(
    connection: Connection,
    actor: Actor,
    client_id: str,
    *,
    overlap: timedelta = DEFAULT_OVERLAP,
    replaces: str | None = None,
    label: str = "",
) -> RotatedSecret:
    """Rotate as ``rotate_secret`` does, for a client that asks for it itself.

    The new secret lives as long as the newest live one was meant to, and no longer than an end that an operator gave it
    later, so that a client cannot rotate that end away.

    Raises ``Conflict`` also while an operator's rotation is under way: whoever has the secret that is about to end
    would shut out those who have the new one. And when the client is disabled or has expired: a token of before that is
    no way back in.
    """
    check_label(label)
    _check_overlap(overlap)
    async with connection.transaction():
        client = await hold_client(connection, client_id)
        if client.state != "active":
            raise Conflict(f"This client is {client.state}: it gets no new secret.")
        replaced = await _to_replace(connection, client_id, replaces)
        if not replaced:
            raise Conflict("This client has no live secret that could be rotated.")
        live = [secret for secret in await list_secrets(connection, client_id) if secret.live]
        _check_no_rotation(live)
        end = _end_of_own(live[-1], datetime.now(UTC))
        return await _rotate(connection, actor, client_id, replaced, overlap, label, end)


async def _rotate(
    connection: Connection,
    actor: Actor,
    client_id: str,
    replaced: list[SecretRow],
    overlap: timedelta,
    label: str,
    end: _End,
    *,
    by_operator: bool = False,
) -> RotatedSecret:
    added = await _add(connection, client_id, label, end)
    ids = [secret.secret_id for secret in replaced]
    await queries.shorten(connection, client_id, ids, overlap.total_seconds(), by_operator=by_operator)
    rows = {row.secret_id: row for row in await list_secrets(connection, client_id)}
    ended = tuple(rows[secret_id] for secret_id in ids)
    await record(
        connection,
        actor,
        "secret.rotate",
        "client",
        client_id,
        before={"replaced": [_audited(secret) for secret in replaced]},
        after=_audited(added.secret) | {"replaced": [_audited(secret) for secret in ended]},
    )
    return RotatedSecret(added, ended)


async def _add(connection: Connection, client_id: str, label: str, end: _End) -> AddedSecret:
    """Store a fresh secret. The caller holds the client."""
    known = await queries.secrets(connection, client_id, rest_seconds=REST_SECONDS)
    if sum(secret.live for secret in known) >= MAX_LIVE_SECRETS:
        raise Conflict(
            f"The client has {MAX_LIVE_SECRETS} live secrets, the most that one may have: revoke some of them first."
        )
    ended = sorted((secret for secret in known if not secret.live), key=lambda secret: secret.created_at)
    forgotten = [secret.secret_id for secret in ended[:-MAX_EXPIRED_SECRETS]]
    await queries.delete_secrets(connection, client_id, forgotten)
    secret = client_secrets.generate()
    hashed = client_secrets.hash_secret(secret.value)
    await queries.insert_secret(
        connection,
        client_id,
        secret.secret_id,
        hashed,
        label=label,
        expires_at=end.expires_at,
        ends_by_operator=end.by_operator,
    )
    return AddedSecret(await _one(connection, client_id, secret.secret_id), secret.value)


async def _one(connection: Connection, client_id: str, secret_id: str) -> SecretRow:
    for secret in await queries.secrets(connection, client_id, rest_seconds=REST_SECONDS):
        if secret.secret_id == secret_id:
            return secret
    # Not repeated: it may be a whole secret in the wrong place.
    raise NotFound("The client has no secret with this id: `steelcut secrets list` shows them.")


async def _to_replace(connection: Connection, client_id: str, replaces: str | None) -> list[SecretRow]:
    if replaces is None:
        return [secret for secret in await list_secrets(connection, client_id) if secret.live]
    secret = await _one(connection, client_id, replaces)
    if not secret.live:
        raise Conflict("The secret to replace has expired: add a new one.")
    return [secret]


def _check_no_rotation(live: list[SecretRow]) -> None:
    ends = [secret.expires_at for secret in live if secret.ends_by_operator and secret.expires_at is not None]
    if 0 < len(ends) < len(live):
        raise Conflict(
            "An operator is replacing a secret of this client, which ends at "
            f"{max(ends).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: rotate again after that."
        )


def _end_of_own(newest: SecretRow, now: datetime) -> _End:
    if newest.expires_at is None or newest.ends_by_operator:
        return _End(newest.expires_at, newest.ends_by_operator)
    try:
        return _End(now + (newest.expires_at - newest.created_at), by_operator=False)
    except OverflowError:
        # It was meant to live to the end of the calendar, which is where its successor ends, too.
        return _End(newest.expires_at, by_operator=False)


def _check_overlap(overlap: timedelta) -> None:
    if not timedelta() <= overlap <= MAX_OVERLAP:
        raise Invalid(f"An overlap is 0 seconds to {MAX_OVERLAP.days} days.")


def _why_in_use(secret: SecretRow) -> str:
    assert secret.last_used_at is not None  # noqa: S101 - what never got a token is not in use
    used = f"{secret.last_used_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    place = f" from {secret.last_address}" if secret.last_address else ""
    return (
        f"This secret is in use: it got a token{place} at {used}. It counts as in use until it has rested for "
        f"{REST_SECONDS / 3600:g} hours and a newer one was used since; let it expire, or force it."
    )


def _audited(secret: SecretRow) -> dict[str, object]:
    return {"secret_id": secret.secret_id, "label": secret.label, "expires_at": secret.expires_at}
