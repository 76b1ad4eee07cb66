"""Secrets are exchanged in the middle of the day: several live, each is known by its use, none is lost by mistake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth_service import client_secrets
from auth_service.administration import secrets
from auth_service.administration.errors import AdministrationError, Conflict, Invalid, NotFound
from auth_service.queries.secrets import SecretRow
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, System, running_system

DAY = timedelta(days=1)
A_MOMENT = timedelta(seconds=30)


@pytest.fixture(scope="module")
async def house(templates: Templates) -> AsyncIterator[System]:
    """A system for tests that make clients of their own."""
    async with running_system(await templates.clone()) as system:
        yield system


def id_of(secret: str) -> str:
    """Return the id inside a secret."""
    return secret.split("_")[1]


async def add(system: System, client_id: str, **options: Any) -> secrets.AddedSecret:
    """Add a secret as an operator does."""
    return await system.as_admin(lambda c: secrets.add_secret(c, ACTOR, client_id, **options))


async def rotate(system: System, client_id: str, **options: Any) -> secrets.RotatedSecret:
    """Rotate as an operator does."""
    return await system.as_admin(lambda c: secrets.rotate_secret(c, ACTOR, client_id, **options))


async def revoke(system: System, client_id: str, secret_id: str, **options: Any) -> None:
    """Revoke as an operator does."""
    await system.as_admin(lambda c: secrets.revoke_secret(c, ACTOR, client_id, secret_id, **options))


async def listed(system: System, client_id: str) -> list[SecretRow]:
    """List as an operator does."""
    return await system.as_admin(lambda c: secrets.list_secrets(c, client_id))


async def works(system: System, client_id: str, secret: str) -> bool:
    """Say whether a secret gets a token."""
    async with http_client() as http:
        response = await http.post(system.token_url, data=GRANT, auth=(client_id, secret))
    return response.is_success


async def used(
    system: System, client_id: str, secret_id: str, ago: timedelta | None, created: timedelta
) -> None:
    """Let a secret have been made, and used (None: never), some time ago."""
    await system.as_owner(
        lambda c: c.execute(
            "UPDATE client_secrets SET created_at = now() - $3::interval WHERE client_id = $1 AND secret_id = $2",
            client_id,
            secret_id,
            created,
        )
    )
    if ago is None:
        return
    await system.as_owner(
        lambda c: c.execute(
            "INSERT INTO secret_usage VALUES ($1, $2, now() - $3::interval, '192.0.2.7')",
            client_id,
            secret_id,
            ago,
        )
    )


async def test_one_more_secret(house: System) -> None:
    """It works at once and changes nothing for the one that was there; list and log never hold its value."""
    client = await house.register("Two")
    assert await works(house, client.client_id, client.secret)
    until = datetime.now(UTC) + DAY
    added = await add(house, client.client_id, label="staging", expires_at=until)
    first, second = await listed(house, client.client_id)
    assert first.secret_id == id_of(client.secret)
    assert second == added.secret
    assert await works(house, client.client_id, added.value)
    assert await works(house, client.client_id, client.secret)
    assert (second.label, second.expires_at, second.live) == ("staging", until, True)
    assert added.value not in repr((added, first, second))


async def test_use_is_noted_with_time_and_address(house: System) -> None:
    """Of each secret apart."""
    client = await house.register("Used")
    added = await add(house, client.client_id)
    assert await works(house, client.client_id, added.value)
    await house.auth_process.audit.flush()
    first, second = await listed(house, client.client_id)
    assert (first.last_used_at, first.last_address, first.in_use) == (None, "", False)
    assert second.last_used_at is not None
    assert abs(second.last_used_at - datetime.now(UTC)) < A_MOMENT
    assert (second.last_address, second.in_use) == ("127.0.0.1", True)


async def test_rotation_lets_the_old_one_live_for_a_day(house: System) -> None:
    """Both work; what ends sooner anyway, ends then."""
    client = await house.register("Rotated")
    soon = datetime.now(UTC) + timedelta(hours=1)
    short = await add(house, client.client_id, expires_at=soon)
    rotated = await rotate(house, client.client_id, label="new")
    old, brief = rotated.replaced
    assert old.expires_at is not None
    assert abs(old.expires_at - datetime.now(UTC) - DAY) < A_MOMENT
    assert (brief.secret_id, brief.expires_at) == (short.secret.secret_id, soon)
    assert (rotated.added.secret.label, rotated.added.secret.expires_at) == ("new", None)
    for secret in (client.secret, short.value, rotated.added.value):
        assert await works(house, client.client_id, secret)


async def test_rotation_after_a_leak(house: System) -> None:
    """Without an overlap the old one ends at once, in use or not."""
    client = await house.register("Leaked")
    assert await works(house, client.client_id, client.secret)
    rotated = await rotate(house, client.client_id, overlap=timedelta())
    house.auth_process.registry.forget(client.client_id)
    assert not await works(house, client.client_id, client.secret)
    assert await works(house, client.client_id, rotated.added.value)
    assert not rotated.replaced[0].live


async def test_rotation_of_one_of_several(house: System) -> None:
    """Staging is rotated, production stays as it is."""
    client = await house.register("Several")
    staging = await add(house, client.client_id, label="staging")
    rotated = await rotate(house, client.client_id, replaces=staging.secret.secret_id)
    assert [secret.secret_id for secret in rotated.replaced] == [staging.secret.secret_id]
    ends = [secret.expires_at is not None for secret in await listed(house, client.client_id)]
    assert ends == [False, True, False]


NEVER = None
STANDINGS: list[tuple[str, timedelta | None, timedelta | None, str]] = [
    # what happened, last use of the old one, of the new one, how the old one stands
    ("neither was used", NEVER, NEVER, "neither"),
    ("nobody moved over", timedelta(days=2), NEVER, "in use"),
    ("nobody moved over, and the old one is busy", timedelta(minutes=1), NEVER, "in use"),
    ("some moved over", timedelta(hours=23), timedelta(minutes=1), "in use"),
    ("all moved over", timedelta(hours=25), timedelta(hours=1), "safe to delete"),
    ("they moved back", timedelta(hours=25), timedelta(hours=26), "in use"),
    ("only the new one was ever used", NEVER, timedelta(hours=1), "safe to delete"),
]


@pytest.mark.parametrize(
    ("old_used", "new_used", "standing"), [s[1:] for s in STANDINGS], ids=[s[0] for s in STANDINGS]
)
async def test_in_use_and_safe_to_delete(
    house: System, old_used: timedelta | None, new_used: timedelta | None, standing: str
) -> None:
    """A day's rest while a newer one is used makes a secret safe to delete; only in use it is kept from a mistake."""
    client = await house.register("Standing")
    old = id_of(client.secret)
    new = (await add(house, client.client_id)).secret.secret_id
    for secret_id, ago, created in ((old, old_used, timedelta(days=4)), (new, new_used, timedelta(days=3))):
        await used(house, client.client_id, secret_id, ago, created)
    first, second = await listed(house, client.client_id)
    assert (first.in_use, first.safe_to_delete) == (standing == "in use", standing == "safe to delete")
    # Nobody has outlived the newest.
    assert (second.in_use, second.safe_to_delete) == (new_used is not None, False)
    if first.in_use:
        with pytest.raises(Conflict, match=r"in use: it got a token from 192\.0\.2\.7 at 20"):
            await revoke(house, client.client_id, old)
    else:
        await revoke(house, client.client_id, old)
        assert [secret.secret_id for secret in await listed(house, client.client_id)] == [new]


