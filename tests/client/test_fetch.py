"""Protected documents and JSON without a client of httpx."""

from __future__ import annotations

from typing import Any

import pytest

from steelcut import (
    RequestRefused,
    UnexpectedAnswer,
    Unreachable,
    fetch_json,
    fetch_json_async,
    request_token,
    request_token_async,
)
from tests.client.scripted import (
    CLIENT,
    HANG_UP,
    Clock,
    Reply,
    Scripted,
    challenged,
    granted,
    in_kind,
    opened_by,
    quick,
    refused,
)


def get_json(kind: str, server: Scripted, **options: Any) -> Any:
    """Fetch ``/data`` as a script would."""
    url = f"{server.url}/data"
    given = {**CLIENT, "token_url": f"{server.url}/token", "retries": quick(), **options}
    return in_kind(kind, lambda: fetch_json(url, **given), lambda: fetch_json_async(url, **given))


def test_json_comes_parsed(server: Scripted, kind: str) -> None:
    """A token and the document, in one call."""
    server.says("/token", granted("t1"))
    server.says("/data", opened_by("t1", document={"a": [1]}))
    assert get_json(kind, server, scope="read") == {"a": [1]}
    assert [asked.path for asked in server.asked] == ["/token", "/data"]


def test_token_alone(server: Scripted) -> None:
    """For scripts on asyncio."""
    server.says("/token", granted("t1"))
    given: dict[str, Any] = {**CLIENT, "token_url": f"{server.url}/token"}
    for kind in ("asyncio", "trio"):
        token = in_kind(kind, lambda: request_token(**given), lambda: request_token_async(**given))
        assert token.value == "t1"


def test_connection_errors_are_tried_again(server: Scripted, kind: str) -> None:
    """A GET twice is a GET once."""
    waits: list[float] = []
    server.says("/token", granted("t1"))
    server.says("/data", HANG_UP, Reply(503, b"", {"Retry-After": "2"}), opened_by("t1"))
    assert get_json(kind, server, retries=quick(waits)) == "opened"
    assert waits == [0.1, 2.0]


def test_attempts_end_with_the_last_failure(server: Scripted, kind: str) -> None:
    """It is told as it is."""
    server.says("/token", granted("t1"))
    server.says("/data", HANG_UP)
    with pytest.raises(Unreachable):
        get_json(kind, server)
    server.says("/data", Reply(503))
    with pytest.raises(UnexpectedAnswer, match="status 503"):
        get_json(kind, server)


@pytest.mark.parametrize(
    ("reply", "error", "sentence"),
    [
        (Reply(200, b"<html>"), UnexpectedAnswer, "answered 200, but not with JSON"),
        (Reply(200, b""), UnexpectedAnswer, "not with JSON"),
        (Reply(200, b"\xff"), UnexpectedAnswer, "not with JSON"),
        (Reply(200, b"[" * 100_000), UnexpectedAnswer, "not with JSON"),
        (Reply(200, b"9" * 5_000), UnexpectedAnswer, "not with JSON"),
        (Reply(302, b"", {"Location": "/x"}), UnexpectedAnswer, "status 302"),
        (Reply(204, b""), UnexpectedAnswer, "status 204"),
        (refused("not_found", 404), RequestRefused, "404 not_found"),
        (
            challenged('Bearer error="insufficient_scope", scope="w"', 403),
            RequestRefused,
            "insufficient_scope",
        ),
        (challenged(), RequestRefused, "401 invalid_token"),
    ],
    ids=["html", "empty", "bytes", "deep", "long number", "redirect", "204", "404", "scope", "token"],
)
def test_anything_else_is_an_error(
    server: Scripted, reply: Reply, error: type[Exception], sentence: str
) -> None:
    """One sentence that names the URL."""
    server.says("/token", granted("t1"))
    server.says("/data", reply)
    with pytest.raises(error, match=sentence) as raised:
        get_json("sync", server)
    assert f"{server.url}/data" in str(raised.value)


def test_size_is_bounded(server: Scripted, kind: str) -> None:
    """Also of answers that are no documents."""
    server.says("/token", granted("t1"))
    for status in (200, 500, 503):
        server.says("/data", Reply(status, b" " * 3_000_000))
        with pytest.raises(UnexpectedAnswer, match="more than 1000 bytes"):
            get_json(kind, server, max_bytes=1000)


def test_refused_token_is_replaced(server: Scripted, clock: Clock) -> None:
    """As in a client of httpx."""
    server.says("/token", granted("t1"), granted("t2"))
    server.says("/data", opened_by("t2"))
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 60
    assert auth.fetch(f"{server.url}/data") == b'"opened"'


@pytest.mark.parametrize("url", ["http://api.example.com/x", "/data", "data", "", "https://"])
def test_url_that_cannot_be_fetched(server: Scripted, url: str) -> None:
    """Nothing is asked for."""
    with pytest.raises(ValueError, match="document URL"):
        server.credentials().fetch(url)
    assert server.asked == []
