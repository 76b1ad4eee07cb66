"""Where a request comes from is the word of trusted proxies alone."""

from __future__ import annotations

from typing import Any

import pytest

from steelcut.service.http.callers import TrustedProxies, parse_networks
from tests.limits.limited import ALLOWED, Limited, Start

PEER = "10.0.0.1"


@pytest.mark.parametrize(
    ("fields", "caller"),
    [
        ([], PEER),
        ([("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
        ([("x-forwarded-for", "203.0.113.9, 192.0.2.1, 10.0.0.2")], "192.0.2.1"),
        ([("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1")], "192.0.2.1"),
        ([("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        ([("x-forwarded-for", "192.0.2.1, garbage, 10.0.0.2")], "10.0.0.2"),
        ([("x-forwarded-for", "192.0.2.1:4711")], "192.0.2.1"),
        ([("x-forwarded-for", "::ffff:192.0.2.1")], "192.0.2.1"),
        ([("forwarded", 'for=203.0.113.9, for="[2001:db8::1]:4711";proto=https')], "2001:db8::1"),
        ([("forwarded", "for=unknown")], PEER),
        ([("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")], PEER),
    ],
)
def test_the_rightmost_that_is_not_trusted(fields: list[tuple[str, str]], caller: str) -> None:
    """What stands left of it anybody may have written."""
    scope: dict[str, Any] = {
        "client": (PEER, 1),
        "headers": [(name.encode(), value.encode()) for name, value in fields],
    }
    TrustedProxies(parse_networks("10.0.0.0/8")).tell_caller(scope)
    assert scope["client"][0] == caller


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "10.0.0.1"])
def test_proxy_is_known_on_a_socket_of_both_families(peer: str) -> None:
    """Such a socket, as of several workers at ``::``, shows IPv4 addresses within IPv6 ones."""
    scope: dict[str, Any] = {"client": (peer, 1), "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    TrustedProxies(parse_networks("10.0.0.0/8")).tell_caller(scope)
    assert scope["client"][0] == "192.0.2.1"


async def test_forged_fields_change_nothing(start_limited: Start) -> None:
    """Neither the limits nor the audit log believe who is no trusted proxy."""
    async with start_limited(trusted_proxies="192.0.2.0/24") as limited:
        for number in range(ALLOWED):
            await limited.guess("nobody", address=f"198.51.100.{number}")
        assert (await limited.guess("nobody", address="198.51.100.99")).status_code == 429
        assert await _addresses(limited) == {"127.0.0.1"}


async def test_the_audit_log_has_the_callers_address(limited: Limited) -> None:
    """As a trusted proxy told it."""
    await limited.guess("nobody", address="198.51.100.1, 192.0.2.7")
    assert await _addresses(limited) == {"192.0.2.7"}


async def _addresses(limited: Limited) -> set[str]:
    assert await limited.system.auth_process.audit.flush()
    rows = await limited.system.as_owner(
        lambda c: c.fetch("SELECT DISTINCT address FROM audit_events WHERE action LIKE 'token.%'")
    )
    return {row["address"] for row in rows}
