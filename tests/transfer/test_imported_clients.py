"""Clients of other servers at ``POST /token``: their old secrets work, and their slow hashes stop nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from auth_service.administration.secrets import revoke_secret, rotate_secret
from tests.support.foreign import (
    HASHES,
    SECRET,
    SlowHashes,
    ask,
    bcrypt_hash,
    import_old_client,
    take_old_clients,
)
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System


async def test_old_secrets_get_tokens(start_system: Any) -> None:
    """Whoever made the hash, its client gets a token here with the secret that it has, and not with another."""
    system: System = await start_system()
    await take_old_clients(system, {name: make() for name, make in HASHES.items()})
    async with http_client(base_url=system.issuer) as http:
        right = {name: (await ask(http, Registered(name, SECRET))).status_code for name in HASHES}
        wrong = {name: (await ask(http, Registered(name, SECRET + "x"))).status_code for name in HASHES}
    assert right == dict.fromkeys(HASHES, 200)
    assert wrong == dict.fromkeys(HASHES, 401)


async def test_second_request_computes_no_slow_hash(start_system: Any, slow: SlowHashes) -> None:
    """The first request of an imported client costs one slow hash, later ones none, also once the cache is cold."""
    system: System = await start_system(cache_max_age_seconds=0)
    client = await import_old_client(system)
    async with http_client(base_url=system.issuer) as http:
        for _ in range(3):
            assert (await ask(http, client)).status_code == 200
    assert len(slow.seen) == 1


async def test_remembered_client_costs_no_query(
    start_system: Any, slow: SlowHashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second request on an imported client costs what any other does: nothing of the database."""
    system: System = await start_system(cache_max_age_seconds=300)
    client = await import_old_client(system)
    await system.heard()
    loads: list[str] = []
    load = system.auth_process.registry.load

    async def counted(client_id: str) -> Any:
        loads.append(client_id)
        return await load(client_id)

    monkeypatch.setattr(system.auth_process.registry, "load", counted)
    async with http_client(base_url=system.issuer) as http:
        for _ in range(3):
            assert (await ask(http, client)).status_code == 200
    assert (loads, len(slow.seen)) == ([client.client_id], 1)


async def test_all_that_fail_look_alike_and_cost_alike(start_system: Any, slow: SlowHashes) -> None:
    """Wrong secret, unknown client, client without an old secret: one answer, and one slow hash each."""
    system: System = await start_system()
    await import_old_client(system)
    await system.auth_process.refresh()
    guesses = [Registered(client_id, "guess") for client_id in ("old", "nobody", system.client.client_id)]
    async with http_client(base_url=system.issuer) as http:
        answers = [await ask(http, guess) for guess in guesses]
        # Again: nothing is learnt from a second try either.
        answers += [await ask(http, guess) for guess in guesses]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    headers = [
        {name: value for name, value in answer.headers.items() if name not in {"x-trace-id", "date"}}
        for answer in answers
    ]
    assert headers == [headers[0]] * 6
    assert len(slow.seen) == 6


async def test_decoy_opens_nothing(start_system: Any, slow: SlowHashes) -> None:
    """The old secret of one client, which is computed in vain for another, makes that one no client."""
    system: System = await start_system()
    client = await import_old_client(system)
    await system.auth_process.refresh()
    async with http_client(base_url=system.issuer) as http:
        for client_id in ("nobody", system.client.client_id):
            for _ in range(2):
                assert (await ask(http, Registered(client_id, client.secret))).status_code == 401
        assert slow.seen
        assert (await ask(http, client)).status_code == 200


async def test_no_slow_hash_where_nobody_has_one(start_system: Any, slow: SlowHashes) -> None:
    """A system without imported clients computes no slow hash, whatever is sent."""
    system: System = await start_system()
    async with http_client(base_url=system.issuer) as http:
        for client_id in ("nobody", system.client.client_id):
            assert (await ask(http, Registered(client_id, "guess"))).status_code == 401
    assert slow.seen == []


