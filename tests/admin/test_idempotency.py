"""A creation that is repeated with its Idempotency-Key is answered again and creates nothing twice."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
from typing import Any

import httpx
import pytest

from auth_service.master_key import MasterKey
from tests.admin.operators import kind, operating
from tests.support.system import RESOURCE, System

_keys = itertools.count()
REPLAYED = "idempotent-replayed"


@pytest.fixture
def key() -> dict[str, str]:
    """A header with a key that nobody has used."""
    return {"Idempotency-Key": f"key-{next(_keys)}"}


def client(name: str) -> dict[str, Any]:
    """A client to create."""
    return {"name": name, "grants": {RESOURCE: ["read"]}, "metadata": {"a": 1, "b": 2}}


async def count(api: httpx.AsyncClient, name: str) -> int:
    """How many clients of that name there are."""
    return len((await api.get("/clients", params={"search": name})).json()["items"])


async def test_a_repeated_creation_gives_the_same_secret(api: httpx.AsyncClient, key: dict[str, str]) -> None:
    """Status, body, ETag and Location are those of the first time; the order of members is no difference."""
    first = await api.post("/clients", json=client("once"), headers=key)
    second = await api.post("/clients", json=dict(reversed(client("once").items())), headers=key)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    for name in ("etag", "location", "cache-control", "content-type"):
        assert first.headers[name] == second.headers[name]
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"
    assert await count(api, "once") == 1


async def test_deepest_content(api: httpx.AsyncClient, key: dict[str, str]) -> None:
    """What is too deep is refused with a key as without one; as deep as may be it is answered again."""
    metadata: dict[str, Any] = {}
    for _ in range(31):
        metadata = {"a": metadata}
    deepest = client("deep") | {"metadata": metadata}
    first, second = [await api.post("/clients", json=deepest, headers=key) for _ in range(2)]
    assert (first.status_code, second.content) == (201, first.content)
    for _ in range(221):
        metadata = {"a": metadata}
    for headers in ({}, {"Idempotency-Key": "deeper"}):
        answer = await api.post("/clients", json=client("deeper") | {"metadata": metadata}, headers=headers)
        assert kind(answer) == (422, "invalid")


async def test_two_at_the_same_time_create_one(api: httpx.AsyncClient, key: dict[str, str]) -> None:
    """One waits for the other, and both have the same secret."""
    answers = await asyncio.gather(
        *(api.post("/clients", json=client("at once"), headers=key) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED in answer.headers for answer in answers) == 4
    assert await count(api, "at once") == 1


@pytest.mark.parametrize(
    ("path", "content"),
    [("/clients", client("another")), ("/clients", {**client("kept"), "metadata": {}}), ("/keys", None)],
)
async def test_a_key_belongs_to_one_request(
    api: httpx.AsyncClient, key: dict[str, str], path: str, content: Any
) -> None:
    """Another content or another path under it is refused."""
    await api.post("/clients", json=client("kept"), headers=key)
    answer = await api.post(path, json=content, headers=key) if content else await api.post(path, headers=key)
    assert kind(answer) == (422, "idempotency-key-reused")


async def test_a_key_belongs_to_one_caller(
    administered: System, api: httpx.AsyncClient, key: dict[str, str]
) -> None:
    """The same key of somebody else is another key."""
    mine = await api.post("/clients", json=client("shared"), headers=key)
    async with operating(administered) as other:
        theirs = await other.post("/clients", json=client("shared"), headers=key)
    assert REPLAYED not in theirs.headers
    assert mine.json()["client_id"] != theirs.json()["client_id"]


async def test_a_refusal_is_not_kept(api: httpx.AsyncClient, key: dict[str, str]) -> None:
    """What was refused can be done under the same key when its reason is gone."""
    content = {**client("late"), "client_id": "late"}
    await api.post("/clients", json=content)
    assert kind(await api.post("/clients", json=content, headers=key)) == (409, "conflict")
    await api.delete("/clients/late")
    again = await api.post("/clients", json=content, headers=key)
    assert again.status_code == 201
    assert REPLAYED not in again.headers


@pytest.mark.parametrize("path", ["secrets", "secrets/rotate"])
async def test_secrets_are_made_once(api: httpx.AsyncClient, key: dict[str, str], path: str) -> None:
    """Added or rotated, the repetition brings the same value."""
    made = (await api.post("/clients", json=client("secretive"))).json()
    first, second = [
        await api.post(f"/clients/{made['client_id']}/{path}", json={"label": "x"}, headers=key) for _ in "ab"
    ]
    assert first.json() == second.json()
    secrets = (await api.get(f"/clients/{made['client_id']}/secrets")).json()["items"]
    assert len(secrets) == 2


async def test_keys_and_resources_are_made_once(api: httpx.AsyncClient) -> None:
    """A key, a rotation and a resource."""
    resource = {"name": "only", "identifier": "https://only.example", "scopes": ["read"]}
    for path, content in (("/keys", {}), ("/keys/rotate", {}), ("/resources", resource)):
        headers = {"Idempotency-Key": f"once{path}"}
        first, second = [await api.post(path, json=content, headers=headers) for _ in "ab"]
        assert first.content == second.content
        assert second.headers[REPLAYED] == "true"
    assert len((await api.get("/keys")).json()["items"]) == 2


@pytest.mark.parametrize("value", ["", "a b", "ä".encode(), "x" * 256])
async def test_a_key_that_is_none(api: httpx.AsyncClient, value: Any) -> None:
    """Empty, with a space, not ASCII, too long."""
    headers = {"Idempotency-Key": value}
    answer = await api.post("/clients", json=client("none"), headers=headers)
    assert kind(answer) == (400, "malformed-request")
    assert await count(api, "none") == 0


async def test_two_keys_are_none(api: httpx.AsyncClient) -> None:
    """It cannot be known which one is meant."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await api.post("/clients", json=client("none"), headers=headers)
    assert kind(answer) == (400, "malformed-request")


