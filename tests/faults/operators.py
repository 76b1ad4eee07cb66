"""Operators who make changes without a pause, and what they were told of each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, Protocol, Self

import httpx
import orjson

from tests.support.system import RESOURCE

# Few, so that operators meet on the same objects.
CLIENT_IDS = [f"client-{number}" for number in range(12)]
RESOURCES = [f"shaky-{number}" for number in range(3)]
SCOPES = ["delete", "read", "write"]
DAY_SECONDS = 86_400
_WEIGHTS = {
    "create_client": 8,
    "update_client": 6,
    "disable_client": 2,
    "enable_client": 2,
    "delete_client": 3,
    "rotate_secret": 5,
    "create_resource": 3,
    "update_resource": 3,
    "delete_resource": 2,
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


class OverChanges:
    """By the routes of ``tests.faults.changes``, on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def make(self, change: Change) -> Outcome:
        """Post the change; 503 says that the database went away meanwhile, perhaps after the commit."""
        try:
            response = await self._http.post(f"/changes/{change.verb}", content=orjson.dumps(change.members))
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
    """Draw changes from ``random`` and remember what came of each."""

    random: Random
    outcomes: list[Outcome] = field(default_factory=list)
    stopping: bool = False
    _kids: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def work(self, url: str, answered: asyncio.Event) -> None:
        """Make one change after the other until ``stopping``, or until the process at ``url`` is gone.

        ``answered`` is set at every change that is done.
        """
        async with OverChanges(url) as administration:
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
        match verb:
            case "create_client" | "update_client":
                return {"client_id": draw.choice(CLIENT_IDS)} | self._client(verb, number)
            case "rotate_secret":
                overlap = draw.choice((0, DAY_SECONDS))
                return {"client_id": draw.choice(CLIENT_IDS), "overlap_seconds": overlap}
            case "create_resource":
                name = draw.choice(RESOURCES)
                return {"name": name, "identifier": f"https://example.com/{number}", "scopes": SCOPES}
            case "update_resource":
                scopes = draw.sample(SCOPES, draw.randint(1, len(SCOPES)))
                changes = {"identifier": f"https://example.com/{number}", "scopes": scopes}
                return {"name": draw.choice(RESOURCES), "changes": changes}
            case "delete_resource":
                return {"name": draw.choice(RESOURCES)}
            case "create_key":
                return {}
            case "promote_key" | "revoke_key":
                return {"kid": draw.choice(self._kids[-5:])}
        return {"client_id": draw.choice(CLIENT_IDS)}

    def _client(self, verb: str, number: int) -> dict[str, Any]:
        grants = {RESOURCE: ["read"]}
        if self.random.random() < 0.5:
            grants[self.random.choice(RESOURCES)] = [self.random.choice(SCOPES)]
        # The number makes every change one: what is as it was already is no change.
        members = {
            "name": f"Client {number}",
            "grants": grants,
            "default_resource": self.random.choice(list(grants)),
            "metadata": {"number": number},
        }
        return members if verb == "create_client" else {"changes": members}
