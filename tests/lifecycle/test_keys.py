"""A signing key's life: each step is refused until it can break nothing, and exactly one key signs, always."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import get_default_algorithms

from auth_service import signing_keys
from auth_service.administration.errors import AdministrationError, Conflict, NotFound, TooEarly
from auth_service.administration.keys import export_keys
from auth_service.key_life import LEEWAY_SECONDS, MARGIN_SECONDS
from auth_service.master_key import MasterKey
from auth_service.settings import REFRESHING_SECONDS
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.lifecycle.key_operator import TIMING, KeyOperator, new_master_key
from tests.support.databases import Databases
from tests.support.outage import outage
from tests.support.plain_http import http_client
from tests.support.replicas import auth_replicas
from tests.support.system import GRANT, System, as_owner, seed

PUBLICATION = 300 + 5 + MARGIN_SECONDS
DRAIN = 600 + 5 + LEEWAY_SECONDS + MARGIN_SECONDS
# Longer than a test takes between two statements, shorter than any wait.
MOMENT = 5


@pytest.fixture
def operator(databases: Databases) -> KeyOperator:
    """Somebody with an empty database."""
    return KeyOperator(databases)


async def rotated(operator: KeyOperator) -> tuple[str, str]:
    """Make two keys and let the second take over; return their ids."""
    old, new = await operator.create(), await operator.create()
    await operator.let_time_pass(PUBLICATION)
    await operator.promote(new.kid)
    return old.kid, new.kid


async def test_promotion_waits_until_every_verifier_knows_the_key(operator: KeyOperator) -> None:
    """Too early, it names the moment from which it is allowed; from then on it is."""
    old, new = await operator.create(), await operator.create()
    await operator.let_time_pass(PUBLICATION - MOMENT)
    with pytest.raises(
        TooEarly, match=r"may not sign yet: .* allowed from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    ) as early:
        await operator.promote(new.kid)
    listed = {key.kid: key for key in await operator.keys()}
    assert early.value.allowed_from == listed[new.kid].next_at
    assert early.value.allowed_from == listed[new.kid].created_at + timedelta(seconds=PUBLICATION)
    assert await operator.states() == {old.kid: "active", new.kid: "pending"}
    await operator.let_time_pass(MOMENT)
    promoted = await operator.promote(new.kid)
    assert (promoted.state, promoted.next_action) == ("active", None)
    assert await operator.states() == {old.kid: "retiring", new.kid: "active"}


async def test_retirement_waits_until_the_last_token_has_expired(operator: KeyOperator) -> None:
    """A token signed in the last second by a replica that had not heard of the change still finds its key."""
    old, new = await rotated(operator)
    await operator.let_time_pass(DRAIN - MOMENT)
    with pytest.raises(TooEarly, match=r"still needed: tokens .* allowed from .* UTC on") as early:
        await operator.retire(old)
    (summary,) = [key for key in await operator.keys() if key.kid == old]
    assert summary.next_at == early.value.allowed_from
    assert summary.retiring_at is not None
    assert early.value.allowed_from == summary.retiring_at + timedelta(seconds=DRAIN)
    await operator.let_time_pass(MOMENT)
    retired = await operator.retire(old)
    assert (retired.state, retired.compromised, retired.next_at) == ("retired", False, None)
    assert await operator.states() == {old: "retired", new: "active"}


async def test_retired_key_has_no_private_part(operator: KeyOperator) -> None:
    """Not even the master key brings it back."""
    old, _ = await rotated(operator)
    await operator.let_time_pass(DRAIN)
    await operator.retire(old)
    sealed = await operator.run(
        lambda c: c.fetchval("SELECT sealed_private FROM signing_keys WHERE kid = $1", old)
    )
    assert sealed == b""


async def test_force_promotes_before_the_time(operator: KeyOperator) -> None:
    """Who must may take the risk; the old key stays published for its tokens, and the audit log says it was forced."""
    old, new = await operator.create(), await operator.create()
    await operator.promote(new.kid, force=True)
    assert await operator.states() == {old.kid: "retiring", new.kid: "active"}
    after = await operator.run(
        lambda c: c.fetchval("SELECT after FROM audit_events WHERE action = 'key.promote'")
    )
    assert orjson.loads(after) == {"state": "active", "forced": True}


async def test_compromised_key_is_gone_at_once_and_signing_goes_on(operator: KeyOperator) -> None:
    """The spare key signs in its place, published long enough or not; without a spare one a new one does."""
    first, spare = await operator.create(), await operator.create()
    revoked = await operator.revoke(first.kid, force=True)
    assert (revoked.key.state, revoked.key.compromised) == ("retired", True)
    assert revoked.successor is not None
    assert (revoked.successor.kid, revoked.successor.state) == (spare.kid, "active")
    again = await operator.revoke(spare.kid, force=True)
    assert again.successor is not None
    assert await operator.states() == {
        first.kid: "retired",
        spare.kid: "retired",
        again.successor.kid: "active",
    }
    assert again.key.retired_at is not None
    held = again.held_until - again.key.retired_at
    assert held == timedelta(seconds=PUBLICATION)


async def test_revocation_without_force_breaks_no_token(operator: KeyOperator) -> None:
    """A key that never signed may go at once, and one whose tokens are gone; neither is called compromised."""
    old, new = await rotated(operator)
    spare = await operator.create()
    with pytest.raises(TooEarly, match="tokens signed by it may live"):
        await operator.revoke(old)
    with pytest.raises(Conflict, match="signs: promote another one first"):
        await operator.revoke(new)
    revoked = await operator.revoke(spare.kid)
    assert (revoked.key.state, revoked.key.compromised, revoked.successor) == ("retired", False, None)
    await operator.let_time_pass(DRAIN)
    assert (await operator.revoke(old)).key.state == "retired"
    assert await operator.states() == {old: "retired", spare.kid: "retired", new: "active"}


REFUSED: list[tuple[str, Callable[[KeyOperator, dict[str, str]], Awaitable[Any]], str]] = [
    ("promote the active one", lambda o, k: o.promote(k["active"]), "is active: only a pending key"),
    (
        "promote a retiring one",
        lambda o, k: o.promote(k["retiring"], force=True),
        "is retiring: only a pending",
    ),
    (
        "promote a retired one",
        lambda o, k: o.promote(k["retired"], force=True),
        "is retired: only a pending key",
    ),
    ("retire the active one", lambda o, k: o.retire(k["active"]), "signs: promote another one first"),
    ("retire a pending one", lambda o, k: o.retire(k["pending"]), "is pending: only a retiring key"),
    ("retire it twice", lambda o, k: o.retire(k["retired"]), "is retired: only a retiring key"),
    ("revoke it twice", lambda o, k: o.revoke(k["retired"], force=True), "is in no key set any more"),
    ("promote nothing", lambda o, _: o.promote("nothing"), "no signing key with this id"),
    ("retire nothing", lambda o, _: o.retire("a\x00b"), "no signing key with this id"),
    ("revoke nothing", lambda o, _: o.revoke("", force=True), "no signing key with this id"),
]


async def test_steps_that_no_state_allows(operator: KeyOperator) -> None:
    """Each is one sentence, and leaves the keys and the audit log as they were."""
    retired, retiring = await rotated(operator)
    await operator.let_time_pass(DRAIN)
    await operator.retire(retired)
    active, pending = await operator.create(), await operator.create()
    await operator.promote(active.kid, force=True)
    kids = {"retired": retired, "retiring": retiring, "active": active.kid, "pending": pending.kid}
    before = await operator.keys(), await operator.events()
    assert {key.state: key.kid for key in before[0]} == kids
    for name, work, sentence in REFUSED:
        with pytest.raises(AdministrationError, match=sentence):
            await work(operator, kids)
        assert (await operator.keys(), await operator.events()) == before, name
    with pytest.raises(NotFound):
        await operator.promote("nothing")


async def test_every_change_of_a_key_is_in_the_audit_log(operator: KeyOperator) -> None:
    """With what it was before and after, and without a private part."""
    old, new = await rotated(operator)
    await operator.let_time_pass(DRAIN)
    await operator.retire(old)
    successor = (await operator.revoke(new, force=True)).successor
    assert successor is not None
    assert await operator.events() == [
        ("key.create", old),
        ("key.create", new),
        ("key.supersede", old),
        ("key.promote", new),
        ("key.retire", old),
        ("key.revoke", new),
        ("key.create", successor.kid),
    ]
    rows = await operator.run(
        lambda c: c.fetch("SELECT before, after FROM audit_events WHERE object_id = $1", new)
    )
    changes = [(row["before"] and orjson.loads(row["before"]), orjson.loads(row["after"])) for row in rows]
    assert ({"state": "pending"}, {"state": "active", "forced": False}) in changes
    assert ({"state": "active"}, {"state": "retired", "compromised": True}) in changes


async def test_exactly_one_key_signs_whatever_happens_at_once(operator: KeyOperator) -> None:
    """Twelve operators who promote, revoke and rotate at the same time leave one active key, and no moment without."""
    await operator.create()
    spare = [await operator.create() for _ in range(4)]
    await operator.let_time_pass(PUBLICATION)
    watching = asyncio.create_task(_watch_active(operator))
    work: list[Awaitable[Any]] = [operator.promote(key.kid) for key in spare]
    work += [operator.revoke(key.kid, force=True) for key in spare]
    work += [operator.rotate() for _ in range(4)]
    results = await asyncio.gather(*work, return_exceptions=True)
    watching.cancel()
    assert all(isinstance(result, Conflict) or not isinstance(result, Exception) for result in results)
    counted = await asyncio.gather(watching, return_exceptions=True)
    assert isinstance(counted[0], asyncio.CancelledError)
    assert list((await operator.states()).values()).count("active") == 1


async def _watch_active(operator: KeyOperator) -> None:
    async def watch(connection: asyncpg.Connection[Any]) -> None:
        while True:
            count = await connection.fetchval("SELECT count(*) FROM signing_keys WHERE state = 'active'")
            assert count == 1

    await as_owner(operator.databases.auth.runtime, watch)


async def test_replicas_note_what_is_in_force(start_system: Any) -> None:
    """An operator's environment may say less than the services do: the longest that any replica said counts."""
    system: System = await start_system(
        token_lifetime_seconds=7200, jwks_max_age_seconds=900, cache_max_age_seconds=7.5, stale_seconds=30
    )
    # As long as it goes on with the keys it has read, and what it takes to read them.
    known = math.ceil(7.5 + 30 + REFRESHING_SECONDS)
    operator = KeyOperator(system.databases, MasterKey.from_base64(system.master_key))
    new = await operator.create()
    await system.auth_process.refresh()
    (summary,) = [key for key in await operator.keys() if key.kid == new.kid]
    assert summary.next_at == summary.created_at + timedelta(seconds=900 + known + MARGIN_SECONDS)
    await operator.promote(new.kid, force=True)
    (old,) = [key for key in await operator.keys() if key.state == "retiring"]
    assert old.retiring_at is not None
    drain = timedelta(seconds=7200 + known + LEEWAY_SECONDS + MARGIN_SECONDS)
    assert old.next_at == old.retiring_at + drain


