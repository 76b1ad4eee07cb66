"""The small client that `steelcut token` and scripts use, against servers that are not as they should be."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from steelcut import client, exchange
from steelcut.client import (
    RequestRefused,
    Token,
    UnexpectedAnswer,
    Unreachable,
    fetch,
    request_token,
)

GOOD = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60, "scope": "read"}


@dataclass
class Scripted:
    """A server that answers every request the same way and remembers what it was asked."""

    url: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    seconds_per_byte: float = 0
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)

    def answer(self, members: Any, status: int = 200, **headers: str) -> None:
        """Answer JSON from now on."""
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
        self.body = members if isinstance(members, bytes) else json.dumps(members).encode()


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server on a free port."""
    with _serving() as script:
        yield script


@contextmanager
def _serving() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.asked.append((self.command, self.path, dict(self.headers), body))
            self.send_response(script.status)
            for name, value in {"Content-Length": str(len(script.body)), **script.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for start in range(0, len(script.body), 1 if script.seconds_per_byte else 65_536):
                    end = start + (1 if script.seconds_per_byte else 65_536)
                    self.wfile.write(script.body[start:end])
                    time.sleep(script.seconds_per_byte)
            except ConnectionError:
                pass

        do_GET = do_POST = _serve  # noqa: N815 - the names that http.server wants

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        script.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield script
        http.shutdown()
        thread.join()


def _request(server: Scripted, **options: Any) -> Token:
    given = {
        "client_id": "id",
        "client_secret": "secret-word",
        "token_url": f"{server.url}/token",
        "retries": None,
        **options,
    }
    return request_token(**given)


def test_request_on_the_wire(server: Scripted) -> None:
    """RFC 6749 §2.3.1 (both halves form-encoded), §4.4.2; RFC 8707 §2 (resource repeats)."""
    server.answer(GOOD)
    token = _request(
        server,
        client_id="a b:c",
        client_secret="p+/=%",
        resource=["https://x.example/1", "two"],
        scope="read write",
    )
    assert token == Token("a.b.c", 60, "read")
    ((method, path, headers, body),) = server.asked
    assert (method, path) == ("POST", "/token")
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"a+b%3Ac:p%2B%2F%3D%25"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body.decode()) == {
        "grant_type": ["client_credentials"],
        "resource": ["https://x.example/1", "two"],
        "scope": ["read write"],
    }


def test_token_is_shown_nowhere() -> None:
    """Neither by repr nor by str."""
    assert "a.b.c" not in f"{Token('a.b.c', 60, 'read')!r} {Token('a.b.c')}"


def test_token_endpoint_is_discovered(server: Scripted) -> None:
    """RFC 8414 §3.1: the well-known segment goes between host and path."""
    issuer = f"{server.url}/tenant"
    server.answer({"issuer": issuer, "token_endpoint": f"{server.url}/t"})
    assert client.find_token_url(issuer) == f"{server.url}/t"
    assert server.asked[0][1] == "/.well-known/oauth-authorization-server/tenant"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example", "token_endpoint": "https://other.example/token"},
        {"token_endpoint": "https://other.example/token"},
        {"issuer": "{issuer}"},
        {"issuer": "{issuer}", "token_endpoint": 7},
        {"issuer": "{issuer}", "token_endpoint": "http://auth.example.com/token"},
        {"issuer": "{issuer}", "token_endpoint": "/token"},
        {"issuer": "{issuer}/", "token_endpoint": "https://auth.example.com/token"},
        [],
        "text",
    ],
)
def test_metadata_that_cannot_be_trusted(server: Scripted, metadata: Any) -> None:
    """The secret goes nowhere."""
    server.answer(json.dumps(metadata).replace("{issuer}", server.url).encode())
    with pytest.raises(UnexpectedAnswer):
        _request(server, token_url=None, issuer=server.url)
    assert {method for method, *_ in server.asked} == {"GET"}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"access_token": ""},
        {**GOOD, "access_token": 7},
        {**GOOD, "access_token": "a b"},
        {**GOOD, "access_token": "a\r\nHost: x"},
        {**GOOD, "token_type": "DPoP"},
        {**GOOD, "token_type": None},
        [GOOD],
        b"",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        gzip.compress(json.dumps(GOOD).encode(), mtime=0),
    ],
)
def test_answer_that_is_no_token(server: Scripted, members: Any) -> None:
    """Status 200 alone proves nothing."""
    server.answer(members)
    with pytest.raises(UnexpectedAnswer):
        _request(server)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (60, 60),
        (60.5, 60),
        (0, 0),
        *((value, None) for value in (None, "60", True, -1, float("nan"), float("inf"), [60])),
    ],
)
def test_lifetime_is_a_number_or_unknown(server: Scripted, expires_in: Any, seconds: int | None) -> None:
    """RFC 6749 §5.1 makes it optional."""
    server.answer({**GOOD, "expires_in": expires_in})
    assert _request(server).expires_in == seconds


