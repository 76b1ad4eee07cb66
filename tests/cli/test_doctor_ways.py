"""`steelcut doctor` on what lies between the parts: poolers, Redis, certificates."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.cli.doctoring import Doctor, of_databases, shows_none
from tests.support.certificates import Authority
from tests.support.databases import Databases, with_port
from tests.support.pgbouncer import not_started
from tests.support.redis_server import running_redis

MASTER_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
BEFORE = timedelta(days=-1)


@pytest.fixture
def doctor(databases: Databases) -> Doctor:
    """Somebody who has all variables of two empty databases, and no running service."""
    return Doctor({**of_databases(databases), "AUTH_MASTER_KEY": MASTER_KEY})


async def test_pooler_that_keeps_changes_from_the_service(
    doctor: Doctor, postgres: EmbeddedPostgres, databases: Databases, tmp_path: Path
) -> None:
    """A real pgbouncer in transaction mode: everything can be read, nothing is heard, but by the direct URL."""
    pgbouncer = not_started(postgres, databases, tmp_path)
    pooled = f"{with_port(databases.auth.runtime, pgbouncer.port)}?statement_cache_size=0"
    async with pgbouncer.running():
        deaf = await doctor.examine(AUTH_DATABASE_URL=pooled)
        heard = await doctor.examine(
            AUTH_DATABASE_URL=pooled, AUTH_LISTEN_DATABASE_URL=databases.auth.runtime
        )
    assert deaf.of("auth database, run-time role")["state"] == "ok"
    assert deaf.of("auth changes")["state"] == "warning"
    assert "Set AUTH_LISTEN_DATABASE_URL" in deaf.of("auth changes")["advice"]
    assert heard.of("auth changes")["found"].endswith("by AUTH_LISTEN_DATABASE_URL.")
    assert deaf.of("resource changes")["state"] == heard.of("auth changes")["state"] == "ok"


async def test_direct_url_that_leads_nowhere(doctor: Doctor) -> None:
    """The service would start, and hear nothing."""
    examined = await doctor.examine(AUTH_LISTEN_DATABASE_URL="postgresql://u:secret-word@127.0.0.1:1/auth")
    finding = examined.of("auth changes")
    assert (finding["state"], finding["advice"]) == (
        "failed",
        "It is AUTH_LISTEN_DATABASE_URL that leads there.",
    )


@pytest.mark.parametrize(
    ("begins", "life", "host", "state", "words"),
    [
        (BEFORE, timedelta(days=90), "127.0.0.1", "ok", "It is good for 127.0.0.1 until "),
        (BEFORE, timedelta(days=3), "127.0.0.1", "warning", "until "),
        (BEFORE, timedelta(hours=-1), "127.0.0.1", "failed", "It expired on "),
        (BEFORE, timedelta(days=90), "auth.example.com", "failed", "It is not for 127.0.0.1"),
        (timedelta(hours=1), timedelta(days=90), "127.0.0.1", "failed", "It is good only from "),
    ],
)
async def test_certificate_of_the_service(
    doctor: Doctor, tmp_path: Path, begins: timedelta, life: timedelta, host: str, state: str, words: str
) -> None:
    """Not before its begin, before its end, and before a client stumbles over its name."""
    authority = Authority.new(tmp_path)
    certificate, key = authority.certify(tmp_path / "service", begins=begins, life=life, host=host)
    examined = await doctor.examine(
        AUTH_ISSUER="https://127.0.0.1:1",
        AUTH_TLS_CERTIFICATE_FILE=str(certificate),
        AUTH_TLS_KEY_FILE=str(key),
    )
    finding = examined.of("auth certificate")
    assert finding["state"] == state
    assert words in finding["found"]


async def test_certificate_of_a_name(doctor: Doctor, tmp_path: Path) -> None:
    """A star stands for one label (RFC 6125 §6.4.3); the key of another certificate opens nothing."""
    authority = Authority.new(tmp_path)
    certificate, key = authority.certify(tmp_path / "star", life=timedelta(days=90), host="*.localhost")
    variables = {"AUTH_TLS_CERTIFICATE_FILE": str(certificate), "AUTH_TLS_KEY_FILE": str(key)}
    examined = await doctor.examine(AUTH_ISSUER="https://auth.localhost:1", **variables)
    assert examined.of("auth certificate")["state"] == "ok"
    deeper = await doctor.examine(AUTH_ISSUER="https://one.auth.localhost:1", **variables)
    assert deeper.of("auth certificate")["state"] == "failed"
    _, other = authority.certify(tmp_path / "other")
    mixed = await doctor.examine(
        AUTH_ISSUER="https://auth.localhost:1", **{**variables, "AUTH_TLS_KEY_FILE": str(other)}
    )
    assert "the key is not that of the first certificate" in mixed.of("auth certificate")["found"]


async def test_redis_of_the_limits(doctor: Doctor, tmp_path: Path) -> None:
    """It answers; it refuses the password; it is gone: the last two are warnings, since each replica counts alone."""
    async with running_redis(tmp_path, "--requirepass", "redis-word") as url:
        right = url.replace("redis://", "redis://:redis-word@")
        assert (await doctor.examine(AUTH_LIMITS_URL=right)).of("limits")["state"] == "ok"
        wrong = await doctor.examine(AUTH_LIMITS_URL=url.replace("redis://", "redis://:wrong-word@"))
        assert "or refuses its password" in wrong.of("limits")["found"]
    gone = await doctor.examine(AUTH_LIMITS_URL=right)
    assert gone.of("limits")["state"] == wrong.of("limits")["state"] == "warning"
    assert shows_none(gone, ["redis-word"])