async def test_replica_that_is_cut_off_signs_no_longer_than_a_rotation_waits(
    start_system: Any, postgres: EmbeddedPostgres
) -> None:
    """Its clients are known for longer; but its key may be retired by now, and its key set is not to be kept."""
    system: System = await start_system(cache_max_age_seconds=300, stale_seconds=0)
    ring, known = system.auth_process.key_ring, 300 + REFRESHING_SECONDS
    await system.heard()
    async with http_client() as http:
        await _token(http, system)
        async with outage(postgres, system.databases.auth.owner):
            await _token(http, system)
            ring._monotonic = lambda: time.monotonic() + known
            refused = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
            key_set = await http.get(f"{system.issuer}/.well-known/jwks.json")
            ready = await http.get(f"{system.issuer}/readyz")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert system.log.of(refused)["reason"] == "the signing keys were not read for too long"
    assert key_set.json()["keys"]
    assert key_set.headers["cache-control"] == "no-store"
    assert ready.json()["checks"]["signing_key"] == "the keys were not read for too long"
    await system.auth_process.refresh()
    async with http_client() as http:
        await _token(http, system)
        key_set = await http.get(f"{system.issuer}/.well-known/jwks.json")
    assert key_set.headers["cache-control"] == "public, max-age=300"


async def test_replica_of_a_read_only_database_serves(databases: Databases) -> None:
    """Where nothing can be noted, on a standby or in the middle of a failover, tokens are given out all the same."""
    master_key = new_master_key()
    client = await seed(databases, "http://127.0.0.1:8001", master_key)
    name = databases.auth.owner.rpartition("/")[2]
    await as_owner(
        databases.auth.owner,
        lambda c: c.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on"),
    )
    async with auth_replicas(databases, master_key, 1) as (replica,):
        status, _ = await replica.ask(client)
    assert status == 200
    noted = await as_owner(
        databases.auth.owner, lambda c: c.fetchval("SELECT lifetime_limit FROM signing_keys")
    )
    assert noted == 0


