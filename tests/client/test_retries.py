"""How patient a client is with an authorization server that cannot answer."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from typing import Any

import pytest

from steelcut import ClientError, Retries, UnexpectedAnswer, Unreachable
from steelcut.exchange import retry_after_seconds
from tests.client.scripted import HANG_UP, Reply, Scripted, granted, quick, refused

BUSY = [
    HANG_UP,
    refused("temporarily_unavailable", 503),
    Reply(429),
    Reply(502, b"<html>"),
    Reply(503),
    Reply(504),
]
BUSY_IDS = ["hangs up", "oauth 503", "429", "502", "503", "504"]


@pytest.mark.parametrize("busy", BUSY, ids=BUSY_IDS)
def test_token_request_is_made_again(server: Scripted, busy: Reply) -> None:
    """A token that nobody got harms nobody."""
    waits: list[float] = []
    server.says("/token", busy, busy, granted("t1"))
    assert server.credentials(retries=quick(waits)).token().value == "t1"
    assert waits == [0.1, 0.2]


@pytest.mark.parametrize("busy", BUSY, ids=BUSY_IDS)
def test_metadata_request_is_made_again(server: Scripted, busy: Reply) -> None:
    """Within the same attempts as the token request."""
    metadata = Reply(200, {"issuer": server.url, "token_endpoint": f"{server.url}/token"})
    server.says("/.well-known/oauth-authorization-server", busy, metadata)
    server.says("/token", busy, granted("t1"))
    assert server.credentials(token_url=None, issuer=server.url).token().value == "t1"


@pytest.mark.parametrize("busy", BUSY, ids=BUSY_IDS)
def test_attempts_end(server: Scripted, busy: Reply) -> None:
    """With the last error."""
    server.says("/token", busy)
    with pytest.raises(ClientError) as raised:
        server.credentials().token()
    assert raised.value.status == (busy.status or None)
    assert server.count("/token") == 3


@pytest.mark.parametrize(
    "reply",
    [
        refused("invalid_client", 401),
        refused("invalid_scope"),
        Reply(404),
        Reply(500),
        Reply(200, []),
        Reply(307),
    ],
    ids=["invalid_client", "invalid_scope", "404", "500", "no token", "redirect"],
)
def test_what_will_not_change_is_not_asked_again(server: Scripted, reply: Reply) -> None:
    """It would be the same answer."""
    server.says("/token", reply)
    with pytest.raises(ClientError):
        server.credentials().token()
    assert server.count("/token") == 1


def test_none_is_one_attempt(server: Scripted) -> None:
    """For those who retry by other means."""
    server.says("/token", HANG_UP)
    with pytest.raises(Unreachable):
        server.credentials(retries=None).token()
    assert server.count("/token") == 1


def test_retry_after_takes_the_place_of_the_wait(server: Scripted) -> None:
    """In seconds or as a date (RFC 9110 §10.2.3)."""
    waits: list[float] = []
    date = formatdate(time.time() + 20, usegmt=True)
    server.says(
        "/token", Reply(503, b"", {"Retry-After": "3"}), Reply(429, b"", {"Retry-After": date}), granted("t1")
    )
    server.credentials(retries=quick(waits)).token()
    assert waits[0] == 3
    assert 15 < waits[1] <= 20


def test_retry_after_of_centuries_can_be_slept(server: Scripted) -> None:
    """Where nothing bounds the attempts, it is waited for as long as a program can."""
    waits: list[float] = []
    busy = Reply(503, b"", {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"})
    server.says("/token", busy, granted("t1"))
    server.credentials(retries=quick(waits, timeout=None)).token()
    assert 0 < waits[0] < threading.TIMEOUT_MAX


def test_retry_after_beyond_the_budget_ends_the_attempts(server: Scripted) -> None:
    """The caller hears how long it would have been."""
    waits: list[float] = []
    server.says("/token", Reply(503, b"", {"Retry-After": "31"}))
    with pytest.raises(UnexpectedAnswer) as raised:
        server.credentials(retries=quick(waits)).token()
    assert (raised.value.retry_after, waits) == (31, [])


def _pauses(**options: Any) -> list[float]:
    """Return the pauses of one set of attempts, on a clock that only pauses move."""
    now = [0.0]
    attempts = Retries(clock=lambda: now[0], **options).begin()
    pauses: list[float] = []
    while (pause := attempts.pause()) is not None and len(pauses) < 50:
        pauses.append(pause)
        now[0] += pause
    return pauses


def test_waits_grow_up_to_a_bound() -> None:
    """Twice as long each time."""
    pauses = _pauses(attempts=8, timeout=None, wait_jitter=0, random=lambda: 1.0)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0])


@pytest.mark.parametrize(
    ("random", "first"), [(0.0, 0.1), (0.5, 0.6), (1.0, 1.1)], ids=["none", "half", "all"]
)
def test_waits_have_a_random_part(random: float, first: float) -> None:
    """Clients that failed together do not come back together."""
    assert _pauses(attempts=2, random=lambda: random) == pytest.approx([first])


def test_total_time_is_bounded() -> None:
    """No attempt begins after it."""
    pauses = _pauses(attempts=None, timeout=10, wait_jitter=0)
    assert len(pauses) == 6
    assert sum(pauses) <= 10


def test_without_bounds_it_goes_on() -> None:
    """Also where the exponent leaves the numbers."""
    assert _pauses(attempts=None, timeout=None, wait_exp_base=1e300, random=lambda: 0.0)[-1] == 5


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"timeout": -1},
        {"wait_initial": -1},
        {"wait_max": -1},
        {"wait_jitter": -1},
        {"wait_exp_base": 0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_numbers_that_mean_nothing(options: dict[str, Any]) -> None:
    """Are told when they are given."""
    with pytest.raises(ValueError, match="must be"):
        Retries(**options)


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (format_datetime(NOW + timedelta(minutes=1), usegmt=True), 60),
        ("Wed, 25 Nov 2026 12:01:00", 60),
        (format_datetime(NOW - timedelta(minutes=1), usegmt=True), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 999_999_999),
        *((value, None) for value in ("", "soon", "-1", "1.5", "9" * 5000, "Wed, 99 Nov 2026", "٣")),
    ],
    ids=[
        "0",
        "120",
        "date",
        "no zone",
        "past",
        "far",
        "empty",
        "word",
        "minus",
        "part",
        "long",
        "no date",
        "digit",
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    """What cannot be read is as if it were not there."""
    assert retry_after_seconds(value, now=NOW.timestamp()) == seconds


def test_waiting_is_real_without_a_test(server: Scripted) -> None:
    """The defaults sleep."""
    server.says("/token", HANG_UP, granted("t1"))
    begin = time.monotonic()
    server.credentials(retries=Retries(wait_initial=0.2, wait_jitter=0)).token()
    assert 0.2 <= time.monotonic() - begin < 5
