"""Whom a client asks for tokens: named by an issuer's metadata (RFC 8414), or by the resource's (RFC 9728)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from steelcut import ClientError, UnexpectedAnswer
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
)

METADATA = "/.well-known/oauth-authorization-server"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
Start = Callable[[], Scripted]


def is_issuer(server: Scripted, *tokens: str, **metadata: Any) -> Scripted:
    """Let a server be an issuer of these tokens."""
    members = {"issuer": server.url, "token_endpoint": f"{server.url}/token", **metadata}
    server.says(METADATA, Reply(200, members))
    server.says("/token", *[granted(token) for token in tokens or ("t1",)])
    return server


def is_resource(
    server: Scripted, issuer: Any, path: str = "/api", challenge: str = "", **metadata: Any
) -> str:
    """Let a server hold a resource whose metadata names ``issuer``; return the resource's identifier."""
    resource = f"{server.url}{path}"
    issuers = issuer if isinstance(issuer, list) else [issuer]
    server.says(
        f"{WELL_KNOWN}{path}",
        Reply(200, {"resource": resource, "authorization_servers": issuers, **metadata}),
    )
    where = challenge or f'Bearer resource_metadata="{server.url}{WELL_KNOWN}{path}"'

    def answer(asked: Asked) -> Reply:
        if asked.authorization is None:
            return challenged(where)
        return opened_by("t1", "t2")(asked)

    server.says(path, answer)
    server.says(f"{path}/part", answer)
    return resource


def got_secret(*servers: Scripted) -> bool:
    """Say whether any of these was sent anything with authentication, or the secret at all."""
    asked = [asked for server in servers for asked in server.asked]
    return any(
        (each.authorization or "").startswith("Basic") or SECRET.encode() in each.body for each in asked
    )


def by_resource(resource: str, **options: Any) -> Any:
    """Return credentials that know nothing of an authorization server."""
    return Scripted().credentials(token_url=None, resource=resource, **options)


def test_metadata_is_asked_for_once(server: Scripted, clock: Clock) -> None:
    """And remembered from token to token."""
    is_issuer(server, "t1", "t2")
    auth = server.credentials(token_url=None, issuer=server.url, clock=clock)
    auth.token()
    clock.now += 3600
    auth.token()
    assert (server.count(METADATA), server.count("/token")) == (1, 2)


@pytest.mark.parametrize("reply", [HANG_UP, Reply(404), Reply(200, b"<html>")], ids=["gone", "404", "html"])
def test_metadata_is_asked_for_again_when_it_leads_nowhere(
    server: Scripted, clock: Clock, reply: Reply
) -> None:
    """The token endpoint may have moved."""
    is_issuer(server)
    auth = server.credentials(token_url=None, issuer=server.url, clock=clock, retries=None)
    auth.token()
    clock.now += 3600
    server.says("/token", reply)
    with pytest.raises(ClientError):
        auth.token()
    server.says(METADATA, Reply(200, {"issuer": server.url, "token_endpoint": f"{server.url}/moved"}))
    server.says("/moved", granted("t2"))
    assert auth.token().value == "t2"


def test_challenge_leads_to_the_issuer(server: Scripted, start_server: Start, kind: str) -> None:
    """RFC 9728 §5: one request without a token, the metadata of both, a token, and the request once more."""
    issuer = is_issuer(start_server())
    resource = is_resource(server, issuer.url)
    auth = by_resource(resource)
    answers = call(kind, auth, ("POST", resource, {"content": b"body"}), ("GET", f"{resource}/part?q=1"))
    assert [answer.json() for answer in answers] == ["opened"] * 2
    assert [f"{asked.method} {asked.path}" for asked in server.asked] == [
        "POST /api",
        f"GET {WELL_KNOWN}/api",
        "POST /api",
        "GET /api/part?q=1",
    ]
    assert [asked.body for asked in server.asked if asked.method == "POST"] == [b"body"] * 2
    assert [asked.path for asked in issuer.asked] == [METADATA, "/token"]
    assert issuer.asked[-1].form["resource"] == [resource]
    assert not got_secret(server)


