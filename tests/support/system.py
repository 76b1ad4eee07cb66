"""The running system: both services on real sockets, with a key, a resource, a client and a document."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, Literal, TypeVar

import httpx
import orjson
import uvicorn
from fastapi import FastAPI

from auth_service.administration.actor import Actor
from auth_service.administration.clients import NewClient, create_client
from auth_service.administration.keys import create_key
from auth_service.administration.resources import create_resource
from auth_service.app import create_app as create_auth_app
from auth_service.master_key import MasterKey
from auth_service.settings import AuthSettings
from auth_service.signing_keys import SigningAlgorithm
from auth_service.state import Process
from resource_service import documents
from resource_service.app import create_app as create_resource_app
from resource_service.settings import ResourceSettings
from steelcut.service.aged_cache import AgedCache
from steelcut.service.database.connecting import connect
from steelcut.service.http.asgi import Application
from steelcut.service.http.protocol import HttpProtocol
from steelcut.service.http.security_headers import security_headers
from steelcut.service.settings import DEFAULT_WAITING
from steelcut.service.telemetry.counting import Connections
from steelcut.service.telemetry.logs import make_logger
from tests.support.databases import Databases
from tests.support.plain_http import http_client
from tests.support.waiting import until

RESOURCE = "api_v0.0.1"
DOCUMENT = b'{"about": "This is a protected resource"}\n'
SCOPES = ("read", "write")
# Who makes the changes that tests make.
ACTOR = Actor("test")
# The one parameter that every token request has.
GRANT = {"grant_type": "client_credentials"}
# What nothing is called, but what a test lets a service hear of.
PROBE = "probe"
LIMITS = ("max_connections", "max_waiting_requests")

T = TypeVar("T")


@dataclass(frozen=True)
class Registered:
    """A client with its secret in clear, as only a test keeps it."""

    client_id: str
    secret: str = field(repr=False)

    @property
    def basic(self) -> httpx.BasicAuth:
        """The client's credentials for HTTP Basic."""
        return httpx.BasicAuth(self.client_id, self.secret)