async def test_an_expired_successor_outlives_nobody(house: System) -> None:
    """Who moved over to a secret that has ended is going to come back."""
    client = await house.register("Short successor")
    new = (await add(house, client.client_id)).secret.secret_id
    await used(house, client.client_id, id_of(client.secret), timedelta(days=2), timedelta(days=4))
    await used(house, client.client_id, new, timedelta(days=1), timedelta(days=2))
    assert (await listed(house, client.client_id))[0].safe_to_delete
    await house.as_owner(
        lambda c: c.execute("UPDATE client_secrets SET expires_at = now() WHERE secret_id = $1", new)
    )
    old, ended = await listed(house, client.client_id)
    assert (old.in_use, old.safe_to_delete) == (True, False)
    assert (ended.live, ended.in_use, ended.safe_to_delete) == (False, False, True)


async def test_revoked_by_force(house: System) -> None:
    """After a leak it is out, in use or not, and what is known of its use goes with it."""
    client = await house.register("Forced")
    assert await works(house, client.client_id, client.secret)
    await house.auth_process.audit.flush()
    with pytest.raises(Conflict):
        await revoke(house, client.client_id, id_of(client.secret))
    assert await works(house, client.client_id, client.secret)
    await revoke(house, client.client_id, id_of(client.secret), force=True)
    house.auth_process.registry.forget(client.client_id)
    assert not await works(house, client.client_id, client.secret)
    assert await listed(house, client.client_id) == []
    left = await house.as_owner(
        lambda c: c.fetchval("SELECT count(*) FROM secret_usage WHERE secret_id = $1", id_of(client.secret))
    )
    assert left == 0