async def test_run_time_role_can_only_lengthen_the_waits(operator: KeyOperator) -> None:
    """Who takes over a replica can delay a rotation by a day, and neither hasten it nor change a key otherwise."""
    key = await operator.create()
    before = await operator.run(lambda c: c.fetchrow("SELECT * FROM signing_keys"))

    async def note(connection: asyncpg.Connection[Any], *numbers: int) -> Any:
        await connection.execute("SELECT note_key_in_service($1, $2, $3, $4)", [key.kid], *numbers)
        return await connection.fetchrow("SELECT * FROM signing_keys")

    runtime = operator.databases.auth.runtime
    raised = await as_owner(runtime, lambda c: note(c, 700_000, 400, 10))
    assert (raised["lifetime_limit"], raised["jwks_age_limit"], raised["refresh_limit"]) == (86_400, 400, 10)
    lowered = await as_owner(runtime, lambda c: note(c, 1, 1, 1))
    assert lowered == raised
    mixed = await as_owner(runtime, lambda c: note(c, 1, 1, 20))
    assert (mixed["lifetime_limit"], mixed["jwks_age_limit"], mixed["refresh_limit"]) == (86_400, 400, 20)
    limits = {"lifetime_limit", "jwks_age_limit", "refresh_limit"}
    assert {name for name in before.keys() if before[name] != raised[name]} == limits  # noqa: SIM118 - no dict


