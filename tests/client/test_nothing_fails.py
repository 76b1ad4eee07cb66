"""A program that fetches in a loop notices no rotation of secret or key, and no restart of the auth service."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from auth_service.administration.secrets import rotate_secret
from auth_service.app import create_app
from auth_service.key_life import LEEWAY_SECONDS, MARGIN_SECONDS, KeyTiming
from auth_service.master_key import MasterKey
from auth_service.settings import REFRESHING_SECONDS, AuthSettings
from steelcut import ClientCredentials
from steelcut.service.telemetry.logs import make_logger
from tests.lifecycle.key_operator import KeyOperator, new_master_key
from tests.support.databases import Databases
from tests.support.issuer import resource_service, url_of
from tests.support.system import ACTOR, DOCUMENT, RESOURCE, seed, serving
from tests.support.waiting import until

pytestmark = pytest.mark.slow

LIFETIME, MAX_AGE, REFRESH = 1, 1, 1

# Between two requests, so that the rest of the test gets its share of the processor.
PACE_SECONDS = 0.005


class Way(httpx.HTTPTransport):
    """The way to the authorization server, which notes how often nobody was there."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        try:
            return super().handle_request(request)
        except httpx.TransportError:
            self.failures += 1
            raise


@dataclass
class AuthService:
    """The auth service at one address, where it can be stopped and started again."""

    databases: Databases
    master_key: str
    listener: socket.socket = field(default_factory=lambda: _listen(("127.0.0.1", 0)))
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def issuer(self) -> str:
        """Its name and address."""
        return self._issuer

    def __post_init__(self) -> None:
        """Keep the address."""
        self._address = self.listener.getsockname()
        self._issuer = url_of(self.listener)

    async def start(self) -> None:
        """Serve, on a socket of its own each time."""
        settings: dict[str, Any] = {
            "issuer": self.issuer,
            "database_url": self.databases.auth.runtime,
            "master_key": self.master_key,
            "database_wait_seconds": 5,
            "token_lifetime_seconds": LIFETIME,
            "jwks_max_age_seconds": MAX_AGE,
            "cache_max_age_seconds": REFRESH,
            "stale_seconds": 0,
        }
        app = create_app(AuthSettings(**settings), make_logger("auth_service", "json", io.StringIO()))
        await self.stack.enter_async_context(serving(app, self.listener))

    async def stop(self) -> None:
        """Go away; connections are refused from now on."""
        await self.stack.aclose()

    async def start_again(self) -> None:
        """Come back to the same address."""
        self.listener = _listen(self._address)
        await self.start()


@dataclass
class Program:
    """Fetches the document from a thread and from a task, on and on, with one ``ClientCredentials``."""

    auth: ClientCredentials
    url: str
    answers: Counter[Any] = field(default_factory=Counter)
    kids: set[str] = field(default_factory=set)
    failures: list[Any] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def _note(self, response: httpx.Response) -> None:
        self.answers[response.status_code] += 1
        token = response.request.headers["Authorization"].removeprefix("Bearer ")
        self.kids.add(jwt.get_unverified_header(token)["kid"])
        if response.content != DOCUMENT:
            self.failures.append(response.headers)

    def thread(self) -> None:
        """Fetch until the end."""
        with httpx.Client(auth=self.auth, trust_env=False) as http:
            while not self.ended.wait(PACE_SECONDS):
                try:
                    self._note(http.get(self.url))
                except Exception as error:  # noqa: BLE001 - whatever it is, the program would have failed
                    self.failures.append(error)

    async def task(self) -> None:
        """Fetch until the end."""
        async with httpx.AsyncClient(auth=self.auth, trust_env=False) as http:
            while not self.ended.is_set():
                await asyncio.sleep(PACE_SECONDS)
                try:
                    self._note(await http.get(self.url))
                except Exception as error:  # noqa: BLE001 - the same
                    self.failures.append(error)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Go on until the block ends."""
        thread = asyncio.create_task(asyncio.to_thread(self.thread))
        task = asyncio.create_task(self.task())
        try:
            yield
        finally:
            self.ended.set()
            await asyncio.gather(thread, task)

    async def more_answers(self, count: int = 20) -> None:
        """Wait for so many."""
        goal = self.answers.total() + count

        async def there() -> bool:
            return self.answers.total() >= goal

        await until(there, 10)


async def test_no_call_fails_while_everything_changes(databases: Databases, tmp_path: Path) -> None:
    """One object of credentials, and not one failed call."""
    auth = AuthService(databases, new_master_key())
    file = tmp_path / "secret"
    way = Way()
    async with resource_service(
        databases, auth.issuer, base_url="http://127.0.0.1:8001", jwks_cooldown_seconds=3600
    ) as guarded:
        client = await seed(databases, "http://127.0.0.1:8001", auth.master_key)
        file.write_text(client.secret)
        await auth.start()
        operator = KeyOperator(
            databases, MasterKey.from_base64(auth.master_key), KeyTiming(LIFETIME, MAX_AGE, REFRESH)
        )
        credentials = ClientCredentials(
            client.client_id, client_secret_file=file, issuer=auth.issuer, transport=way
        )
        program = Program(credentials, f"{guarded.base}/{RESOURCE}")
        (old_key,) = [key.kid for key in await operator.keys()]
        async with program.running():
            await program.more_answers()
            new_key = await _step(operator, "create")

            rotated = await operator.run(
                lambda c: rotate_secret(c, ACTOR, client.client_id, overlap=timedelta(seconds=1))
            )
            file.write_text(rotated.added.value)
            await operator.let_time_pass(REFRESHING_SECONDS + MARGIN_SECONDS)
            assert await _step(operator, "promote") == new_key

            await auth.stop()

            async def all_wait() -> bool:
                return credentials._keeper._usable(time.time()) is None

            await until(all_wait, 10)
            before = way.failures

            async def in_vain() -> bool:
                return way.failures > before

            await until(in_vain, 10)
            await auth.start_again()

            await operator.let_time_pass(REFRESHING_SECONDS + MARGIN_SECONDS + LEEWAY_SECONDS)
            assert await _step(operator, "retire") == old_key
            await program.more_answers()
        await auth.stop()
    assert program.failures == []
    assert program.answers.keys() == {200}
    assert program.kids == {old_key, new_key}


def _listen(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # On the first one too: Linux asks those who had the port whether they would share it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(512)
    return listener


async def _step(operator: KeyOperator, action: str) -> str:
    """Rotate until ``action`` is done; return the key that it was done to."""
    done: list[str | None] = []

    async def is_done() -> bool:
        rotation = await operator.rotate()
        assert rotation is not None
        done.extend(step.kid for step in rotation.done if step.action == action)
        return bool(done)

    await until(is_done, 10)
    return str(done[0])
