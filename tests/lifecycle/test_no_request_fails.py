"""A client fetches a document in a loop while its secret and the signing key are rotated: it notices neither."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from auth_service.administration.secrets import rotate_secret
from auth_service.key_life import LEEWAY_SECONDS, MARGIN_SECONDS, KeyTiming
from auth_service.master_key import MasterKey
from auth_service.settings import REFRESHING_SECONDS
from tests.lifecycle.key_operator import KeyOperator, new_master_key
from tests.support.databases import Databases
from tests.support.issuer import Guarded, resource_service
from tests.support.plain_http import http_client
from tests.support.replicas import Replica, auth_replicas
from tests.support.system import ACTOR, DOCUMENT, RESOURCE, Registered, seed
from tests.support.tokens import IssuerKey, good_claims
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ISSUER = "http://127.0.0.1:8000"
BASE = "http://127.0.0.1:8001"
LIFETIME, MAX_AGE, REFRESH = 3, 1, 1
OVERLAP_SECONDS = 2
WORKERS = 2


@dataclass
class Client:
    """Gets a token from either auth replica and fetches the document from both resource replicas, on and on.

    It keeps each token until the moment that ``expires_in`` named, and uses the newest and the oldest of them.
    ``served`` is what it got: at which replica, by which secret or by a token of which key.
    """

    credentials: Registered
    replicas: list[Replica]
    resources: list[httpx.AsyncClient]
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    tokens: deque[tuple[float, str]] = field(default_factory=deque)
    served: set[tuple[str, str]] = field(default_factory=set, repr=False)

    async def work(self, turn: int) -> None:
        """Go on until cancelled."""
        while True:
            turn += 1
            await self._get_token(self.replicas[turn % len(self.replicas)])
            while self.tokens and self.tokens[0][0] <= time.monotonic():
                self.tokens.popleft()
            for _, token in {self.tokens[0], self.tokens[-1]} if self.tokens else ():
                for resource in self.resources:
                    await self._fetch(resource, token)

    async def _get_token(self, replica: Replica) -> None:
        asked, credentials = time.monotonic(), self.credentials
        status, answer = await replica.ask(credentials)
        self.requests += 1
        if status != httpx.codes.OK:
            self.failures.append(f"token: {status} {answer}")
            return
        token = answer["access_token"]
        self.served |= {(replica.url, credentials.secret), (replica.url, _kid(token))}
        self.tokens.append((asked + answer["expires_in"], token))

    async def _fetch(self, resource: httpx.AsyncClient, token: str) -> None:
        answer = await resource.get(f"/{RESOURCE}", headers={"Authorization": f"Bearer {token}"})
        self.requests += 1
        if answer.content != DOCUMENT:
            self.failures.append(f"document: {answer.status_code} {answer.headers.get('www-authenticate')}")
            return
        self.served.add((str(resource.base_url), _kid(token)))

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Keep ``WORKERS`` of these loops going."""
        workers = [asyncio.create_task(self.work(turn)) for turn in range(WORKERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


@dataclass
class Fleet:
    """Two replicas of each service."""

    operator: KeyOperator
    client: Client

    async def step(self, action: str) -> str:
        """Rotate until ``action`` is done; return the key that it was done to."""
        done: list[str | None] = []

        async def is_done() -> bool:
            rotation = await self.operator.rotate()
            assert rotation is not None
            done.extend(step.kid for step in rotation.done if step.action == action)
            return bool(done)

        await until(is_done, 10)
        assert done[0] is not None
        return done[0]

    async def more_requests(self, count: int = 20) -> None:
        """Wait until the client has made so many more requests."""
        goal = self.client.requests + count

        async def made() -> bool:
            return self.client.requests >= goal

        await until(made, 10)

    async def renewed_tokens(self) -> None:
        """Wait until every token of now has been renewed; by then all verifiers have fetched the keys again."""
        expiry = time.monotonic() + LIFETIME

        async def renewed() -> bool:
            return bool(self.client.tokens) and self.client.tokens[0][0] > expiry

        await until(renewed, 3 * LIFETIME)


@pytest.fixture
async def fleet(databases: Databases) -> AsyncIterator[Fleet]:
    """Four replicas whose waits are as short as the settings let them be."""
    master_key = new_master_key()
    credentials = await seed(databases, BASE, master_key)
    timing = KeyTiming(LIFETIME, MAX_AGE, REFRESH)
    operator = KeyOperator(databases, MasterKey.from_base64(master_key), timing)
    async with contextlib.AsyncExitStack() as stack:
        replicas = await stack.enter_async_context(
            auth_replicas(
                databases,
                master_key,
                AUTH_ISSUER=ISSUER,
                AUTH_TOKEN_LIFETIME_SECONDS=str(LIFETIME),
                AUTH_JWKS_MAX_AGE_SECONDS=str(MAX_AGE),
                AUTH_CACHE_MAX_AGE_SECONDS=str(REFRESH),
                AUTH_STALE_SECONDS="0",
            )
        )
        resources = [await stack.enter_async_context(_resource(databases, replica)) for replica in replicas]
        yield Fleet(operator, Client(credentials, replicas, resources))


@contextlib.asynccontextmanager
async def _resource(databases: Databases, replica: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """A resource replica that reads the keys from one auth replica, and may not fetch them for an unknown one."""
    jwks_uri = f"{replica.url}/.well-known/jwks.json"
    options: dict[str, Any] = {"base_url": BASE, "jwks_uri": jwks_uri, "jwks_cooldown_seconds": 3600}
    guarded: Guarded
    async with (
        resource_service(databases, ISSUER, **options) as guarded,
        http_client(base_url=guarded.base, timeout=10) as http,
    ):
        # Somebody sends a token with an invented key id: from now on an unknown id causes no fetch, for an hour. What
        # is left is what each key set says of its age, which is all that a verifier of another make may go by.
        invented = IssuerKey.generate(kid="invented").token(good_claims(ISSUER, f"{BASE}/{RESOURCE}"))
        refused = await http.get(f"/{RESOURCE}", headers={"Authorization": f"Bearer {invented}"})
        assert refused.status_code == httpx.codes.UNAUTHORIZED
        yield http


async def test_no_request_fails_while_everything_is_rotated(fleet: Fleet) -> None:
    """A secret and a key go through their whole lives; of all requests meanwhile not one is refused.

    What the waits consist of beside the settings is skipped on the database's clock; the ages of key sets and tokens,
    one and three seconds here, pass in truth.
    """
    operator, client = fleet.operator, fleet.client
    (old_key,) = [key.kid for key in await operator.keys()]
    async with client.working():
        await fleet.more_requests()
        before = client.credentials
        overlap = timedelta(seconds=OVERLAP_SECONDS)
        rotated = await operator.run(lambda c: rotate_secret(c, ACTOR, before.client_id, overlap=overlap))
        await fleet.more_requests()
        client.credentials = Registered(before.client_id, rotated.added.value)

        new_key = await fleet.step("create")
        await operator.let_time_pass(REFRESHING_SECONDS + MARGIN_SECONDS)
        assert await fleet.step("promote") == new_key
        await operator.let_time_pass(REFRESHING_SECONDS + MARGIN_SECONDS + LEEWAY_SECONDS)
        assert await fleet.step("retire") == old_key

        await until(lambda: _is_refused(client, before), 2 * OVERLAP_SECONDS)
        await fleet.renewed_tokens()
    assert client.failures == []
    # Every replica had a part in all of it: signed by both keys, took both secrets, verified tokens of both keys.
    signers = [replica.url for replica in client.replicas]
    verifiers = [str(resource.base_url) for resource in client.resources]
    by_keys = {(url, kid) for url in signers + verifiers for kid in (old_key, new_key)}
    by_secrets = {(url, secret) for url in signers for secret in (before.secret, rotated.added.value)}
    assert len(set(signers + verifiers)) == len(signers) + len(verifiers) == 4
    assert client.served == by_keys | by_secrets
    assert await operator.states() == {old_key: "retired", new_key: "active"}
    for replica in client.replicas:
        published = (await replica.http.get("/.well-known/jwks.json")).json()["keys"]
        assert [key["kid"] for key in published] == [new_key]


def _kid(token: str) -> str:
    """Read which key a token says that it is of."""
    header = token.partition(".")[0]
    return str(orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


async def _is_refused(client: Client, old: Registered) -> bool:
    answers = [await replica.ask(old) for replica in client.replicas]
    return all(status == httpx.codes.UNAUTHORIZED for status, _ in answers)
