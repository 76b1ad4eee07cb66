"""Servers on real sockets that answer as a test tells them, and clients of every kind that call them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs

import httpx
import trio

from steelcut import ClientCredentials, Retries

T = TypeVar("T")

SECRET = "secret-word"
CLIENT: dict[str, Any] = {"client_id": "jane", "client_secret": SECRET}
KINDS = ("sync", "asyncio", "trio")
# The servers here speak plain http; httpx would read a hundred certificates for each client.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Asked:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, list[str]]:
        """Its body as a form."""
        return parse_qs(self.body.decode())

    @property
    def authorization(self) -> str | None:
        """Who is asking."""
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Reply:
    """An answer; ``content`` is JSON unless it is bytes. Status 0 hangs up without one."""

    status: int = 200
    content: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


HANG_UP = Reply(0)
Script = Reply | Callable[[Asked], Reply]


def granted(value: str, expires_in: object = 3600, **members: Any) -> Reply:
    """A token endpoint's answer; without ``expires_in`` when that is None."""
    given = {"access_token": value, "token_type": "Bearer", "expires_in": expires_in, **members}
    return Reply(200, {name: member for name, member in given.items() if member is not None})


def refused(error: str, status: int = 400, **headers: str) -> Reply:
    """A token endpoint's refusal."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"error": error, "error_description": "No."}, named)


def challenged(challenge: str = 'Bearer error="invalid_token"', status: int = 401) -> Reply:
    """A resource's refusal."""
    return Reply(status, b"", {"WWW-Authenticate": challenge})


def opened_by(
    *tokens: str, document: Any = "opened", challenge: str = 'Bearer error="invalid_token"'
) -> Callable[[Asked], Reply]:
    """A resource that takes these tokens and finds all others invalid."""

    def answer(asked: Asked) -> Reply:
        good = asked.authorization in {f"Bearer {token}" for token in tokens}
        return Reply(200, document) if good else challenged(challenge)

    return answer


class Scripted:
    """A server; each path has its answers, of which the last stays. What was asked is in ``asked``."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._scripts: dict[str, deque[Script]] = {}

    def says(self, path: str, *replies: Script) -> None:
        """Answer ``path`` so from now on; elsewhere is nothing."""
        self._scripts[path] = deque(replies)

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked.path == path for asked in self.asked)

    def reply(self, asked: Asked) -> Reply:
        """Answer."""
        self.asked.append(asked)
        scripts = self._scripts.get(asked.path.partition("?")[0], deque([Reply(404)]))
        script = scripts[0] if len(scripts) == 1 else scripts.popleft()
        return script(asked) if callable(script) else script

    def credentials(self, **options: Any) -> ClientCredentials:
        """Credentials whose tokens come from this server, without a pause between attempts."""
        given = {**CLIENT, "token_url": f"{self.url}/token", "retries": quick(), **options}
        return ClientCredentials(**given)


@contextlib.contextmanager
def serving() -> Iterator[Scripted]:
    """Run a scripted server on a free port."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = script.reply(Asked(self.command, self.path, headers, body))
            self.close_connection = True
            if reply.status == 0:
                return
            content = (
                reply.content if isinstance(reply.content, bytes) else json.dumps(reply.content).encode()
            )
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

        def _chunk(self) -> bytes:
            chunk = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return chunk

        do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - the names that http.server wants

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Http(ThreadingHTTPServer):
        request_queue_size = 512  # or a burst of connections waits a second for its place

    with Http(("127.0.0.1", 0), Handler) as http:
        script.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.005,))
        thread.start()
        yield script
        http.shutdown()
        thread.join()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def quick(waits: list[float] | None = None, **options: Any) -> Retries:
    """Retries that note their waits in the place of waiting, and have no random part."""
    noted = [] if waits is None else waits

    async def sleep_async(seconds: float) -> None:
        noted.append(seconds)

    given = {"attempts": 3, "random": lambda: 0.0, **options}
    return Retries(sleep=noted.append, sleep_async=sleep_async, **given)


def in_kind(kind: str, sync: Callable[[], T], make: Callable[[], Awaitable[T]]) -> T:
    """Run the plain function, or the coroutine on asyncio or trio, in a thread of its own."""

    async def run() -> T:
        return await make()

    with ThreadPoolExecutor(1) as thread:
        if kind == "sync":
            return thread.submit(sync).result()
        return (
            thread.submit(asyncio.run, run()).result()
            if kind == "asyncio"
            else thread.submit(trio.run, run).result()
        )


def call(kind: str, auth: httpx.Auth, *requests: tuple[Any, ...], **options: Any) -> list[httpx.Response]:
    """Send requests, each a method, a URL and perhaps keywords, one after the other by one httpx client."""

    def sync() -> list[httpx.Response]:
        with httpx.Client(auth=auth, trust_env=False, verify=NO_TLS, **options) as http:
            return [http.request(method, url, **(more[0] if more else {})) for method, url, *more in requests]

    async def make() -> list[httpx.Response]:
        async with httpx.AsyncClient(auth=auth, trust_env=False, verify=NO_TLS, **options) as http:
            return [
                await http.request(method, url, **(more[0] if more else {}))
                for method, url, *more in requests
            ]

    return in_kind(kind, sync, make)
