"""`steelcut keys` at the terminal: a rotation from its first step to its last, a compromise, an export."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.cli.conftest import Steelcut
from tests.cli.terminal import Outcome
from tests.lifecycle.key_operator import KeyOperator, new_master_key
from tests.support.databases import Databases

MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
# Longer than all waits by the default settings.
LONG_ENOUGH = 4000


class Keys:
    """Runs `steelcut keys`."""

    def __init__(self, steelcut: Steelcut) -> None:
        self._steelcut = steelcut

    async def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Outcome:
        """Run a command; ``env`` adds variables, and takes one away by an empty value."""
        return await self._steelcut("keys", *arguments, env=env)


@pytest.fixture
def keys(steelcut: Steelcut) -> Keys:
    """`steelcut keys` as the administrator of an empty database runs it."""
    return Keys(steelcut)


@pytest.fixture
def clock(databases: Databases) -> KeyOperator:
    """Lets time pass."""
    return KeyOperator(databases)


async def test_rotation_step_by_step(keys: Keys, clock: KeyOperator) -> None:
    """Each run says what it did and what comes when; the last one that nothing is left."""
    first = (await keys("create", "--json")).json
    begun = await keys("rotate")
    assert begun.code == 0
    assert re.search(r"done\s+make and publish a key", begun.out)
    assert re.search(rf"from {MOMENT}\s+let it sign", begun.out)
    assert re.search(rf"from {MOMENT}\s+take it out of the key set\s+{first['kid']}", begun.out)
    assert "Run it again" in begun.out
    waiting = (await keys("rotate", "--json")).json
    assert (waiting["done"], [step["action"] for step in waiting["coming"]]) == ([], ["promote", "retire"])
    await clock.let_time_pass(LONG_ENOUGH)
    assert re.search(r"done\s+let it sign", (await keys("rotate")).out)
    await clock.let_time_pass(LONG_ENOUGH)
    ended = await keys("rotate")
    assert re.search(rf"done\s+take it out of the key set\s+{first['kid']}", ended.out)
    assert "The rotation is complete" in ended.out


async def test_steps_by_hand(keys: Keys, clock: KeyOperator) -> None:
    """Too early is a sentence with the moment and exit code 1; the list shows the same moment."""
    old, new = (await keys("create", "--json")).json, (await keys("create", "--json")).json
    listed = (await keys("list")).out
    assert re.search(rf"{old['kid']}\s+ES256\s+active\s+\d+ s\s+signs", listed)
    (moment,) = re.findall(rf"{new['kid']}\s+ES256\s+pending\s+\d+ s\s+promote, from ({MOMENT})", listed)
    early = await keys("promote", new["kid"])
    assert (early.code, early.out) == (1, "")
    assert early.err.startswith(f"steelcut: The key {new['kid']} may not sign yet")
    assert re.search(MOMENT, early.err)
    assert moment in early.err
    await clock.let_time_pass(LONG_ENOUGH)
    assert "promote, now" in (await keys("list")).out
    assert (await keys("promote", new["kid"], "--json")).json["state"] == "active"
    refused = await keys("retire", old["kid"])
    assert (refused.code, "tokens signed by it may live" in refused.err) == (1, True)
    await clock.let_time_pass(LONG_ENOUGH)
    assert (await keys("retire", old["kid"], "--json")).json["state"] == "retired"


async def test_compromise(keys: Keys) -> None:
    """One command: the key is gone, another signs, and the operator reads how long verifiers may still know it."""
    old = (await keys("create", "--json")).json["kid"]
    refused = await keys("revoke", old)
    assert (refused.code, "If it is compromised, revoke it with force" in refused.err) == (1, True)
    revoked = await keys("revoke", "--force", old, env={"AUTH_SIGNING_ALGORITHM": "EdDSA"})
    assert revoked.code == 0
    (successor,) = re.findall(r"signs from now on\s+(\S+)", revoked.out)
    assert re.search(rf"may know it until\s+{MOMENT}", revoked.out)
    states = {key["kid"]: (key["state"], key["compromised"]) for key in (await keys("list", "--json")).json}
    assert states == {old: ("retired", True), successor: ("active", False)}
    assert "revoked as compromised" in (await keys("list")).out


async def test_export(keys: Keys) -> None:
    """A JWK set and PEM, without a private part and without needing the master key."""
    kid = (await keys("create", "--algorithm", "RS256", "--json")).json["kid"]
    await keys("create")
    without = {"AUTH_MASTER_KEY": ""}
    published = (await keys("export", env=without)).json["keys"]
    assert [key["alg"] for key in published] == ["RS256", "ES256"]
    assert not any({"d", "p", "q"} & set(key) for key in published)
    pem = await keys("export", "--pem", kid, env=without)
    assert pem.out.startswith(f"# {kid} RS256 active\n-----BEGIN PUBLIC KEY-----\n")
    assert isinstance(load_pem_public_key(pem.out.partition("\n")[2].encode()), RSAPublicKey)
    assert (await keys("export", "nothing", env=without)).code == 1


async def test_reseal(keys: Keys) -> None:
    """It says which keys it sealed anew, what to do then, and the second time that there is nothing to do."""
    old, new = new_master_key(), new_master_key()
    kid = (await keys("create", "--json", env={"AUTH_MASTER_KEY": old})).json["kid"]
    lost = await keys("reseal", env={"AUTH_MASTER_KEY": new})
    assert (lost.code, "AUTH_PREVIOUS_MASTER_KEY" in lost.err) == (1, True)
    both = {"AUTH_MASTER_KEY": new, "AUTH_PREVIOUS_MASTER_KEY": old}
    done = await keys("reseal", env=both)
    assert kid in done.out
    assert "without AUTH_PREVIOUS_MASTER_KEY" in done.out
    assert (await keys("reseal", "--json", env=both)).json["resealed"] == []
    assert old not in done.out + lost.err


@pytest.mark.parametrize(
    "command", ["rotate", "promote x", "retire x", "revoke x", "reseal", "list", "export"]
)
async def test_without_the_administrators_url(keys: Keys, command: str) -> None:
    """Each command names the variable that it misses, with exit code 2."""
    refused = await keys(*command.split(), env={"AUTH_ADMIN_DATABASE_URL": ""})
    assert refused.code == 2
    assert "AUTH_ADMIN_DATABASE_URL is not set" in refused.err
    assert "Traceback" not in refused.err