def test_first_request_is_tried_again_as_others_are(server: Scripted, start_server: Start, kind: str) -> None:
    """A resource that is busy, or not there yet, is asked for its challenge once more."""
    waits: list[float] = []
    issuer = is_issuer(start_server())
    resource = is_resource(server, issuer.url)
    busy = Reply(503, b"", {"Retry-After": "2"})
    server.says("/api", busy, challenged("Bearer"), opened_by("t1"))
    (answer,) = call(kind, by_resource(resource, retries=quick(waits)), ("GET", resource))
    assert (answer.status_code, waits) == (200, [2.0])

    server.says("/api", HANG_UP, busy, challenged("Bearer"), opened_by("t1"))
    auth = by_resource(resource, retries=quick(waits))
    fetched = in_kind(kind, lambda: auth.fetch(resource), lambda: auth.fetch_async(resource))
    assert (fetched, waits[1:]) == (b'"opened"', [0.1, 2.0])

    server.says("/api", busy)
    (answer,) = call(kind, by_resource(resource, retries=quick(waits)), ("GET", resource))
    assert (answer.status_code, waits[3:]) == (503, [2.0, 2.0])


def test_token_without_a_request_needs_no_challenge(server: Scripted, start_server: Start, kind: str) -> None:
    """The resource's metadata is where RFC 9728 §3.1 puts it."""
    issuer = is_issuer(start_server())
    auth = by_resource(is_resource(server, issuer.url))
    assert in_kind(kind, auth.token, auth.token_async).value == "t1"
    assert [asked.path for asked in server.asked] == [f"{WELL_KNOWN}/api"]


def test_body_that_can_be_sent_once_is_sent_with_a_token(
    server: Scripted, start_server: Start, kind: str
) -> None:
    """There is no first try without."""
    issuer = is_issuer(start_server())
    resource = is_resource(server, issuer.url)

    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    stream: Iterator[bytes] | AsyncIterator[bytes] = iter([b"once"]) if kind == "sync" else body()
    (answer,) = call(kind, by_resource(resource), ("PUT", resource, {"content": stream}))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "reply",
    [Reply(200, "open to all"), Reply(404), challenged('Basic realm="x"'), challenged("Bearer", 403)],
    ids=["open", "404", "basic", "403"],
)
def test_resource_that_asks_for_no_token_gets_none(server: Scripted, reply: Reply) -> None:
    """The first answer is the caller's."""
    server.says("/api", reply)
    (answer,) = call("sync", by_resource(f"{server.url}/api"), ("GET", f"{server.url}/api"))
    assert answer.status_code == reply.status
    assert len(server.asked) == 1


def test_metadata_may_be_elsewhere_on_the_resource(server: Scripted, start_server: Start) -> None:
    """A challenge names it (RFC 9728 §5.1), among others."""
    issuer = is_issuer(start_server())
    place = f"{server.url}/about/api"
    resource = is_resource(
        server, issuer.url, challenge=f'Basic realm="a, b", Bearer realm="x", resource_metadata="{place}"'
    )
    server.says(f"{WELL_KNOWN}/api", Reply(404))
    server.says("/about/api", Reply(200, {"resource": resource, "authorization_servers": [issuer.url]}))
    assert call("sync", by_resource(resource), ("GET", resource))[0].status_code == 200


