"""Requests of httpx clients that have their tokens from ``ClientCredentials``, plain and on asyncio and trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from steelcut import RequestRefused, Retries, Unreachable
from tests.client.scripted import (
    HANG_UP,
    NO_TLS,
    SECRET,
    Asked,
    Clock,
    Reply,
    Scripted,
    call,
    challenged,
    granted,
    in_kind,
    opened_by,
    quick,
    refused,
)


def test_one_token_serves_many_requests(server: Scripted, kind: str) -> None:
    """It is asked for with the first of them."""
    server.says("/token", granted("t1"))
    server.says("/data", opened_by("t1"))
    answers = call(kind, server.credentials(), *[("GET", f"{server.url}/data")] * 3)
    assert [answer.json() for answer in answers] == ["opened"] * 3
    assert [asked.path for asked in server.asked] == ["/token", "/data", "/data", "/data"]


def test_base_url_and_post_work_as_without(server: Scripted, kind: str) -> None:
    """The request is the caller's own, with one header more."""
    server.says("/token", granted("t1"))
    server.says("/v1/data", opened_by("t1"))
    (answer,) = call(
        kind,
        server.credentials(resource=server.url),
        ("POST", "/data", {"json": [1], "headers": {"X-Mine": "yes", "Authorization": "Basic old"}}),
        base_url=f"{server.url}/v1",
    )
    assert answer.status_code == 200
    sent = server.asked[-1]
    assert (sent.method, sent.body, sent.headers["x-mine"]) == ("POST", b"[1]", "yes")


def test_token_request_goes_past_the_client(server: Scripted, kind: str) -> None:
    """Its hooks, headers and cookies have no business with the secret."""
    server.says("/token", granted("t1"))
    server.says("/data", opened_by("t1"))
    seen: list[str] = []

    def note(request: httpx.Request) -> None:
        seen.append(f"{request.url} {request.headers.raw} {request.content!r}")

    async def note_async(request: httpx.Request) -> None:
        note(request)

    call(
        kind,
        server.credentials(authentication="client_secret_post"),
        ("GET", f"{server.url}/data"),
        headers={"X-Tenant": "blue"},
        cookies={"session": "1"},
        event_hooks={"request": [note if kind == "sync" else note_async]},
    )
    assert len(seen) == 1
    assert SECRET not in seen[0]
    for_token = server.asked[0]
    assert not {"x-tenant", "cookie"} & set(for_token.headers)
    assert for_token.form["client_secret"] == [SECRET]


def test_refused_token_is_replaced_and_the_request_sent_again(
    server: Scripted, kind: str, clock: Clock
) -> None:
    """With its body, once (RFC 6750 §3.1: the client may try a new token)."""
    server.says("/token", granted("t1"), granted("t2"))
    server.says("/data", opened_by("t1"))
    auth = server.credentials(clock=clock)
    call(kind, auth, ("GET", f"{server.url}/data"))
    server.says("/data", opened_by("t2"))
    clock.now += 60
    (answer,) = call(kind, auth, ("POST", f"{server.url}/data", {"content": b"body"}))
    assert answer.json() == "opened"
    assert [asked.body for asked in server.asked if asked.method == "POST" and asked.path == "/data"] == [
        b"body"
    ] * 2
    assert server.count("/token") == 2


def test_resource_that_refuses_everything_costs_few_tokens(server: Scripted, kind: str, clock: Clock) -> None:
    """A token that was got a moment ago is not replaced: the next would fare no better."""
    server.says("/token", *[granted(f"t{number}") for number in range(9)])
    server.says("/data", challenged())
    auth = server.credentials(clock=clock)
    answers = call(kind, auth, *[("GET", f"{server.url}/data")] * 5)
    assert [answer.status_code for answer in answers] == [401] * 5
    assert (server.count("/token"), server.count("/data")) == (1, 5)
    clock.now += 60
    call(kind, auth, *[("GET", f"{server.url}/data")] * 5)
    assert (server.count("/token"), server.count("/data")) == (2, 11)


def test_body_that_cannot_be_sent_again_is_not(server: Scripted, kind: str, clock: Clock) -> None:
    """The caller gets the 401, and the next request a new token."""
    server.says("/token", granted("t1"), granted("t2"))
    server.says("/data", opened_by("t2"))
    auth = server.credentials(clock=clock)
    assert auth.token().value == "t1"
    clock.now += 60

    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    stream: Any = iter([b"once"]) if kind == "sync" else body()
    upload, after = call(
        kind, auth, ("PUT", f"{server.url}/data", {"content": stream}), ("GET", f"{server.url}/data")
    )
    assert (upload.status_code, after.status_code) == (401, 200)
    assert server.count("/data") == 2


