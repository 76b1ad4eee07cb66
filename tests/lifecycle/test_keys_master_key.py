"""One master key takes the place of another while the service runs; a wrong one is told apart by its id."""

from __future__ import annotations

from typing import Any

import pytest

from auth_service.administration.errors import Conflict
from auth_service.administration.keys import create_key, reseal_keys
from auth_service.master_key import MasterKey, SealBroken
from tests.auth.test_keys_at_rest import start
from tests.lifecycle.key_operator import KeyOperator, new_master_key
from tests.support.databases import Databases
from tests.support.plain_http import http_client
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import ACTOR, GRANT, Registered, System, as_owner, seed
from tests.support.waiting import until

pytestmark = pytest.mark.slow


async def serves(client: Registered, *replicas: Replica) -> bool:
    """Whether every replica answers with a token."""
    return all([(await replica.ask(client))[0] == 200 for replica in replicas])


async def publishes(replica: Replica, count: int) -> bool:
    """Whether the replica's key set has so many keys."""
    return len((await replica.http.get("/.well-known/jwks.json")).json()["keys"]) == count


async def test_master_key_is_changed_without_downtime(databases: Databases) -> None:
    """Old and new replicas serve side by side, also a key that is made in between; then the old one is void."""
    old, new = new_master_key(), new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", old)
    operator = KeyOperator(databases, MasterKey.from_base64(new, previous=old))
    async with (
        auth_replicas(databases, old, 1) as (first,),
        auth_replicas(databases, new, 1, AUTH_PREVIOUS_MASTER_KEY=old) as (second,),
    ):
        assert await serves(client, first, second)
        made = await operator.create()
        # The old replica can open it, or it would not publish it.
        await until(lambda: publishes(first, 2), 5)
        await until(lambda: publishes(second, 2), 5)
        assert made.master_key_id == MasterKey.from_base64(old).key_id
        resealed = await operator.run(lambda c: reseal_keys(c, ACTOR, operator.master_key))
        assert set(resealed) == set(await operator.states())
        async with auth_replicas(databases, new, 1) as (third,):
            assert await serves(client, first, second, third)
    code, output = await start(databases, AUTH_MASTER_KEY=old)
    assert code == 3
    assert "AUTH_MASTER_KEY is not the master key that sealed the signing key" in output
    assert MasterKey.from_base64(new).key_id in output


async def test_replica_that_was_forgotten_lets_go_of_a_revoked_key(start_system: Any) -> None:
    """It cannot open the successor, so it signs no more, says so, and publishes what there is."""
    system: System = await start_system()
    both = MasterKey.from_base64(new_master_key(), previous=system.master_key)
    operator = KeyOperator(system.databases, both)
    (revoked,) = await operator.states()
    await operator.run(lambda c: reseal_keys(c, ACTOR, both))
    successor = await operator.create()
    async with http_client(base_url=system.issuer) as http:

        async def published() -> list[str]:
            return [key["kid"] for key in (await http.get("/.well-known/jwks.json")).json()["keys"]]

        async def knows_of_it() -> bool:
            return successor.kid in await published()

        await until(knows_of_it, 5)
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["signing_key"]) == (
            200,
            "a key does not open with this master key",
        )
        await operator.revoke(revoked, force=True)

        async def has_let_go() -> bool:
            return await published() == [successor.kid]

        await until(has_let_go, 5)
        ready = await http.get("/readyz")
        refused = await http.post("/token", data=GRANT, auth=system.client.basic)
    assert (ready.status_code, refused.status_code) == (503, 503)
    assert "does not open with this master key" in ready.json()["checks"]["signing_key"]
    assert system.log.of(refused)["reason"] == "the active signing key does not open with this master key"
    assert "a key cannot be used" in system.log.text


async def test_resealing_again_changes_nothing(databases: Databases) -> None:
    """What lies under the new key already is left alone; each key that is sealed anew is in the audit log."""
    old, new = new_master_key(), new_master_key()
    operator = KeyOperator(databases, MasterKey.from_base64(old))
    first, second = await operator.create(), await operator.create("RS256")
    changed = MasterKey.from_base64(new, previous=old)
    assert await operator.run(lambda c: reseal_keys(c, ACTOR, changed)) == [first.kid, second.kid]
    assert await operator.run(lambda c: reseal_keys(c, ACTOR, changed)) == []
    events = await operator.events()
    assert events[2:] == [("key.reseal", first.kid), ("key.reseal", second.kid)]
    rows = await operator.run(lambda c: c.fetch("SELECT kid, sealed_private FROM signing_keys"))
    for row in rows:
        assert MasterKey.from_base64(new).unseal(row["sealed_private"], row["kid"])
        with pytest.raises(SealBroken):
            MasterKey.from_base64(old).unseal(row["sealed_private"], row["kid"])


