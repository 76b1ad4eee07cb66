"""One request and its answer stay within their bounds, whatever a server does with a connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from steelcut import Unreachable
from steelcut.exchange import Exchange, _tls
from tests.support.certificates import Authority
from tests.support.tokens import IssuerKey, encode

Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def answered_by(*serves: Serve, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Take a connection for each of ``serves``, one after the other, read a request from it and let that answer."""

    def take() -> None:
        for serve in serves:
            with contextlib.ExitStack() as ends, contextlib.suppress(OSError):
                connection = ends.enter_context(listener.accept()[0])
                if tls is not None:
                    connection = ends.enter_context(tls.wrap_socket(connection, server_side=True))
                connection.recv(65_536)
                serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take)
        thread.start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)  # nobody comes any more
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the servers of this file that speak TLS."""
    return Authority.new(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    """What a server speaks, which is None for plain http."""
    if request.param == "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certify(authority.file.parent / "server"))
    return context


@pytest.fixture
def exchange(authority: Authority) -> Exchange:
    """What reaches those servers."""
    return Exchange(verify=authority.trusted())


def answers(connection: socket.socket) -> None:
    """Send a whole answer."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def trickling(beginning: bytes) -> Serve:
    """Return what sends ``beginning`` and then a byte now and then, until nobody listens."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(beginning)
        for _ in range(500):
            time.sleep(0.01)
            connection.send(b"x")

    return serve


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="body without a length"),
    ],
)
def test_answer_that_trickles_is_cut_off(
    beginning: bytes, tls: ssl.SSLContext | None, exchange: Exchange
) -> None:
    """However a server spins it out, the exchange ends in time, and half an answer is none."""
    started = time.monotonic()
    with (
        answered_by(trickling(beginning), tls=tls) as url,
        pytest.raises(Unreachable, match=r"did not finish its answer within 0\.2 seconds"),
    ):
        exchange.send("GET", url, timeout=0.2)
    assert time.monotonic() - started < 2


def test_silence_is_cut_off(tls: ssl.SSLContext | None, exchange: Exchange) -> None:
    """A server that never answers is given up in time."""
    gone = threading.Event()

    def say_nothing(_connection: socket.socket) -> None:
        gone.wait(5)

    with answered_by(say_nothing, tls=tls) as url:
        with pytest.raises(Unreachable, match="did not finish"):
            exchange.send("GET", url, timeout=0.2)
        gone.set()


@pytest.mark.parametrize(
    "host",
    ["a..example.com", f"{'a' * 70}.example.com", "xn--a.example.com"],
    ids=["dots", "long", "punycode"],
)
def test_host_that_cannot_be_is_not_reached(host: str) -> None:
    """A name that no resolver takes, in a setting or in somebody's metadata, is a failure like any other."""
    with pytest.raises(Unreachable, match=rf"^https://{host}/token cannot be reached: "):
        Exchange().send("GET", f"https://{host}/token")


def test_answer_in_time_leaves_nothing_behind() -> None:
    """The watch over a request ends with it, so that a thousand requests leave no thousand threads."""
    before = threading.active_count()
    with answered_by(answers) as url:
        answer = Exchange().send("GET", url, timeout=60)
    assert answer.json_object() == {}
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threading.active_count() <= before  # fewer, when another test's thread ended meanwhile


def test_transport_stays_open_for_the_others() -> None:
    """The end of one exchange takes nothing from those that go over the same transport meanwhile."""
    asked, go_on = threading.Event(), threading.Event()

    def take_time(connection: socket.socket) -> None:
        asked.set()
        assert go_on.wait(10)
        answers(connection)

    with (
        httpx.HTTPTransport() as transport,
        answered_by(take_time) as slow,
        answered_by(answers) as quick,
        ThreadPoolExecutor(1) as thread,
    ):
        exchange = Exchange(transport)
        waiting = thread.submit(exchange.send, "GET", slow)
        assert asked.wait(10)
        assert exchange.send("GET", quick).json_object() == {}
        go_on.set()
        assert waiting.result().json_object() == {}


def test_second_answer_over_a_transport_is_cut_off_as_well() -> None:
    """A connection that was kept from the first request would have no end."""

    def answers_and_trickles(connection: socket.socket) -> None:
        answers(connection)
        if connection.recv(65_536):
            trickling(b"HTTP/1.1 200 OK\r\nX-Slow: ")(connection)

    with (
        httpx.HTTPTransport() as transport,
        answered_by(answers_and_trickles, trickling(b"HTTP/1.1 200 OK\r\nX-Slow: ")) as url,
    ):
        exchange = Exchange(transport)
        assert exchange.send("GET", url).json_object() == {}
        started = time.monotonic()
        with pytest.raises(Unreachable, match="did not finish"):
            exchange.send("GET", url, timeout=0.2)
        assert time.monotonic() - started < 2


FIRST_REQUESTS = {
    "token": (
        b'{"access_token": "t1", "token_type": "Bearer"}',
        "ClientCredentials('id', 'secret', token_url=sys.argv[1], retries=None).token",
    ),
    "keys": (
        encode({"keys": [IssuerKey.generate().jwk()]}),
        "partial(KeySource('http://127.0.0.1', jwks_uri=sys.argv[1]).key, 'key-1')",
    ),
}


@pytest.mark.parametrize(("body", "ask"), FIRST_REQUESTS.values(), ids=FIRST_REQUESTS)
def test_all_is_loaded_before_the_first_request(body: bytes, ask: str) -> None:
    """Whoever forks while it is in the air has no child with half a module, or half of the authorities of TLS."""
    program = f"""
import ssl, sys
from functools import partial
from steelcut import ClientCredentials, KeySource
ask = {ask}
loaded, ssl.create_default_context = set(sys.modules), None
assert ask()
assert not set(sys.modules) - loaded, set(sys.modules) - loaded
"""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answered_by(lambda connection: connection.sendall(head + body)) as url:
        done = subprocess.run(
            [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"no PEM", "NO_CERTIFICATE_OR_CRL_FOUND")],
    ids=["missing", "no certificate"],
)
def test_authorities_that_cannot_be_read_are_named(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an error that callers handle, with the variable and the file."""
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    _tls.cache_clear()
    with pytest.raises(Unreachable, match=f"SSL_CERT_FILE={file} cannot be read: {reason}"):
        Exchange().send("GET", "http://127.0.0.1:1/")