@pytest.mark.parametrize(
    "reply",
    [
        challenged("Bearer"),
        challenged('Bearer error="insufficient_scope", scope="write"', 403),
        challenged('Bearer error="invalid_request"', 400),
        challenged('Basic realm="x", error="invalid_token"'),
        challenged('Bearer error="invalid_token"', 403),
        Reply(404),
        Reply(500),
        Reply(502),
    ],
    ids=["no error", "scope", "request", "basic", "403", "404", "500", "502"],
)
def test_other_answers_are_the_callers(server: Scripted, clock: Clock, reply: Reply) -> None:
    """No new token would help, or nobody knows that the request was not carried out."""
    server.says("/token", granted("t1"))
    server.says("/data", reply)
    auth = server.credentials(clock=clock)
    auth.token()
    clock.now += 60
    (answer,) = call("sync", auth, ("GET", f"{server.url}/data"))
    assert answer.status_code == reply.status
    assert (server.count("/token"), server.count("/data")) == (1, 1)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_resource_is_asked_again(server: Scripted, kind: str, status: int) -> None:
    """After the time that it names (RFC 9110 §10.2.3), else after ever longer ones."""
    server.says("/token", granted("t1"))
    server.says("/data", Reply(status, b"", {"Retry-After": "7"}), Reply(status), opened_by("t1"))
    waits: list[float] = []
    (answer,) = call(kind, server.credentials(retries=quick(waits)), ("GET", f"{server.url}/data"))
    assert answer.status_code == 200
    assert waits == [7.0, 0.2]


def test_connection_is_free_while_a_busy_resource_is_waited_for(server: Scripted) -> None:
    """Other requests of the same client need it."""
    server.says("/token", granted("t1"))
    server.says("/data", Reply(503), opened_by("t1"))
    server.says("/other", Reply(200))

    def meanwhile(_: float) -> None:
        assert http.get(f"{server.url}/other", auth=None).status_code == 200

    auth = server.credentials(retries=Retries(sleep=meanwhile))
    limits = httpx.Limits(max_connections=1)
    with httpx.Client(auth=auth, trust_env=False, verify=NO_TLS, limits=limits, timeout=2) as http:
        assert http.get(f"{server.url}/data").json() == "opened"
    assert server.count("/other") == 1


def test_busy_resource_that_stays_busy(server: Scripted, kind: str) -> None:
    """Its last answer is the caller's."""
    server.says("/token", granted("t1"))
    server.says("/data", Reply(503, ["busy"]))
    (answer,) = call(kind, server.credentials(), ("PUT", f"{server.url}/data", {"content": b"x"}))
    assert (answer.status_code, answer.json()) == (503, ["busy"])
    assert server.count("/data") == 3


@pytest.mark.parametrize(
    ("method", "options", "reply"),
    [
        ("POST", {"content": b"x"}, Reply(503)),
        ("PATCH", {"content": b"x"}, Reply(429)),
        ("PUT", {"content": iter([b"x"])}, Reply(503)),
        ("GET", {}, Reply(503, b"", {"Retry-After": "3600"})),
    ],
    ids=["post", "patch", "stream", "too long"],
)
def test_busy_resource_is_not_asked_again(
    server: Scripted, method: str, options: dict[str, Any], reply: Reply
) -> None:
    """Not what might be done twice (RFC 9110 §9.2.2), nor what cannot be, nor beyond the budget of time."""
    server.says("/token", granted("t1"))
    server.says("/data", reply)
    (answer,) = call("sync", server.credentials(), (method, f"{server.url}/data", options))
    assert answer.status_code == reply.status
    assert server.count("/data") == 1


def test_answer_is_not_read_for_the_caller(server: Scripted) -> None:
    """Who streams a download gets a stream."""
    server.says("/token", granted("t1"))
    server.says("/data", opened_by("t1"))
    auth = server.credentials()
    with (
        httpx.Client(auth=auth, trust_env=False) as http,
        http.stream("GET", f"{server.url}/data") as answer,
    ):
        assert not answer.is_closed
        with pytest.raises(httpx.ResponseNotRead):
            _ = answer.content


@pytest.mark.parametrize(
    ("reply", "error"), [(refused("invalid_client", 401), RequestRefused), (HANG_UP, Unreachable)]
)
def test_no_token_is_our_own_error(server: Scripted, kind: str, reply: Reply, error: type[Exception]) -> None:
    """Out of the call that made the request, as it is, and the resource is not asked."""
    server.says("/token", reply)
    with pytest.raises(error) as raised:
        call(kind, server.credentials(), ("GET", f"{server.url}/data"))
    assert SECRET not in str(raised.value)
    assert server.count("/data") == 0


def test_token_itself(server: Scripted, kind: str, clock: Clock) -> None:
    """For whatever is no httpx client."""
    server.says("/token", granted("t1", 600, scope="read"))
    auth = server.credentials(clock=clock)
    token = in_kind(kind, auth.token, auth.token_async)
    assert (token.value, token.expires_in, token.scope) == ("t1", 600, "read")
    assert token.expires_at == clock.now + 600


def test_what_the_token_request_says(server: Scripted) -> None:
    """RFC 6749 §4.4.2, RFC 8707 §2, and what a server of another make wants."""
    server.says("/token", granted("t1"))
    server.credentials(
        resource=["https://a.example", "b"], scope="read write", parameters={"audience": "https://c.example"}
    ).token()
    assert server.asked[0].form == {
        "grant_type": ["client_credentials"],
        "resource": ["https://a.example", "b"],
        "scope": ["read write"],
        "audience": ["https://c.example"],
    }


def test_errors_in_the_body_of_an_answer_that_is_retried_are_httpx_own(server: Scripted) -> None:
    """A connection that breaks is the caller's to hear of, as without us."""

    def half(_: Asked) -> Reply:
        return Reply(503, b"x", {"Content-Length": "5"})

    server.says("/token", granted("t1"))
    server.says("/data", half)
    with pytest.raises(httpx.RemoteProtocolError):
        call("sync", server.credentials(), ("GET", f"{server.url}/data"))
