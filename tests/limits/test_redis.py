"""Replicas count together in Redis; without it each counts alone, and nobody waits for it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth_service.limits.counters import Counters
from steelcut.service.refusal import Refusal
from steelcut.service.telemetry.logs import make_logger
from tests.limits.limited import ALLOWED, Start
from tests.support.redis_server import running_redis
from tests.support.system import Log, listen


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    """A Redis of the test's own."""
    async with running_redis(tmp_path) as url:
        yield url


async def test_replicas_count_together(start_limited: Start, redis_url: str) -> None:
    """What fails at one replica is counted at the other one, which has the master key in common."""
    async with start_limited(limits_url=redis_url) as one, start_limited(limits_url=redis_url) as other:
        guesses, others = one.system.auth_process.guesses, other.system.auth_process.guesses
        assert guesses is not None
        assert others is not None
        others._key = guesses._key
        await one.flood("nobody", ALLOWED)
        # So that the wait is longer than a slow machine takes: the time of Redis is not ours to set.
        for _ in range(6):
            await guesses.failed("nobody", "192.0.2.1")
        refused = await other.guess("nobody")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 1


async def test_a_silent_redis_stops_nobody(start_limited: Start) -> None:
    """It takes connections and says nothing: answers within 2 s, no 500, and each process counts alone."""
    with listen() as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        async with start_limited(limits_url=url, quota_tokens="1000/minute", quota_mode="enforce") as limited:
            for _ in range(ALLOWED):
                begin = time.monotonic()
                assert (await limited.guess("nobody")).status_code == 401
                assert time.monotonic() - begin < 2
            assert (await limited.guess("nobody")).status_code == 429
            assert (await limited.ask(limited.system.client)).status_code == 200
            assert "Redis is away" in limited.system.log.text


def test_url_that_redis_cannot_use_is_a_sentence() -> None:
    """And neither a traceback nor the advice to install what is there."""
    log = make_logger("test", "json", Log().stream)
    with pytest.raises(Refusal, match="leave out what stands behind"):
        Counters.by_url("redis://:secret-word@127.0.0.1:1/0?socket_timeout=x", time.time, log)