async def test_mistyped_secret_of_ours_is_looked_up_nowhere(
    start_system: Any, slow: SlowHashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checksum still refuses a typo before anything is looked up or computed."""
    system: System = await start_system()
    await import_old_client(system)
    await system.auth_process.refresh()
    monkeypatch.setattr(system.auth_process.registry, "load", None)
    async with http_client(base_url=system.issuer) as http:
        answer = await ask(http, Registered("old", system.client.secret[:-1]))
    assert answer.status_code == 401
    assert slow.seen == []


async def test_rotation_away_from_an_old_secret(start_system: Any) -> None:
    """Old and new secret work side by side, and the old one no more once it is revoked, however well remembered."""
    system: System = await start_system(cache_max_age_seconds=300)
    client = await import_old_client(system)
    async with http_client(base_url=system.issuer) as http:
        assert (await ask(http, client)).status_code == 200
        rotated = await system.as_admin(
            lambda c: rotate_secret(c, ACTOR, client.client_id, overlap=timedelta(hours=1))
        )
        fresh = Registered(client.client_id, rotated.added.value)
        assert [(await ask(http, one)).status_code for one in (client, fresh)] == [200, 200]
        (replaced,) = rotated.replaced
        assert replaced.secret_id.startswith("imported-")
        await system.as_admin(
            lambda c: revoke_secret(c, ACTOR, client.client_id, replaced.secret_id, force=True)
        )
        system.auth_process.registry.forget_all()
        assert [(await ask(http, one)).status_code for one in (client, fresh)] == [401, 200]


async def test_expired_old_secret_is_refused(start_system: Any) -> None:
    """An old secret ends at its moment, also for a client that is cached and remembered."""
    system: System = await start_system(cache_max_age_seconds=300)
    client = await import_old_client(system)
    now = system.auth_process.clock()
    await system.as_owner(
        lambda c: c.execute(
            "UPDATE client_secrets SET expires_at = to_timestamp($1) WHERE client_id = 'old'", now + 60
        )
    )
    async with http_client(base_url=system.issuer) as http:
        before = await ask(http, client)
        system.auth_process.clock = lambda: now + 61
        after = await ask(http, client)
    assert (before.status_code, after.status_code) == (200, 401)


async def test_disabled_imported_client_is_refused(start_system: Any) -> None:
    """A client that was thrown out is out, by whichever secret it comes."""
    system: System = await start_system(cache_max_age_seconds=0)
    client = await import_old_client(system)
    async with http_client(base_url=system.issuer) as http:
        assert (await ask(http, client)).status_code == 200
        await system.as_owner(
            lambda c: c.execute("UPDATE clients SET enabled = false WHERE client_id = 'old'")
        )
        assert (await ask(http, client)).status_code == 401


async def test_a_client_has_one_old_secret(start_system: Any) -> None:
    """The schema allows no second one: each would cost a slow hash at every try."""
    system: System = await start_system()
    await import_old_client(system)
    with pytest.raises(Exception, match="client_secrets_imported"):
        await system.as_admin(
            lambda c: c.execute(
                "INSERT INTO client_secrets (client_id, secret_id, hash) VALUES ('old', 'imported-2', $1)",
                bcrypt_hash(),
            )
        )


async def test_log_and_answer_hold_neither_secret_nor_hash(start_system: Any) -> None:
    """What came from another server is as secret as what was made here."""
    system: System = await start_system()
    client = await import_old_client(system)
    hashed = await system.as_admin(
        lambda c: c.fetchval("SELECT hash FROM client_secrets WHERE client_id = 'old'")
    )
    async with http_client(base_url=system.issuer) as http:
        answers = [await ask(http, client), await ask(http, Registered("old", "a-wrong-guess"))]
    text = system.log.text + "".join(answer.text for answer in answers)
    for kept in (client.secret, "a-wrong-guess", hashed.rpartition("$")[2]):
        assert kept not in text
    assert repr(system.auth_process.imported_secrets).startswith("<auth_service.")


STEELCUT_OAUTH = {"client_id": "old", "client_secret": SECRET, "resource": RESOURCE}


async def test_request_of_steelcut_oauth_is_answered_in_its_words(start_system: Any) -> None:
    """Its client functions send secret and short name in the body, and keep the token until ``expires_on``."""
    system: System = await start_system()
    await import_old_client(system)
    async with http_client(base_url=system.issuer) as http:
        answer = (await http.post("/token", data={**GRANT, **STEELCUT_OAUTH})).json()
        assert answer.keys() == {"access_token", "token_type", "expires_in", "scope", "expires_on"}
        remaining = answer["expires_on"] - system.auth_process.clock()
        assert answer["expires_in"] - 60 < remaining <= answer["expires_in"]
        # And with that token, and the header that its second function sends with every GET:
        document = await http.get(
            system.document_url,
            headers={"Content-Type": "application/json", "Authorization": "Bearer " + answer["access_token"]},
        )
        assert document.json() == {"about": "This is a protected resource"}
        for other in ({"resource": system.document_url}, {"resource": ""}):
            plain = (await http.post("/token", data={**GRANT, **STEELCUT_OAUTH, **other})).json()
            assert "expires_on" not in plain