async def test_resealing_needs_the_previous_master_key(databases: Databases) -> None:
    """Without it, it says which variable to set and to which key, by its id."""
    operator = KeyOperator(databases)
    await operator.create()
    stranger = MasterKey.from_base64(new_master_key())
    with pytest.raises(Conflict, match="AUTH_PREVIOUS_MASTER_KEY to the old one") as refused:
        await operator.run(lambda c: reseal_keys(c, ACTOR, stranger))
    assert operator.master_key.key_id in str(refused.value)


async def test_keys_are_resealed_all_or_none(databases: Databases) -> None:
    """A row that was tampered with stops the change before half of the keys lie under another master key."""
    old, new = new_master_key(), new_master_key()
    operator = KeyOperator(databases, MasterKey.from_base64(old))
    first, second = await operator.create(), await operator.create()
    await as_owner(
        databases.auth.owner,
        lambda c: c.execute(
            "UPDATE signing_keys SET sealed_private = '\\x00' || sealed_private WHERE kid = $1", second.kid
        ),
    )
    changed = MasterKey.from_base64(new, previous=old)
    with pytest.raises(Conflict, match=f"{second.kid} does not open .* revoke the key with force"):
        await operator.run(lambda c: reseal_keys(c, ACTOR, changed))
    assert {key.master_key_id for key in await operator.keys()} == {operator.master_key.key_id}
    await operator.revoke(second.kid, force=True)
    assert await operator.run(lambda c: reseal_keys(c, ACTOR, changed)) == [first.kid]


async def test_two_wrong_master_keys(databases: Databases) -> None:
    """A start with neither of them names all three by their ids, and none by its value."""
    right, wrong, other = new_master_key(), new_master_key(), new_master_key()
    await seed(databases, "http://127.0.0.1:8001", right)
    code, output = await start(databases, AUTH_MASTER_KEY=wrong, AUTH_PREVIOUS_MASTER_KEY=other)
    assert code == 3
    assert "Neither AUTH_MASTER_KEY nor AUTH_PREVIOUS_MASTER_KEY is the master key" in output
    assert all(MasterKey.from_base64(key).key_id in output for key in (right, wrong, other))
    assert not any(key in output for key in (right, wrong, other))
    assert "Traceback" not in output


async def test_revoking_the_only_key_keeps_to_the_services_master_key(databases: Databases) -> None:
    """In the middle of the change the successor is sealed as the services can open it, not as the operator will."""
    old, new = new_master_key(), new_master_key()
    operator = KeyOperator(databases, MasterKey.from_base64(old))
    only = await operator.create()
    operator.master_key = MasterKey.from_base64(new, previous=old)
    revoked = await operator.revoke(only.kid, force=True)
    assert revoked.successor is not None
    assert revoked.successor.master_key_id == MasterKey.from_base64(old).key_id


def test_previous_master_key_opens_what_it_sealed() -> None:
    """Whatever else lies sealed in the database opens during the change, for what it was sealed for alone."""
    old, new = new_master_key(), new_master_key()
    sealed = MasterKey.from_base64(old).seal(b"an answer", "its purpose")
    both = MasterKey.from_base64(new, previous=old)
    assert both.unseal(sealed, "its purpose") == b"an answer"
    assert MasterKey.from_base64(new).unseal(both.seal(b"another", "x"), "x") == b"another"
    with pytest.raises(SealBroken):
        both.unseal(sealed, "another purpose")
    with pytest.raises(SealBroken):
        MasterKey.from_base64(new).unseal(sealed, "its purpose")
    assert old not in repr(both)
    assert new not in repr(both)


async def test_stranger_makes_no_key(databases: Databases) -> None:
    """Neither of two master keys that the services do not have seals a key that no service could open."""
    operator = KeyOperator(databases)
    await operator.create()
    strange = MasterKey.from_base64(new_master_key(), previous=new_master_key())
    with pytest.raises(Conflict, match="set AUTH_MASTER_KEY to the one that the services use"):
        await operator.run(lambda c: create_key(c, ACTOR, strange, "ES256"))