async def test_revoked_key_leaves_every_answer_at_once(start_system: Any) -> None:
    """The key set loses it within a second, its successor signs, and who fetches the set refuses its tokens."""
    system: System = await start_system(cache_max_age_seconds=300)
    operator = KeyOperator(system.databases, MasterKey.from_base64(system.master_key), TIMING)
    (old,) = await operator.keys()
    async with http_client() as http:
        token = await _token(http, system)
        assert (await _document(http, system, token)).status_code == 200
        revoked = await operator.revoke(old.kid, force=True)
        assert revoked.successor is not None
        async with asyncio.timeout(1):
            while old.kid in (published := await _published(http, system)):
                pass
        successors = await _token(http, system)
        fetched = await _document(http, system, successors)
        refused = await _document(http, system, token)
    assert published == [revoked.successor.kid]
    assert (fetched.status_code, refused.status_code) == (200, 401)


async def _token(http: httpx.AsyncClient, system: System) -> str:
    answer = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
    return str(answer.json()["access_token"])


async def _document(http: httpx.AsyncClient, system: System, token: str) -> httpx.Response:
    return await http.get(system.document_url, headers={"Authorization": f"Bearer {token}"})


async def _published(http: httpx.AsyncClient, system: System) -> list[str]:
    answer = await http.get(f"{system.issuer}/.well-known/jwks.json")
    return [key["kid"] for key in answer.json()["keys"]]


async def test_exported_keys_are_the_published_ones(start_system: Any) -> None:
    """As a JWK set they are what verifiers fetch; as PEM the same public keys; retired ones only by name."""
    system: System = await start_system()
    operator = KeyOperator(system.databases, MasterKey.from_base64(system.master_key))
    for algorithm in ("RS256", "EdDSA"):
        await operator.create(algorithm)
    gone = await operator.create()
    await operator.revoke(gone.kid)
    await system.auth_process.refresh()
    exported = await operator.run(export_keys)
    async with http_client() as http:
        served = (await http.get(f"{system.issuer}/.well-known/jwks.json")).json()
    assert {"keys": [key.jwk for key in exported]} == served
    for key in exported:
        jwa = get_default_algorithms()[key.jwk["alg"]]
        same = jwa.to_jwk(load_pem_public_key(key.pem.encode()), as_dict=True)
        assert {
            name: key.jwk[name] for name in ("x", "y", "n", "e") if name in key.jwk
        }.items() <= same.items()
    (named,) = await operator.run(lambda c: export_keys(c, gone.kid))
    assert (named.kid, named.state) == (gone.kid, "retired")


def test_no_key_id_looks_like_an_option() -> None:
    """`steelcut keys promote KID` must not take the id for an option, so none begins with a hyphen."""
    assert not any(signing_keys.generate("EdDSA").kid.startswith("-") for _ in range(400))