def test_refusal_carries_the_oauth_error(server: Scripted) -> None:
    """RFC 6749 §5.2."""
    server.answer({"error": "invalid_client", "error_description": "No.\x1b[2J"}, 401, X_Trace_Id="f00d")
    with pytest.raises(RequestRefused) as refusal:
        _request(server)
    error = refusal.value
    assert (error.status, error.error, error.description, error.trace_id) == (
        401,
        "invalid_client",
        "No.?[2J",
        "f00d",
    )
    assert "secret-word" not in str(error)


def test_refusal_of_a_resource_is_read_from_its_challenge(server: Scripted) -> None:
    """RFC 6750 §3: a resource server need not have a body."""
    challenge = (
        'Bearer realm="x", error="insufficient_scope", error_description="say \\"please\\"", scope="write"'
    )
    server.answer(b"", 403, WWW_Authenticate=challenge)
    with pytest.raises(RequestRefused) as refusal:
        fetch(f"{server.url}/document", Token("a.b.c"))
    assert (refusal.value.error, refusal.value.description) == ("insufficient_scope", 'say "please"')


@pytest.mark.parametrize("status", [201, 204, 302, 307, 308, 404, 500, 502])
def test_other_statuses_are_unexpected(server: Scripted, status: int) -> None:
    """A redirect too: what is secret goes to the URL that was named and nowhere else."""
    server.answer(b"" if status == 204 else b"{}", status, Location=f"{server.url}/elsewhere")
    with pytest.raises(UnexpectedAnswer, match=f"status {status}"):
        _request(server)
    with pytest.raises(UnexpectedAnswer, match=f"status {status}"):
        fetch(f"{server.url}/document", Token("a.b.c"))
    assert len(server.asked) == 2


def test_answer_without_end_is_cut_off(server: Scripted) -> None:
    """Memory stays bounded."""
    server.answer(b" " * (exchange.MAX_ANSWER_BYTES + 1))
    with pytest.raises(UnexpectedAnswer, match="more than 262144 bytes"):
        _request(server)


def test_small_answer_that_unpacks_to_a_large_one_is_not_unpacked(server: Scripted) -> None:
    """No encoding was asked for."""
    server.answer(gzip.compress(b" " * 10_000_000), Content_Encoding="gzip")
    with pytest.raises(UnexpectedAnswer, match="content encoding"):
        _request(server)
    assert server.asked[0][2]["Accept-Encoding"] == "identity"


def test_slow_answer_ends_with_the_time_out(server: Scripted) -> None:
    """Each byte in time is not the whole in time."""
    server.answer(GOOD)
    server.seconds_per_byte = 0.05
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not finish its answer within 0\.3 seconds"):
        _request(server, timeout=0.3)
    assert time.monotonic() - begin < 2


def test_server_that_hangs_up(server: Scripted) -> None:
    """A broken answer is none."""
    server.answer(b"{}", Content_Length="100")
    with pytest.raises(Unreachable, match="cannot be reached"):
        _request(server)


def test_nobody_there() -> None:
    """One sentence."""
    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        request_token(
            client_id="id", client_secret="secret", token_url="http://127.0.0.1:1/token", retries=None
        )


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://auth.example.com/token",
            "ftp://127.0.0.1/token",
            "/token",
            "token",
            "",
            "http://",
            "https://",
        ),
        *(
            "http://[::1",
            "http://127.0.0.1.example.com/",
            "http://localhost@example.com/",
            "file:///etc/passwd",
        ),
        "https://user:password@auth.example.com/",
    ],
)
def test_url_to_which_no_secret_is_sent(url: str) -> None:
    """RFC 6749 §3.2 wants TLS; on this very machine nobody listens in."""
    with pytest.raises(ValueError, match="token URL"):
        request_token(client_id="id", client_secret="secret", token_url=url)
    with pytest.raises(ValueError, match="document URL"):
        fetch(url, Token("a.b.c"))


def test_neither_issuer_nor_token_url() -> None:
    """There is nobody to ask."""
    with pytest.raises(ValueError, match="give the issuer"):
        request_token(client_id="id", client_secret="secret")


def test_proxy_of_the_environment_does_not_see_loopback(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not reach this machine's loopback address, and has no business with the secret."""
    with _serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        server.answer(GOOD)
        assert _request(server).value == "a.b.c"
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("header", "parameters"),
    [
        ('Bearer error="x", scope="a b"', {"error": "x", "scope": "a b"}),
        ('bearer ERROR="x"', {"error": "x"}),
        ('Basic realm="token"', {}),
        ("Bearer", {}),
        ("", {}),
    ],
)
def test_challenge_parameters(header: str, parameters: dict[str, str]) -> None:
    """RFC 6750 §3, RFC 9110 §11.6.1."""
    assert client.challenge_parameters(header) == parameters