async def test_expiry_is_set_and_taken_away(house: System) -> None:
    """As long as the secret lives; an ended one is not brought back, and may be deleted."""
    client = await house.register("Ending")
    secret_id, until = id_of(client.secret), datetime.now(UTC) + DAY

    async def expire(at: datetime | None) -> SecretRow:
        return await house.as_admin(
            lambda c: secrets.expire_secret(c, ACTOR, client.client_id, secret_id, at)
        )

    assert (await expire(until)).expires_at == until
    assert (await expire(None)).expires_at is None
    await house.as_owner(
        lambda c: c.execute("UPDATE client_secrets SET expires_at = now() WHERE secret_id = $1", secret_id)
    )
    house.auth_process.registry.forget(client.client_id)
    assert not await works(house, client.client_id, client.secret)
    with pytest.raises(Conflict, match="not brought back"):
        await expire(until)
    await revoke(house, client.client_id, secret_id)


async def test_at_most_ten_live_secrets(house: System) -> None:
    """Also when several are added at once; one that has ended makes room."""
    client = await house.register("Ten")
    for _ in range(secrets.MAX_LIVE_SECRETS - 2):
        await add(house, client.client_id)
    outcomes = await asyncio.gather(*(add(house, client.client_id) for _ in range(3)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AddedSecret", "Conflict", "Conflict"]
    with pytest.raises(Conflict, match="revoke some of them first"):
        await rotate(house, client.client_id)
    await house.as_owner(
        lambda c: c.execute(
            "UPDATE client_secrets SET expires_at = now() WHERE secret_id = $1", id_of(client.secret)
        )
    )
    await add(house, client.client_id)


async def test_ended_secrets_do_not_pile_up(house: System) -> None:
    """However often a client is rotated, its look-up stays short: the last ten that ended are kept for the record."""
    client = await house.register("Often")
    for _ in range(secrets.MAX_EXPIRED_SECRETS + 5):
        await rotate(house, client.client_id, overlap=timedelta())
    newest = await rotate(house, client.client_id, overlap=timedelta())
    known = await listed(house, client.client_id)
    # The one that ended by the last rotation was alive when that one counted.
    assert len(known) == secrets.MAX_EXPIRED_SECRETS + 2
    assert known[-1].secret_id == newest.added.secret.secret_id
    assert [secret.live for secret in known] == [False] * (len(known) - 1) + [True]


async def test_verification_costs_one_hash(house: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many secrets live, the id inside of one picks the hash to compare."""
    client = await house.register("Many")
    for _ in range(secrets.MAX_LIVE_SECRETS - 2):
        await add(house, client.client_id)
    last = await add(house, client.client_id)
    assert await works(house, client.client_id, last.value)
    verified: list[str] = []
    verify = client_secrets.verify

    def counted(secret: str, stored: str) -> bool:
        verified.append(stored)
        return verify(secret, stored)

    monkeypatch.setattr(client_secrets, "verify", counted)
    assert await works(house, client.client_id, last.value)
    assert len(verified) == 1


async def test_every_change_is_in_the_log_without_secrets(house: System) -> None:
    """Which secret, what became of it, and neither its value nor its hash."""
    client = await house.register("Logged")
    me = client.client_id
    added = await add(house, me, label="x")
    rotated = await rotate(house, me, replaces=added.secret.secret_id)
    await house.as_admin(lambda c: secrets.expire_secret(c, ACTOR, me, id_of(client.secret), None))
    await house.as_admin(
        lambda c: secrets.expire_secret(c, ACTOR, me, id_of(client.secret), datetime.now(UTC) + DAY)
    )
    await revoke(house, me, added.secret.secret_id)
    rows = await house.as_owner(
        lambda c: c.fetch(
            "SELECT action, before::text, after::text FROM audit_events"
            " WHERE object_type = 'client' AND object_id = $1 ORDER BY at",
            me,
        )
    )
    # To give no end to what has none is no change.
    assert [row["action"] for row in rows] == [
        *("client.create", "secret.add", "secret.rotate", "secret.expire", "secret.revoke")
    ]
    text = str([dict(row) for row in rows])
    for secret in (client.secret, added.value, rotated.added.value):
        assert secret not in text
        assert secret.split("_")[2] not in text
        assert id_of(secret) in text
    assert "SSHA" not in text


@pytest.mark.parametrize(
    ("deed", "kind", "sentence"),
    [
        (lambda c: secrets.add_secret(c, ACTOR, "nobody"), NotFound, "no client"),
        (lambda c: secrets.list_secrets(c, "nobody"), NotFound, "no client"),
        (lambda c: secrets.rotate_secret(c, ACTOR, "a\x00"), NotFound, "no client"),
        (lambda c: secrets.revoke_secret(c, ACTOR, "me", "scut_x_y_z"), NotFound, "no secret with this id"),
        (lambda c: secrets.expire_secret(c, ACTOR, "me", "x", None), NotFound, "no secret with this id"),
        (lambda c: secrets.rotate_secret(c, ACTOR, "me", replaces="x"), NotFound, "no secret with this id"),
        (lambda c: secrets.rotate_secret(c, ACTOR, "me", overlap=-DAY), Invalid, "An overlap is"),
        (lambda c: secrets.rotate_secret(c, ACTOR, "me", overlap=366 * DAY), Invalid, "An overlap is"),
        (lambda c: secrets.rotate_own_secret(c, ACTOR, "me", overlap=-DAY), Invalid, "An overlap is"),
        (lambda c: secrets.add_secret(c, ACTOR, "me", label="\x1b[2J"), Invalid, "A label is"),
        (
            lambda c: secrets.add_secret(c, ACTOR, "me", expires_at=datetime.now(UTC)),
            Invalid,
            "must lie in the future",
        ),
        (
            lambda c: secrets.expire_secret(c, ACTOR, "me", "x", datetime.now(UTC)),
            Invalid,
            "must lie in the future",
        ),
    ],
)
async def test_refused_changes(me: System, deed: Any, kind: type[AdministrationError], sentence: str) -> None:
    """One sentence that repeats nothing of what may be a secret in the wrong place, and nothing has changed."""
    before = await listed(me, "me")
    with pytest.raises(kind, match=sentence) as refusal:
        await me.as_admin(deed)
    assert "scut_x" not in str(refusal.value)
    assert await listed(me, "me") == before


@pytest.fixture(scope="module")
async def me(house: System) -> System:
    """The client that these changes are tried on."""
    await house.register("Me", client_id="me")
    return house
