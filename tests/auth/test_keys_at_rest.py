"""What a thief of the database gets, what the run-time role may do, and what a wrong master key does."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import sys
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from auth_service.administration.errors import AdministrationError
from auth_service.administration.keys import create_key
from auth_service.master_key import MasterKey, SealBroken
from auth_service.settings import AuthSettings
from steelcut.service.process.serving import run
from tests.support.databases import Databases
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, System, seed


def new_master_key() -> str:
    """A master key as the environment carries it."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def test_private_keys_are_sealed(system: System) -> None:
    """The stored private part is no key; it opens under the master key and its own kid alone."""
    kid, sealed = await system.as_owner(lambda c: c.fetchrow("SELECT kid, sealed_private FROM signing_keys"))
    master_key = MasterKey.from_base64(system.master_key)
    with pytest.raises(ValueError, match="deserialize"):
        load_der_private_key(sealed, password=None)
    load_der_private_key(master_key.unseal(sealed, kid), password=None)
    with pytest.raises(SealBroken):
        master_key.unseal(sealed, "another-kid")
    with pytest.raises(SealBroken):
        MasterKey.from_base64(new_master_key()).unseal(sealed, kid)


async def test_secrets_are_stored_as_salted_hashes(system: System) -> None:
    """No column holds a secret, and the same secret would never give the same hash."""
    rows = await system.as_owner(lambda c: c.fetch("SELECT * FROM client_secrets"))
    assert all(system.client.secret not in str(dict(row)) for row in rows)
    hashes = [row["hash"] for row in rows]
    assert all(stored.startswith("{SSHA256}") for stored in hashes)


def test_secret_material_has_no_repr() -> None:
    """Neither keys nor secrets show themselves when an object is printed."""
    text = new_master_key()
    assert text not in repr(MasterKey.from_base64(text))
    from auth_service import client_secrets, signing_keys  # noqa: PLC0415

    secret = client_secrets.generate()
    assert secret.value not in repr(secret)
    key = signing_keys.generate("ES256")
    assert repr(key.private_der) not in repr(key)


async def start(databases: Databases, **environment: str) -> tuple[int, str]:
    """Start the service as an operator does; return its exit code and what it said. It must end by itself."""
    variables = {
        "PATH": os.environ["PATH"],
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_MASTER_KEY": new_master_key(),
        "AUTH_PORT": "0",
        "AUTH_DATABASE_WAIT_SECONDS": "1",
        **environment,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "auth_service",
        env={name: value for name, value in variables.items() if value},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_wrong_master_key_refuses_to_start(databases: Databases) -> None:
    """A process that could not open the keys says so in a sentence, names both key ids, and ends."""
    await seed(databases, "http://127.0.0.1:1", new_master_key())
    code, output = await start(databases)
    assert code == 3
    assert "AUTH_MASTER_KEY is not the master key that sealed the signing key" in output
    assert "Traceback" not in output


async def test_refuses_to_run_as_the_owner(databases: Databases) -> None:
    """The services never hold the owner's rights."""
    code, output = await start(databases, AUTH_DATABASE_URL=databases.auth.owner)
    assert code == 3
    assert "owner of its tables" in output
    assert "Traceback" not in output
    assert "owner-password" not in output


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DROP TABLE signing_keys CASCADE", "has not the schema of this version"),
        ("REVOKE ALL ON signing_keys FROM auth_runtime", "run-time role may not read the auth database"),
    ],
)
async def test_database_without_schema(databases: Databases, statement: str, sentence: str) -> None:
    """An empty database is told apart from a missing one and from a closed one, with what to do."""
    connection = await asyncpg.connect(databases.auth.owner)
    await connection.execute(statement)
    await connection.close()
    code, output = await start(databases)
    assert code == 3
    assert f"{sentence}: run `steelcut db upgrade`" in output
    assert "Traceback" not in output


