"""What the audit log says became of everything, held against what is there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from auth_service import client_secrets
from auth_service.administration.secrets import MAX_EXPIRED_SECRETS
from auth_service.queries import clients, keys, resources
from steelcut.service.database.connecting import connect
from tests.faults.nursery import Life
from tests.faults.operators import CLIENT_IDS, Operators, Outcome
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE
from tests.support.waiting import until

State = dict[str, Any]

# The actions of which each acknowledged change must have left exactly one event.
ACTIONS = {
    "create_client": "client.create",
    "update_client": "client.update",
    "delete_client": "client.delete",
    "rotate_secret": "secret.rotate",
    "create_resource": "resource.create",
    "update_resource": "resource.update",
    "delete_resource": "resource.delete",
    "create_key": "key.create",
    "promote_key": "key.promote",
    "revoke_key": "key.revoke",
}
# These are no change, and no event, for a client that is so already.
MAYBE = {"disable_client": "client.disable", "enable_client": "client.enable"}


@dataclass
class Replay:
    """The state of everything by the audit log alone; each event must follow from the ones before it."""

    clients: dict[str, State] = field(default_factory=dict)
    # The end of each secret, by its client and its id.
    secrets: dict[str, dict[str, str | None]] = field(default_factory=dict)
    resources: dict[str, State] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take(self, event: Any) -> None:
        """Apply one event."""
        before, after = (orjson.loads(event[name] or b"{}") for name in ("before", "after"))
        subject, _, verb = event["action"].partition(".")
        kind, name = event["object_type"], event["object_id"]
        take: dict[str, Callable[[str, str, State, State], None]] = {
            "client": self._client,
            "secret": self._secret,
            "resource": self._resource,
            "key": self._key,
        }
        take[subject](verb, name, before, after)
        if verb in {"create", "delete"}:
            self.versions[kind, name] = 1
        elif subject in {"client", "resource"}:
            self.versions[kind, name] += 1

    def _client(self, verb: str, name: str, before: State, after: State) -> None:
        if verb == "create":
            assert name not in self.clients, f"{name} was created twice"
            self.secrets[name] = dict.fromkeys(after.pop("secret_ids"))
            self.clients[name] = after
            return
        if verb == "delete":
            assert name in self.clients, f"{name} was deleted, and no event says that it was created"
            there = set(before.pop("secret_ids"))
            assert there <= set(self.secrets.pop(name)), f"{name} had secrets that nobody gave it"
            assert before == self.clients.pop(name), f"{name} was not what the events say when it was deleted"
            return
        assert name in self.clients, f"{name} was changed, and no event says that it was created"
        state = self.clients[name]
        if "grants" in before and len(before["grants"]) < len(state["grants"]):
            # Taken with a resource or its scope: the event names the grants of that resource alone.
            rest = {key: value for key, value in state["grants"].items() if key not in before["grants"]}
            before, after = ({**part, "grants": rest | part["grants"]} for part in (before, after))
        self._follow(name, state, before, after)
        state["grants"] = {key: value for key, value in state["grants"].items() if value}

    def _secret(self, verb: str, name: str, before: State, after: State) -> None:
        assert verb == "rotate"
        assert name in self.secrets, f"{name} got a secret, and no event says that it was created"
        known = self.secrets[name]
        for old, ended in zip(before["replaced"], after["replaced"], strict=True):
            assert known[old["secret_id"]] == old["expires_at"]
            known[ended["secret_id"]] = ended["expires_at"]
        assert after["secret_id"] not in known
        known[after["secret_id"]] = after["expires_at"]

    def _resource(self, verb: str, name: str, before: State, after: State) -> None:
        if verb == "create":
            assert name not in self.resources, f"{name} was created twice"
            self.resources[name] = after
        elif verb == "delete":
            assert before == self.resources.pop(name), f"{name} was not what the events say"
        else:
            self._follow(name, self.resources[name], before, after)

    def _key(self, verb: str, name: str, before: State, after: State) -> None:
        assert verb in {"create", "promote", "supersede", "revoke"}
        assert self.keys.get(name) == before.get("state"), f"{name} was not what the events say"
        self.keys[name] = after["state"]

    @staticmethod
    def _follow(name: str, state: State, before: State, after: State) -> None:
        assert before == {member: state[member] for member in before}, f"{name} was not what the events say"
        state.update(after)


async def settled(owner_url: str, operators: Operators) -> Replay:
    """Wait until PostgreSQL has noticed that all services are gone, then ``check``."""

    async def alone() -> bool:
        return not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    connection = await connect(owner_url)
    try:
        await until(alone, 10)
        return await check(connection, operators.outcomes)
    finally:
        await connection.close()


async def check_tokens(life: Life, replay: Replay, operators: Operators) -> None:
    """Every client that should get tokens gets one, by the newest secret that its operator was shown."""
    newest: dict[str, str] = {}
    for outcome in operators.of("done"):
        if "client_secret" in outcome.answer:
            newest[outcome.change.members["client_id"]] = outcome.answer["client_secret"]
    now = datetime.now(UTC).isoformat()
    async with http_client(base_url=life.url, timeout=30) as http:
        for client_id, secret in newest.items():
            known = replay.secrets.get(client_id, {})
            secret_id = _id_of(secret)
            if secret_id not in known:
                continue
            client, end = replay.clients[client_id], known[secret_id]
            entitled = client["enabled"] and (end is None or end > now)
            form = {**GRANT, "resource": RESOURCE}
            answer = await http.post("/token", data=form, auth=httpx.BasicAuth(client_id, secret))
            assert answer.is_success == entitled, (client_id, entitled, answer.text)
    life.kill()


async def check(connection: Any, outcomes: Sequence[Outcome]) -> Replay:
    """Hold the audit log against the database and against what the operators were told.

    Nothing is half done: what the events add up to is what is there. Nothing is missing: each acknowledged change
    has its event, a refused one has none, and versions count the events.
    """
    # An event is written while its object is held, so the order of the moments is the order of the changes.
    events = await connection.fetch(
        "SELECT action, object_type, object_id, before, after, trace_id, at FROM audit_events"
        " WHERE outcome = 'done' AND object_type IN ('client', 'resource', 'key') ORDER BY at"
    )
    replay = Replay()
    by_trace: dict[str, list[str]] = defaultdict(list)
    for event in events:
        replay.take(event)
        by_trace[event["trace_id"]].append(event["action"])
    for outcome in outcomes:
        _check_outcome(outcome, by_trace.get(outcome.trace_id, []) if outcome.trace_id else [])
    await _check_clients(connection, replay)
    await _check_secrets(connection, replay, outcomes)
    await _check_rest(connection, replay)
    return replay


def _check_outcome(outcome: Outcome, actions: list[str]) -> None:
    verb = outcome.change.verb
    if outcome.kind == "refused":
        assert not actions, f"refused, and yet it is in the log: {outcome.change}"
    elif outcome.kind == "done" and verb in ACTIONS:
        # A resource that goes is taken from its clients, a key that is revoked has a successor: events of their own.
        assert actions.count(ACTIONS[verb]) == 1, (
            f"acknowledged, and the log says {actions}: {outcome.change}"
        )
    elif outcome.kind == "done":
        assert actions in ([], [MAYBE[verb]]), f"acknowledged, and the log says {actions}: {outcome.change}"


async def _check_clients(connection: Any, replay: Replay) -> None:
    rows = await clients.clients(
        connection, after="", text=None, resource=None, state=None, limit=len(CLIENT_IDS) + 3
    )
    found = {row.client_id: row for row in rows}
    assert found.keys() == replay.clients.keys()
    for client_id, said in replay.clients.items():
        row = found[client_id]
        assert said == {member: getattr(row, member) for member in said}, client_id
        assert row.version == replay.versions["client", client_id], f"{client_id}: a change without an event"


async def _check_secrets(connection: Any, replay: Replay, outcomes: Sequence[Outcome]) -> None:
    rows = await connection.fetch("SELECT client_id, secret_id, hash, expires_at FROM client_secrets")
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        found[row["client_id"]][row["secret_id"]] = row
    assert found.keys() == replay.secrets.keys(), "a client without a secret, or a secret without a client"
    now = datetime.now(UTC)
    for client_id, said in replay.secrets.items():
        there = found[client_id]
        assert there.keys() <= said.keys(), f"{client_id} has a secret that no event names"
        ends = {secret_id: end and datetime.fromisoformat(end) for secret_id, end in said.items()}
        assert {key: row["expires_at"] for key, row in there.items()} == {key: ends[key] for key in there}
        # Of the ended ones only some are kept, and that is no event.
        ended = {secret_id for secret_id, end in ends.items() if end and end <= now}
        assert said.keys() - there.keys() <= ended, f"{client_id} has lost a live secret"
        assert len(ended & there.keys()) >= min(len(ended), MAX_EXPIRED_SECRETS)
    for outcome in outcomes:
        if "client_secret" in outcome.answer:
            secret = outcome.answer["client_secret"]
            row = found.get(outcome.change.members["client_id"], {}).get(_id_of(secret))
            assert row is None or client_secrets.verify(secret, row["hash"])


def _id_of(secret: str) -> str:
    secret_id = client_secrets.secret_id_of(secret)
    assert secret_id is not None
    return secret_id


async def _check_rest(connection: Any, replay: Replay) -> None:
    found = {row.name: row for row in await resources.resources(connection)}
    assert found.keys() == replay.resources.keys()
    for name, said in replay.resources.items():
        there = {member: getattr(found[name], member) for member in said}
        assert said == {key: list(v) if isinstance(v, tuple) else v for key, v in there.items()}, name
        assert found[name].version == replay.versions["resource", name], f"{name}: a change without an event"
    rows = await keys.keys(connection)
    assert {row.kid: row.state for row in rows} == replay.keys
    assert [row.state for row in rows].count("active") == 1
    assert all(bool(row.sealed_private) == (row.state != "retired") for row in rows)
