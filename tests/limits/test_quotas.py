"""How many tokens a client may have: counted only where it is set, refused only where it is enforced."""

from __future__ import annotations

import pytest

from auth_service.settings import AuthSettings
from steelcut.service.settings import ConfigurationError, load
from tests.limits.limited import Limited, Start


async def test_enforced(start_limited: Start) -> None:
    """Each answer tells what is left; who is over it waits for the next window, and others do not."""
    async with start_limited(quota_tokens="2/minute", quota_mode="enforce") as limited:
        jane, joe = limited.system.client, await limited.system.register("Joe")
        first = await limited.ask(jane)
        assert first.headers["ratelimit-policy"] == '"tokens";q=2;w=60'
        assert first.headers["ratelimit"] == '"tokens";r=1;t=60'
        await limited.ask(jane)
        limited.clock.now += 20
        refused = await limited.ask(jane)
        assert refused.status_code == 429
        assert refused.json()["error"] == "temporarily_unavailable"
        assert refused.headers["retry-after"] == "40"
        assert refused.headers["ratelimit"] == '"tokens";r=0;t=40'
        assert (await limited.ask(joe)).status_code == 200
        limited.clock.now += 40
        assert (await limited.ask(jane)).status_code == 200


async def test_observed(start_limited: Start) -> None:
    """The client hears nothing, the log tells."""
    async with start_limited(quota_tokens="1/minute") as limited:
        inside, over = [await limited.ask(limited.system.client) for _ in range(2)]
        assert over.status_code == 200
        assert "ratelimit" not in over.headers
        assert "over_quota" not in limited.system.log.of(inside)
        assert limited.system.log.of(over)["over_quota"] is True


async def test_off_by_default(limited: Limited) -> None:
    """Nothing is counted."""
    assert limited.system.auth_process.quota is None
    assert "ratelimit" not in (await limited.ask(limited.system.client)).headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quota_tokens", "many"),
        ("trusted_proxies", "proxy.example.com"),
        ("limits_url", "memcached://cache"),
        ("quota_mode", "perhaps"),
    ],
)
def test_mistakes_are_named(name: str, value: str) -> None:
    """By the variable, without the value."""
    with pytest.raises(ConfigurationError) as refusal:
        load(AuthSettings, **{name: value})
    (sentence,) = [text for text in refusal.value.sentences if f"AUTH_{name.upper()}" in text]
    assert value not in sentence