CONFIGURATION_MISTAKES = [
    ("no database", {"AUTH_DATABASE_URL": ""}, "AUTH_DATABASE_URL is not set"),
    (
        "no PostgreSQL",
        {"AUTH_DATABASE_URL": "mysql://u:hidden-pw@h/d"},
        "AUTH_DATABASE_URL: must look like",
    ),
    ("no master key", {"AUTH_MASTER_KEY": ""}, "AUTH_MASTER_KEY is not set"),
    ("short master key", {"AUTH_MASTER_KEY": "c2hvcnQ="}, "must be 32 random bytes in base64"),
    ("placeholder", {"AUTH_MASTER_KEY": "change-me"}, "is still the placeholder"),
    (
        "missing file",
        {"AUTH_MASTER_KEY": "", "AUTH_MASTER_KEY_FILE": "/nowhere"},
        "AUTH_MASTER_KEY_FILE cannot",
    ),
    ("file and value", {"AUTH_MASTER_KEY_FILE": "/dev/null"}, "are both set"),
    ("issuer over http", {"AUTH_ISSUER": "http://auth.example.com"}, "must be https"),
    ("issuer with query", {"AUTH_ISSUER": "https://auth.example.com?x"}, "no query"),
    ("issuer with slash", {"AUTH_ISSUER": "https://auth.example.com/"}, "not end in a slash"),
    (
        "lifetime of zero",
        {"AUTH_TOKEN_LIFETIME_SECONDS": "0"},
        "AUTH_TOKEN_LIFETIME_SECONDS: input should be",
    ),
    ("unknown algorithm", {"AUTH_SIGNING_ALGORITHM": "HS256"}, "AUTH_SIGNING_ALGORITHM: input should be"),
    (
        "port of PostgreSQL",
        {"AUTH_DATABASE_URL": "postgresql://u:hidden-pw@127.0.0.1:99999/d"},
        "AUTH_DATABASE_URL: a port is no number from 1 to 65535",
    ),
    (
        "slash in a password",
        {"AUTH_LISTEN_DATABASE_URL": "postgresql://u:hidden/pw@127.0.0.1:5432/d"},
        "a /, ? or # in the password is not written as %2F, %3F or %23.",
    ),
    (
        "half an address",
        {"AUTH_ADMIN_DATABASE_URL": "postgresql://u:hidden-pw@[::1/d"},
        "AUTH_ADMIN_DATABASE_URL: must look like postgresql://",
    ),
    (
        "size of no cache",
        {"AUTH_LISTEN_DATABASE_URL": "postgresql://u:hidden-pw@127.0.0.1/d?statement_cache_size=none"},
        "AUTH_LISTEN_DATABASE_URL: statement_cache_size must be a number, 0 behind a pooler.",
    ),
    (
        "unknown TLS",
        {"AUTH_DATABASE_URL": "postgresql://u:hidden-pw@127.0.0.1/d?sslmode=on"},
        "AUTH_DATABASE_URL: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full.",
    ),
    (
        "unknown kind of host",
        {"AUTH_LISTEN_DATABASE_URL": "postgresql://u:hidden-pw@127.0.0.1/d?target_session_attrs=master"},
        "AUTH_LISTEN_DATABASE_URL: target_session_attrs must be one of any, primary, standby,",
    ),
    (
        "certificate that is not there",
        {
            "AUTH_DATABASE_URL": "postgresql://u:hidden-pw@127.0.0.1/d?sslmode=verify-full&sslrootcert=/no/file"
        },
        "AUTH_DATABASE_URL: the file that sslrootcert names is not there.",
    ),
    (
        "port of Redis",
        {"AUTH_LIMITS_URL": "redis://:hidden-pw@127.0.0.1:x/0"},
        "AUTH_LIMITS_URL: must look like",
    ),
    ("Redis without a port", {"AUTH_LIMITS_URL": "redis://redis/0"}, "AUTH_LIMITS_URL: must look like"),
    ("half of Redis", {"AUTH_LIMITS_URL": "redis://:hidden-pw@[::1/0"}, "AUTH_LIMITS_URL: must look like"),
    ("quota of nothing", {"AUTH_QUOTA_TOKENS": "0/minute"}, "AUTH_QUOTA_TOKENS: must look like 600/minute"),
    (
        "two quotas",
        {"AUTH_QUOTA_TOKENS": "5/second;60/minute"},
        "AUTH_QUOTA_TOKENS: must look like 600/minute",
    ),
    (
        "too few ports",
        {"AUTH_METRICS_PORT": "65535", "AUTH_WORKERS": "2"},
        "AUTH_METRICS_PORT: 2 processes take the ports from it on, of which there are none after 65535.",
    ),
    (
        "one port twice",
        {"AUTH_METRICS_PORT": "7999", "AUTH_WORKERS": "2", "AUTH_PORT": "8000"},
        "AUTH_METRICS_PORT: it, and those that follow it for several processes, must not be AUTH_PORT.",
    ),
    ("two mistakes", {"AUTH_MASTER_KEY": "", "AUTH_PORT": "99999"}, "AUTH_PORT: input should be"),
]


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [m[1:] for m in CONFIGURATION_MISTAKES],
    ids=[m[0] for m in CONFIGURATION_MISTAKES],
)
def test_configuration_mistakes(
    environment: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each mistake in the environment is one sentence, without a value and without a traceback."""
    sound = {
        "AUTH_DATABASE_URL": "postgresql://u:hidden-pw@127.0.0.1:1/d",
        "AUTH_MASTER_KEY": new_master_key(),
    }
    for name, value in {**sound, **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        run("auth_service", "auth_service.app:create_app", AuthSettings, [])
    output = capsys.readouterr().err
    assert end.value.code == 2
    assert sentence in output
    assert all(line.startswith("auth_service: AUTH_") for line in output.splitlines())
    assert "hidden-pw" not in output


async def test_database_that_does_not_answer(databases: Databases) -> None:
    """A service waits for its database for as long as it was told, then says where to look, and ends."""
    code, output = await start(databases, AUTH_DATABASE_URL="postgresql://u:hidden-pw@127.0.0.1:1/d")
    assert code == 3
    assert "did not answer within 1 seconds" in output
    assert "Traceback" not in output
    assert "hidden-pw" not in output


async def test_key_made_after_the_start_is_taken_up(databases: Databases) -> None:
    """A service without a key is alive but not ready; `keys create` makes it ready without a restart."""
    from tests.support.system import running_system  # noqa: PLC0415

    async with (
        running_system(databases, cache_max_age_seconds=0) as system,
        http_client(base_url=system.issuer) as http,
    ):
        await system.as_owner(lambda c: c.execute("DELETE FROM signing_keys"))
        await system.auth_process.refresh()
        unready = await http.get("/readyz")
        refused = await http.post("/token", data=GRANT, auth=system.client.basic)
        master_key = MasterKey.from_base64(system.master_key)
        await system.as_admin(lambda c: create_key(c, ACTOR, master_key, "ES256"))
        await system.auth_process.refresh()
        ready = await http.get("/readyz")
    assert (unready.status_code, ready.status_code) == (503, 200)
    assert "steelcut keys create" in unready.json()["checks"]["signing_key"]
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert refused.headers["retry-after"]


async def test_second_key_waits_for_its_promotion(start_system: Any) -> None:
    """A second key is published but does not sign: no verifier could know it yet."""
    system: System = await start_system()
    master_key = MasterKey.from_base64(system.master_key)
    second = await system.as_admin(lambda c: create_key(c, ACTOR, master_key, "EdDSA"))
    await system.auth_process.refresh()
    async with http_client(base_url=system.issuer) as http:
        keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
    assert second.state == "pending"
    assert {key["alg"] for key in keys} == {"ES256", "EdDSA"}
    assert system.auth_process.key_ring.active.kid != second.kid


async def test_key_under_another_master_key_is_not_made(system: System) -> None:
    """An operator with the wrong master key is stopped before a key that no service could open exists."""
    wrong = MasterKey.from_base64(new_master_key())
    with pytest.raises(AdministrationError, match="sealed under the master key"):
        await system.as_admin(lambda c: create_key(c, ACTOR, wrong, "ES256"))
