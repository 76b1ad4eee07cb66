"""Operators who make changes without a pause, and what they were told of each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import httpx
import orjson

from auth_service.administration.admin_api import admin_audience, create_admin
from tests.support.databases import Databases
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, as_owner

ISSUER = "http://127.0.0.1:8000"
# Few, so that operators meet on the same objects.
CLIENT_IDS = [f"client-{number}" for number in range(12)]
RESOURCES = [f"shaky-{number}" for number in range(3)]
SCOPES = ["delete", "read", "write"]
DAY_SECONDS = 86_400
_WEIGHTS = {
    "create_client": 10,
    "update_client": 6,
    "disable_client": 2,
    "enable_client": 2,
    "delete_client": 2,
    "rotate_secret": 5,
    "create_resource": 3,
    "update_resource": 3,
    "delete_resource": 1,
    "create_key": 1,
    "promote_key": 1,
    "revoke_key": 1,
}


@dataclass(frozen=True)
class Change:
    """What an operator asks for."""

    verb: str
    members: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of it, as far as the operator knows; ``trace_id`` is empty when no answer came, ``fault`` says why."""

    change: Change
    kind: Literal["done", "refused", "unknown"]
    trace_id: str = ""
    answer: dict[str, Any] = field(default_factory=dict)
    fault: str = ""


# How the admin API is asked for each change: method, path and query, by the change's members.
_REQUESTS = {
    "create_client": ("POST", "/clients"),
    "update_client": ("PATCH", "/clients/{client_id}"),
    "disable_client": ("POST", "/clients/{client_id}/disable"),
    "enable_client": ("POST", "/clients/{client_id}/enable"),
    "delete_client": ("DELETE", "/clients/{client_id}"),
    "rotate_secret": ("POST", "/clients/{client_id}/secrets/rotate"),
    "create_resource": ("POST", "/resources"),
    "update_resource": ("PATCH", "/resources/{name}?force=true"),
    "delete_resource": ("DELETE", "/resources/{name}?force=true"),
    "create_key": ("POST", "/keys"),
    "promote_key": ("POST", "/keys/{kid}/promote?force=true"),
    "revoke_key": ("POST", "/keys/{kid}/revoke?force=true"),
}
_REFUSED = {404, 409, 422}


@dataclass
class AdminApi:
    """The admin API of whichever process is asked, by the tokens of one operator's client."""

    http: httpx.AsyncClient
    audience: str
    client: Registered
    _token: str = ""

    async def make(self, url: str, change: Change) -> Outcome:
        """Ask the process at ``url`` and return what came of it; a broken connection is an outcome, too.

        503 says that the database went away meanwhile, perhaps after the commit.
        """
        try:
            response = await self._ask(url, change)
        except httpx.TransportError as fault:
            return Outcome(change, "unknown", fault=repr(fault))
        trace_id = response.headers["x-trace-id"]
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return Outcome(change, "unknown", trace_id)
        assert response.is_success or response.status_code in _REFUSED, (change, response.text)
        kind: Literal["done", "refused"] = "done" if response.is_success else "refused"
        return Outcome(change, kind, trace_id, response.json() if response.content else {})

    async def _ask(self, url: str, change: Change) -> httpx.Response:
        method, path = _REQUESTS[change.verb]
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        content = None
        if change.members.keys() & {"changes"}:
            content = orjson.dumps(change.members["changes"])
            headers |= {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
        elif method == "POST" and (members := self._content(change)):
            content = orjson.dumps(members)
            headers["Content-Type"] = "application/json"
        place = f"{url}/admin/v1{path.format(**change.members)}"
        response = await self.http.request(method, place, content=content, headers=headers)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            # The first one; or its key was revoked, or is so new that this process has not heard of it.
            await self._renew(url)
            return await self._ask(url, change)
        return response

    @staticmethod
    def _content(change: Change) -> dict[str, Any]:
        path = _REQUESTS[change.verb][1]
        return {name: value for name, value in change.members.items() if f"{{{name}}}" not in path}

    async def _renew(self, url: str) -> None:
        form = {**GRANT, "resource": self.audience}
        answer = await self.http.post(f"{url}/token", data=form, auth=self.client.basic)
        # While the database is away a process may know no client: then the next try asks again.
        if answer.is_success:
            self._token = answer.json()["access_token"]


@dataclass
class Operators:
    """Draw changes from ``random`` and remember what came of each; all of them call as one client."""

    random: Random
    http: httpx.AsyncClient
    api: AdminApi | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    stopping: bool = False
    _kids: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def begin(self, databases: Databases) -> None:
        """Register the client that the operators call as."""
        new = await as_owner(databases.auth_admin, lambda c: create_admin(c, ACTOR, "Operators", ISSUER))
        self.api = AdminApi(self.http, admin_audience(ISSUER), Registered(new.client.client_id, new.secret))

    async def work(self, url: str, answered: asyncio.Event) -> None:
        """Make one change after the other until ``stopping``, or until the process at ``url`` is gone.

        ``answered`` is set at every change that is done.
        """
        assert self.api is not None
        while not self.stopping:
            outcome = await self.api.make(url, self._draw())
            self.outcomes.append(outcome)
            if not outcome.trace_id:
                return
            if outcome.kind == "done":
                self._kids.extend(filter(None, [outcome.answer.get("kid")]))
                answered.set()

    def of(self, kind: str) -> list[Outcome]:
        """Return the outcomes of one kind."""
        return [outcome for outcome in self.outcomes if outcome.kind == kind]

    def _draw(self) -> Change:
        verbs = _WEIGHTS if self._kids else {"create_key": 1}
        (verb,) = self.random.choices(list(verbs), list(verbs.values()))
        return Change(verb, self._members(verb))

    def _members(self, verb: str) -> dict[str, Any]:
        draw, number = self.random, next(self._numbers)
        client = {"client_id": draw.choice(CLIENT_IDS)}
        resource = {"name": draw.choice(RESOURCES)}
        identifier = f"https://example.com/{number}"
        if verb in {"create_client", "update_client"}:
            members = client | self._client(verb, number)
        elif verb == "rotate_secret":
            members = client | {"overlap_seconds": draw.choice((0, DAY_SECONDS))}
        elif verb == "create_resource":
            members = resource | {"identifier": identifier, "scopes": SCOPES}
        elif verb == "update_resource":
            scopes = draw.sample(SCOPES, draw.randint(1, len(SCOPES)))
            members = resource | {"changes": {"identifier": identifier, "scopes": scopes}}
        elif verb in {"promote_key", "revoke_key"}:
            members = {"kid": draw.choice(self._kids[-5:])}
        elif verb == "create_key":
            members = {}
        else:
            members = resource if verb == "delete_resource" else client
        return members

    def _client(self, verb: str, number: int) -> dict[str, Any]:
        grants = {RESOURCE: ["read"]}
        if self.random.random() < 0.3:
            grants[self.random.choice(RESOURCES)] = [self.random.choice(SCOPES)]
        # The number makes every change one: what is as it was already is no change.
        members = {
            "name": f"Client {number}",
            "grants": grants,
            "default_resource": self.random.choice(list(grants)),
            "metadata": {"number": number},
        }
        return members if verb == "create_client" else {"changes": members}
