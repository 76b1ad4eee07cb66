"""A token goes to the resource that it is for, over TLS or within this machine, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from steelcut import ClientCredentials
from steelcut.client.reach import Reach
from tests.client.scripted import CLIENT, Reply, Scripted, call, granted, opened_by, quick

Start = Callable[[], Scripted]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/data",
        "http://127.0.0.1.example.com/",
        "http://10.0.0.1/",
        "http://localhost.example/",
        "https://user:secret-word@api.example.com/",
        "ws://127.0.0.1/",
    ],
)
def test_plain_http_is_for_this_machine(kind: str, url: str) -> None:
    """RFC 6750 §5.2: without TLS everybody on the way could use the token. No token is asked for, either."""
    auth = ClientCredentials(**CLIENT, token_url="https://auth.example.com/token", transport=NOBODY)
    with pytest.raises(ValueError, match="URL of a request with an access token must") as raised:
        call(kind, auth, ("GET", url), transport=NOBODY)
    assert "secret-word" not in str(raised.value)


def nobody(request: httpx.Request) -> httpx.Response:
    """Fail: no request was to be made."""
    raise AssertionError(request.url)


NOBODY = httpx.MockTransport(nobody)

ORIGINS = [
    ("https://api.example.com/v1", "https://api.example.com/v2/data", True),
    ("https://api.example.com/v1", "https://API.example.com:443/", True),
    ("https://api.example.com", "https://api.example.com/", True),
    ("https://bücher.example", "https://xn--bcher-kva.example/", True),
    ("https://xn--a.example", "https://xn--a.example/", True),
    ("https://api.example.com", "https://api.example.com:8443/", False),
    ("https://api.example.com", "https://api.example.com.evil.example/", False),
    ("https://api.example.com", "https://evil.example/?https://api.example.com", False),
    ("https://api.example.com", "https://example.com/", False),
    ("https://127.0.0.1", "http://127.0.0.1/", False),
    ("http://127.0.0.1:1", "http://127.0.0.1:2/", False),
    ("http://127.0.0.1:1", "http://localhost:1/", False),
]


@pytest.mark.parametrize(("resource", "url", "allowed"), ORIGINS)
def test_resource_by_url_is_the_only_place(resource: str, url: str, *, allowed: bool) -> None:
    """Its origin: scheme, host and port."""
    reach = Reach([resource])
    if allowed:
        reach.check(httpx.URL(url))
        return
    with pytest.raises(ValueError, match="so it is not sent to"):
        reach.check(httpx.URL(url))


@pytest.mark.parametrize("path", ["", "/", "?q=1", "/part", "/part/../more", "//"])
def test_below_the_resource_that_names_its_issuer(path: str) -> None:
    """What lies under its path."""
    Reach(["https://api.example.com/v1"], within=True).check(httpx.URL(f"https://api.example.com/v1{path}"))


@pytest.mark.parametrize(
    "path", ["", "/", "/v", "/v2", "/v1x", "/v1/../v2", "/v1/%2e%2e/v2", "/v1/%2E./", "/V1", "/v1%2f../v2"]
)
def test_beside_the_resource_that_names_its_issuer(path: str) -> None:
    """The issuer is trusted for that path alone."""
    with pytest.raises(ValueError, match="so it is not sent to"):
        Reach(["https://api.example.com/v1"], within=True).check(httpx.URL(f"https://api.example.com{path}"))


def test_several_resources_are_several_places() -> None:
    """And a name among them is anywhere."""
    elsewhere = httpx.URL("https://c.example/")
    reach = Reach(["https://a.example", "https://b.example"])
    reach.check(httpx.URL("https://b.example/x"))
    with pytest.raises(ValueError, match=r"is for https://a\.example and https://b\.example, so"):
        reach.check(elsewhere)
    Reach(["https://a.example", "name"]).check(elsewhere)
    Reach([]).check(elsewhere)


def test_refusal_shows_no_query() -> None:
    """It may hold what is secret."""
    with pytest.raises(ValueError, match=re.escape("to https://b.example/x") + "$"):
        Reach(["https://a.example"]).check(httpx.URL("https://b.example/x?key=secret-word#secret-word"))


def test_request_to_another_place_is_not_made(server: Scripted, start_server: Start, kind: str) -> None:
    """With the token or without."""
    other = start_server()
    with pytest.raises(ValueError, match="so it is not sent to"):
        call(kind, server.credentials(resource=f"{server.url}/api"), ("GET", f"{other.url}/api"))
    assert server.asked == other.asked == []


@pytest.mark.parametrize("resource", [(), "{server}"], ids=["anywhere", "resource"])
def test_redirect_to_another_origin_goes_without_the_token(
    server: Scripted, start_server: Start, kind: str, resource: Any
) -> None:
    """Httpx takes it away; and a demand for one from there is not heard."""
    other = start_server()
    server.says("/token", granted("t1"))
    server.says("/data", Reply(302, b"", {"Location": f"{other.url}/data"}))
    other.says("/data", opened_by("t1"))
    wanted = resource.format(server=server.url) if resource else ()
    (answer,) = call(
        kind, server.credentials(resource=wanted), ("GET", f"{server.url}/data"), follow_redirects=True
    )
    assert answer.status_code == 401
    assert [asked.authorization for asked in other.asked] == [None]
    assert server.count("/token") == 1


def test_redirect_within_the_origin_keeps_the_token(server: Scripted, kind: str) -> None:
    """As with any other authentication of httpx."""
    server.says("/token", granted("t1"))
    server.says("/data", Reply(302, b"", {"Location": "/moved"}))
    server.says("/moved", opened_by("t1"))
    (answer,) = call(kind, server.credentials(), ("GET", f"{server.url}/data"), follow_redirects=True)
    assert answer.json() == "opened"


def test_redirects_of_the_token_endpoint_are_not_followed(server: Scripted, start_server: Start) -> None:
    """The secret goes to the URL that was named."""
    other = start_server()
    other.says("/token", granted("t1"))
    server.says("/token", Reply(307, b"", {"Location": f"{other.url}/token"}))
    with pytest.raises(Exception, match="status 307"):
        server.credentials(retries=quick()).token()
    assert other.asked == []