@dataclass
class Log:
    """Everything that the two services logged, as text and as the fields of each line."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue()

    def of(self, response: httpx.Response) -> dict[str, Any]:
        """The line of one request, found by the trace id that its answer carries."""
        trace_id = response.headers["x-trace-id"]
        lines = [orjson.loads(line) for line in self.text.splitlines() if trace_id in line]
        (line,) = [line for line in lines if line["event"] == "request"]
        return dict(line)


@dataclass
class Seeded:
    """The databases of a system, filled; nothing runs on them yet."""

    databases: Databases
    client: Registered

    async def as_owner(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Reach into the auth database as its owner."""
        return await as_owner(self.databases.auth.owner, work)

    async def as_admin(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Administer the auth database as its administrator does."""
        return await as_owner(self.databases.auth_admin, work)


@dataclass
class System(Seeded):
    """Both services, running."""

    issuer: str
    resource_base: str
    master_key: str = field(repr=False)
    auth_app: FastAPI
    resource_app: FastAPI
    log: Log

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.issuer}/token"

    @property
    def document_url(self) -> str:
        """The document of the example resource, which is also the resource's identifier."""
        return f"{self.resource_base}/{RESOURCE}"

    @property
    def auth_process(self) -> Process:
        """The inner state of the authorization server."""
        process: Process = self.auth_app.state.process
        return process

    async def heard(self) -> None:
        """Wait until both services have heard of every change so far: nothing leaves their caches by it later."""
        databases, documents = self.databases, self.resource_app.state.process.documents
        await asyncio.gather(
            _heard(self.auth_process.registry._clients, PROBE, databases.auth.owner, "steelcut_clients"),
            _heard(documents._ready, (PROBE, PROBE), databases.resource.owner, "steelcut_documents"),
        )

    async def register(self, name: str, scopes: tuple[str, ...] = ("read",), **options: Any) -> Registered:
        """Register one more client for the example resource."""
        grants = options.pop("grants", {RESOURCE: scopes})
        new = await self.as_admin(lambda c: create_client(c, ACTOR, name, grants, **options))
        return Registered(new.client.client_id, new.secret)


async def _heard(cache: AgedCache[Any, Any], name: Any, owner: str, channel: str) -> None:
    # Notifications come in order, and a service that only begins to listen takes nothing for fresh.
    cache.put(name, SimpleNamespace(body=b""))
    payload = name if isinstance(name, str) else "/".join(name)
    await as_owner(owner, lambda c: c.execute("SELECT pg_notify($1, $2)", channel, payload))

    async def gone() -> bool:
        return cache.fresh(name) is None

    await until(gone, 10)


async def as_owner(url: str, work: Callable[[Any], Awaitable[T]]) -> T:
    """Run ``work`` on a connection of the owner of a database."""
    connection = await connect(url)
    try:
        return await work(connection)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def running_system(
    databases: Databases,
    *,
    algorithm: SigningAlgorithm = "ES256",
    issuer_path: str = "",
    resource_options: Mapping[str, Any] = MappingProxyType({}),
    admin: bool = False,
    **auth_options: Any,
) -> AsyncIterator[System]:
    """Seed the databases and run both services in this event loop, each on a free port; ``admin``: with its API."""
    if admin:
        auth_options["admin_database_url"] = databases.auth_admin
    auth_socket, resource_socket = listen(), listen()
    issuer = _url(auth_socket) + issuer_path
    resource_base = _url(resource_socket)
    master_key = base64.b64encode(secrets.token_bytes(32)).decode()
    client = await seed(databases, resource_base, master_key, algorithm)
    log = Log()
    auth_app = create_auth_app(
        AuthSettings(
            issuer=issuer,
            database_url=databases.auth.runtime,  # type: ignore[arg-type]
            master_key=master_key,  # type: ignore[arg-type]
            # The tests fail often, and all from one address: those of the limits set what they need.
            **{"database_wait_seconds": 5, "failures_allowed": 0, **auth_options},
        ),
        make_logger("auth_service", "json", log.stream),
    )
    resource_app = create_resource_app(
        ResourceSettings(
            issuer=issuer,
            base_url=resource_base,
            database_url=databases.resource.runtime,  # type: ignore[arg-type]
            **{
                "publisher_database_url": databases.publisher,
                "database_wait_seconds": 5,
                **resource_options,
            },
        ),
        make_logger("resource_service", "json", log.stream),
    )
    limits = {name: auth_options[name] for name in LIMITS if name in auth_options}
    headers = security_headers(https=False)
    async with (
        serving(auth_app, auth_socket, headers=headers, **limits) as auth_server,
        serving(resource_app, resource_socket, headers=headers) as resource_server,
    ):
        try:
            yield System(databases, client, issuer, resource_base, master_key, auth_app, resource_app, log)
        finally:
            # Both at once: most of an end is waiting.
            auth_server.should_exit = resource_server.should_exit = True


async def seed(
    databases: Databases, resource_base: str, master_key: str, algorithm: SigningAlgorithm = "ES256"
) -> Registered:
    """Make a key, the example resource, a client that may read it, and its document."""

    async def fill_auth(connection: Any) -> NewClient:
        await create_key(connection, ACTOR, MasterKey.from_base64(master_key), algorithm)
        await create_resource(connection, ACTOR, RESOURCE, f"{resource_base}/{RESOURCE}", SCOPES)
        return await create_client(connection, ACTOR, "Jane Doe", {RESOURCE: ["read"]})

    new = await as_owner(databases.auth_admin, fill_auth)
    await as_owner(databases.resource.owner, lambda c: documents.publish(c, RESOURCE, None, DOCUMENT))
    return Registered(new.client.client_id, new.secret)


def listen() -> socket.socket:
    """Bind a free port; connections wait in its backlog until the server accepts them."""
    # The protocol is named because asyncio turns Nagle's algorithm off only for sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


@contextlib.asynccontextmanager
async def serving(
    app: Any,
    listener: socket.socket,
    *,
    lifespan: Literal["on", "auto"] = "on",
    max_connections: int | None = None,
    max_waiting_requests: int = DEFAULT_WAITING,
    headers: list[tuple[str, str]] | None = None,
) -> AsyncIterator[uvicorn.Server]:
    """Serve ``app`` with uvicorn on ``listener`` until the block ends; "auto" for one that knows no lifespan."""
    config = uvicorn.Config(
        app,
        limit_concurrency=max_connections,
        http=HttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        # As serving.run has it: ours alone say whom to believe.
        proxy_headers=False,
        lifespan=lifespan,
        server_header=False,
        headers=headers,
        timeout_graceful_shutdown=2,
    )
    # As WorkerConfig has it, which would settle the garbage collector of the tests as well.
    config.max_waiting_requests = max_waiting_requests  # type: ignore[attr-defined]
    config.counted_connections = Connections()  # type: ignore[attr-defined]
    if isinstance(app, Application):
        app.watch.connections = config.counted_connections  # type: ignore[attr-defined]
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _first_answer(_url(listener), task)
        yield server
    finally:
        server.should_exit = True
        await task
        listener.close()


async def _first_answer(url: str, server: asyncio.Task[None]) -> None:
    """Wait until the server answers, or has refused to start."""
    async with http_client() as http:
        answer = asyncio.ensure_future(http.get(f"{url}/healthz", timeout=10))
        await asyncio.wait({answer, server}, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            answer.cancel()
            raise RuntimeError("the service refused to start: its log says why")
        await answer


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
