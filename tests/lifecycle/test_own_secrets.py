"""A client exchanges its own secret: as long as it was meant to live, and never around an operator's decision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auth_service.administration import clients, secrets
from auth_service.administration.errors import Conflict
from tests.lifecycle.test_secrets import A_MOMENT, id_of, revoke, rotate, works
from tests.support.databases import Templates
from tests.support.system import ACTOR, Registered, System, running_system


@pytest.fixture(scope="module")
async def house(templates: Templates) -> AsyncIterator[System]:
    """A system for tests that make clients of their own."""
    async with running_system(await templates.clone()) as system:
        yield system


async def rotate_own(system: System, client: Registered, **options: Any) -> secrets.RotatedSecret:
    """Rotate as a client does."""
    return await system.as_admin(lambda c: secrets.rotate_own_secret(c, ACTOR, client.client_id, **options))


async def test_a_client_rotates_its_own(house: System) -> None:
    """The old one lives for a day, the new one as long as the old one was meant to: its end cannot be rotated away."""
    free = await house.register("Free")
    rotated = await rotate_own(house, free, label="own")
    assert await works(house, free.client_id, rotated.added.value)
    assert rotated.added.secret.expires_at is None
    assert rotated.replaced[0].expires_at is not None

    bound = await house.register("Bound", secret_expires_at=datetime.now(UTC) + timedelta(days=30))
    for _ in range(2):
        rotated = await rotate_own(house, bound)
        assert rotated.added.secret.expires_at is not None
        assert abs(rotated.added.secret.expires_at - datetime.now(UTC) - timedelta(days=30)) < A_MOMENT


async def test_an_end_that_was_given_later_binds(house: System) -> None:
    """However old the secret is, and however often its client rotates."""
    client = await house.register("Ends soon")
    await house.as_owner(
        lambda c: c.execute(
            "UPDATE client_secrets SET created_at = now() - interval '2 years' WHERE client_id = $1",
            client.client_id,
        )
    )
    end = datetime.now(UTC) + timedelta(hours=1)
    await house.as_admin(
        lambda c: secrets.expire_secret(c, ACTOR, client.client_id, id_of(client.secret), end)
    )
    for overlap in (timedelta(minutes=1), timedelta()):
        rotated = await rotate_own(house, client, overlap=overlap)
        assert rotated.added.secret.expires_at == end


@pytest.mark.parametrize("names", ["none", "old", "new"])
async def test_who_has_the_old_secret_shuts_nobody_out(house: System, names: str) -> None:
    """While an operator's rotation is under way its client rotates nothing; then it may again."""
    client = await house.register("Is being rotated")
    rotated = await rotate(house, client.client_id, overlap=timedelta(hours=1))
    replaces = {"none": None, "old": id_of(client.secret), "new": rotated.added.secret.secret_id}[names]
    with pytest.raises(Conflict, match="An operator is replacing a secret of this client, which ends at "):
        await rotate_own(house, client, replaces=replaces)
    await revoke(house, client.client_id, id_of(client.secret), force=True)
    own = await rotate_own(house, client)
    assert own.added.secret.expires_at is None


async def test_a_client_that_rotated_itself_may_do_so_again(house: System) -> None:
    """The answer may have been lost: that is no operator's rotation."""
    client = await house.register("Lost the answer", secret_expires_at=datetime.now(UTC) + timedelta(days=30))
    await rotate_own(house, client)
    rotated = await rotate_own(house, client)
    assert rotated.added.secret.expires_at is not None
    assert abs(rotated.added.secret.expires_at - datetime.now(UTC) - timedelta(days=30)) < A_MOMENT


async def test_secret_to_the_end_of_the_calendar_is_rotated(house: System) -> None:
    """What it was meant to live lies beyond it."""
    end = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)
    rotated = await rotate_own(house, await house.register("Always", secret_expires_at=end))
    assert rotated.added.secret.expires_at == end


async def test_a_client_that_is_out_gets_no_new_secret(house: System) -> None:
    """A token of before is no way back in."""
    client = await house.register("Out")
    await house.as_admin(lambda c: clients.disable_client(c, ACTOR, client.client_id))
    with pytest.raises(Conflict, match="is disabled"):
        await rotate_own(house, client)
    await house.as_admin(lambda c: clients.enable_client(c, ACTOR, client.client_id))
    await revoke(house, client.client_id, id_of(client.secret))
    with pytest.raises(Conflict, match="no live secret"):
        await rotate_own(house, client)