@pytest.mark.parametrize("place", ["{evil}/meta", "https://[", "//", "relative", "{user}/meta", "\xff"])
def test_challenge_cannot_lead_elsewhere(server: Scripted, start_server: Start, place: str) -> None:
    """What is not on the resource's own origin is not looked at."""
    issuer, evil = is_issuer(start_server()), is_issuer(start_server())
    user = server.url.replace("http://", f"http://{SECRET}@")
    named = place.format(evil=evil.url, user=user)
    resource = is_resource(server, issuer.url, challenge=f'Bearer resource_metadata="{named}"')
    evil.says("/meta", Reply(200, {"resource": resource, "authorization_servers": [evil.url]}))
    assert call("sync", by_resource(resource), ("GET", resource))[0].status_code == 200
    assert evil.asked == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"resource": "{server}"},
        {"resource": "{server}/api/"},
        {"resource": "{evil}"},
        {"resource": None},
        {"authorization_servers": None},
        {"authorization_servers": []},
        {"authorization_servers": "{evil}"},
        {"authorization_servers": [7, None, {}, "", "evil", "http://evil.example", "{evil}?x", "{evil}#x"]},
        {"authorization_servers": ["{other}"]},
    ],
    ids=[
        "parent",
        "slash",
        "other",
        "none",
        "no servers",
        "empty",
        "text",
        "odd servers",
        "another issuer's",
    ],
)
def test_metadata_that_must_not_be_believed(
    server: Scripted, start_server: Start, metadata: dict[str, Any]
) -> None:
    """RFC 9728 §3.3, RFC 8414 §3.3: the secret goes nowhere."""
    evil, other = is_issuer(start_server()), start_server()
    other.says(METADATA, Reply(200, {"issuer": evil.url, "token_endpoint": f"{evil.url}/token"}))

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return (
                value.replace("{server}", server.url)
                .replace("{evil}", evil.url)
                .replace("{other}", other.url)
            )
        return [filled(each) for each in value] if isinstance(value, list) else value

    members = {name: filled(value) for name, value in metadata.items()}
    resource = is_resource(server, evil.url, **members)
    with pytest.raises(UnexpectedAnswer):
        call("sync", by_resource(resource, retries=None), ("GET", resource))
    assert not got_secret(server, evil, other)


def test_https_resource_cannot_name_this_machine() -> None:
    """Nor can an https issuer: whoever listens here is not who was meant."""
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.path.startswith(WELL_KNOWN):
            resource = f"https://{request.url.host}"
            servers = ["http://127.0.0.1:8000"] if request.url.host == "one.example" else [resource]
            return httpx.Response(200, json={"resource": resource, "authorization_servers": servers})
        return httpx.Response(
            200, json={"issuer": "https://two.example", "token_endpoint": "http://localhost:1/token"}
        )

    for resource, sentence in [
        ("https://one.example", "no authorization server that can be used"),
        ("https://two.example", "must be https"),
    ]:
        with pytest.raises(UnexpectedAnswer, match=sentence):
            by_resource(resource, transport=httpx.MockTransport(respond), retries=None).token()
    assert not [url for url in asked if url.startswith("http:")]


def test_next_server_is_asked_when_the_first_is_away(server: Scripted, start_server: Start) -> None:
    """A resource may name several (RFC 9728 §2); only one of them sees the secret."""
    away, issuer = start_server(), is_issuer(start_server())
    away.says(METADATA, HANG_UP)
    auth = by_resource(is_resource(server, [away.url, issuer.url]))
    assert auth.token().value == "t1"
    assert not got_secret(away, server)


def test_first_server_sees_the_secret_alone_even_if_it_refuses(server: Scripted, start_server: Start) -> None:
    """A refusal is no reason to show the secret to others."""
    first, second = is_issuer(start_server()), is_issuer(start_server())
    first.says("/token", Reply(401, {"error": "invalid_client"}))
    with pytest.raises(ClientError, match="invalid_client"):
        by_resource(is_resource(server, [first.url, second.url])).token()
    assert second.asked == []


def test_redirect_cannot_bring_a_challenge(server: Scripted, start_server: Start) -> None:
    """What another origin answers says nothing of the resource."""
    evil = is_issuer(start_server())
    is_resource(evil, evil.url, path="/meta")
    server.says("/api", Reply(307, b"", {"Location": f"{evil.url}/meta"}))
    (answer,) = call(
        "sync", by_resource(f"{server.url}/api"), ("GET", f"{server.url}/api"), follow_redirects=True
    )
    assert answer.status_code == 401
    assert not got_secret(evil, server)
    assert [asked.path for asked in evil.asked] == ["/meta"]


def test_many_at_once_find_the_issuer_once(server: Scripted, start_server: Start) -> None:
    """Each is refused once for want of a token; one of them asks for it."""
    issuer = is_issuer(start_server())
    resource = is_resource(server, issuer.url)
    auth = by_resource(resource)

    async def burst() -> list[httpx.Response]:
        async with httpx.AsyncClient(auth=auth, trust_env=False, verify=NO_TLS) as http:
            return list(await asyncio.gather(*(http.get(resource) for _ in range(30))))

    answers = in_kind("asyncio", list[httpx.Response], burst)
    assert {answer.status_code for answer in answers} == {200}
    assert (issuer.count("/token"), server.count(f"{WELL_KNOWN}/api")) == (1, 1)