async def test_an_answer_is_kept_for_a_day(
    administered: System, api: httpx.AsyncClient, key: dict[str, str]
) -> None:
    """After that the key is new again, and what was kept is forgotten."""

    async def age(hours: int) -> None:
        await administered.as_owner(
            lambda c: c.execute(
                "UPDATE idempotent_answers SET created_at = now() - make_interval(hours => $1)", hours
            )
        )

    first = await api.post("/clients", json=client("aged"), headers=key)
    await age(23)
    second = await api.post("/clients", json=client("aged"), headers=key)
    assert second.content == first.content
    await age(25)
    third = await api.post("/clients", json=client("aged"), headers=key)
    assert (third.status_code, REPLAYED in third.headers) == (201, False)
    kept = await administered.as_owner(lambda c: c.fetchval("SELECT count(*) FROM idempotent_answers"))
    assert kept == 1


async def test_an_answer_under_another_master_key_is_explained(
    administered: System, api: httpx.AsyncClient, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be read, and doing the request again would create a second client: 409 says what happened."""
    other = base64.b64encode(os.urandom(32)).decode()
    process = administered.auth_process
    mine = administered.master_key
    first = await api.post("/clients", json=client("sealed"), headers=key)
    monkeypatch.setattr(process, "master_key", MasterKey.from_base64(other))
    answer = await api.post("/clients", json=client("sealed"), headers=key)
    assert kind(answer) == (409, "answer-sealed")
    assert MasterKey.from_base64(mine).key_id in answer.json()["detail"]
    assert await count(api, "sealed") == 1
    # While one master key takes the place of the other.
    monkeypatch.setattr(process, "master_key", MasterKey.from_base64(other, mine))
    assert (await api.post("/clients", json=client("sealed"), headers=key)).content == first.content


async def test_an_answer_cannot_be_put_in_the_place_of_another(
    administered: System, api: httpx.AsyncClient
) -> None:
    """The seal is bound to caller and key: who can write the table gets no secret out of it."""
    for name in ("one", "two"):
        await api.post("/clients", json=client("swapped"), headers={"Idempotency-Key": name})
    await administered.as_owner(
        lambda c: c.execute(
            "UPDATE idempotent_answers SET sealed_answer ="
            " (SELECT sealed_answer FROM idempotent_answers WHERE key = 'one') WHERE key = 'two'"
        )
    )
    answer = await api.post("/clients", json=client("swapped"), headers={"Idempotency-Key": "two"})
    assert kind(answer) == (409, "answer-sealed")
