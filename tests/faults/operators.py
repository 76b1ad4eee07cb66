"""Operators who make changes without a pause, and what they were told of each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Protocol

import httpx
import orjson

from tests.support.system import RESOURCE

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
    """What came of it, as far as the operator knows; ``trace_id`` is empty when no answer came."""

    change: Change
    kind: Literal["done", "refused", "unknown"]
    trace_id: str = ""
    answer: dict[str, Any] = field(default_factory=dict)


class Administration(Protocol):
    """A way to make changes."""

    async def make(self, change: Change) -> Outcome:
        """Ask for ``change`` and return what came of it; a broken connection is an outcome, too."""
        ...


@dataclass(frozen=True)
class OverChanges:
    """By the routes of ``tests.faults.changes``."""

    http: httpx.AsyncClient
    url: str

    async def make(self, change: Change) -> Outcome:
        """Post the change; 503 says that the database went away meanwhile, perhaps after the commit."""
        content = orjson.dumps(change.members)
        try:
            response = await self.http.post(f"{self.url}/changes/{change.verb}", content=content)
        except httpx.TransportError:
            return Outcome(change, "unknown")
        trace_id = response.headers["x-trace-id"]
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return Outcome(change, "unknown", trace_id)
        assert response.status_code in {200, 409}, (change, response.status_code, response.text)
        kind: Literal["done", "refused"] = "done" if response.is_success else "refused"
        return Outcome(change, kind, trace_id, response.json())


@dataclass
class Operators:
    """Draw changes from ``random`` and remember what came of each; several may share one ``http``."""

    random: Random
    http: httpx.AsyncClient
    outcomes: list[Outcome] = field(default_factory=list)
    stopping: bool = False
    _kids: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def work(self, url: str, answered: asyncio.Event) -> None:
        """Make one change after the other until ``stopping``, or until the process at ``url`` is gone.

        ``answered`` is set at every change that is done.
        """
        administration: Administration = OverChanges(self.http, url)
        while not self.stopping:
            outcome = await administration.make(self._draw())
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
