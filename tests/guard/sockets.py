"""An issuer on a real socket in threads of its own, so that code that blocks can be tested beside code that awaits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.tokens import IssuerKey, encode, good_claims

AUDIENCE = "https://api.example/orders"
METADATA_PATH = "/.well-known/oauth-authorization-server"
OPENID_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/keys"

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers one request as its issuer wants it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer."""
        self.server.issuer.answer(self)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of callers who hang up, and waits for none."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    issuer: SocketIssuer

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


class SocketIssuer:
    """Publishes metadata and keys; counts who asks for keys; ``instead`` answers for it."""

    def __init__(self, path: str = "", metadata_path: str = METADATA_PATH) -> None:
        self.key = IssuerKey.generate()
        self.cache_control = "max-age=300"
        self.instead: Answer | None = None
        self.metadata_path = metadata_path
        self.fetches = 0
        self.open = threading.Event()
        self.open.set()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.issuer = self
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        self.url = self.base + path

    def token(self, **changes: Any) -> str:
        """Return a good token for AUDIENCE, or one with changed claims."""
        return self.key.token(good_claims(self.url, AUDIENCE, **changes))

    def answer(self, request: Handler) -> None:
        """Answer as a good issuer, unless told otherwise."""
        if request.path == self.metadata_path:
            request.send(200, encode({"issuer": self.url, "jwks_uri": self.base + KEYS_PATH}))
        elif request.path != KEYS_PATH:
            request.send(404, b"")
        else:
            self.fetches += 1
            self.open.wait()
            if self.instead is None:
                request.send(200, encode({"keys": [self.key.jwk()]}), Cache_Control=self.cache_control)
            else:
                self.instead(request)

    @contextlib.contextmanager
    def serving(self) -> Iterator[SocketIssuer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.open.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()
