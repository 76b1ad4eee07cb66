"""Secrets over HTTP: added, exchanged without a gap, ended, deleted; and a client that rotates its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from auth_service.administration.admin_api import ROTATE_OWN
from tests.admin.operators import admin_token, calling, kind
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, Registered, System


@pytest.fixture
async def client(api: httpx.AsyncClient) -> dict[str, Any]:
    """A client of the test's own."""
    grants = {RESOURCE: ["read"], "admin": [ROTATE_OWN]}
    content = {"name": "Rotating", "grants": grants, "default_resource": RESOURCE}
    return dict((await api.post("/clients", json=content)).json())


async def works(system: System, client_id: str, secret: str) -> bool:
    """Whether a token is given for the secret."""
    async with http_client() as http:
        answer = await http.post(system.token_url, data=GRANT, auth=(client_id, secret))
    return answer.status_code == 200


def moment(text: str) -> datetime:
    """A moment of an answer."""
    return datetime.fromisoformat(text)


async def test_an_added_secret_works_beside_the_first(
    administered: System, api: httpx.AsyncClient, client: dict[str, Any]
) -> None:
    """Its value is in the answer and nowhere afterwards; Location is the path of the secret."""
    path = f"/clients/{client['client_id']}/secrets"
    answer = await api.post(path, json={"label": "blue", "expires_at": "2999-01-01T00:00:00Z"})
    assert answer.status_code == 201
    added = answer.json()
    assert answer.headers["location"] == f"/admin/v1{path}/{added['secret_id']}"
    assert (added["label"], added["expires_at"]) == ("blue", "2999-01-01T00:00:00Z")
    for secret in (client["client_secret"], added["client_secret"]):
        assert await works(administered, client["client_id"], secret)
    listed = (await api.get(path)).json()["items"]
    assert [item["secret_id"] for item in listed] == [*client["secret_ids"], added["secret_id"]]
    assert "client_secret" not in listed[1]


async def test_a_rotation_lets_the_old_one_live_for_the_overlap(
    administered: System, api: httpx.AsyncClient, client: dict[str, Any]
) -> None:
    """By default a day, with 0 not at all."""
    path = f"/clients/{client['client_id']}/secrets/rotate"
    rotated = (await api.post(path)).json()
    (old,) = rotated["replaced"]
    assert old["secret_id"] == client["secret_ids"][0]
    left = moment(old["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(days=1)
    assert await works(administered, client["client_id"], client["client_secret"])
    content = {"overlap_seconds": 0, "replaces": old["secret_id"], "label": "green"}
    again = (await api.post(path, json=content)).json()
    assert [secret["secret_id"] for secret in again["replaced"]] == [old["secret_id"]]
    assert not await works(administered, client["client_id"], client["client_secret"])
    assert await works(administered, client["client_id"], rotated["client_secret"])


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("rotate", {"overlap_seconds": -1}, (422, "invalid")),
        ("rotate", {"overlap_seconds": 1.5}, (422, "invalid")),
        ("rotate", {"overlap_seconds": 2**62}, (422, "invalid")),
        ("rotate", {"replaces": "unknown"}, (404, "not-found")),
        ("rotate", {"label": "\0"}, (422, "invalid")),
        ("", {"expires_at": "2001-01-01T00:00:00Z"}, (422, "invalid")),
        ("", {"label": "x" * 201}, (422, "invalid")),
    ],
)
async def test_what_is_refused(
    api: httpx.AsyncClient, client: dict[str, Any], path: str, content: Any, expected: tuple[int, str]
) -> None:
    """And no secret is made."""
    secrets = f"/clients/{client['client_id']}/secrets"
    assert kind(await api.post(f"{secrets}/{path}".rstrip("/"), json=content)) == expected
    assert len((await api.get(secrets)).json()["items"]) == 1


async def test_the_end_of_a_secret_is_moved(api: httpx.AsyncClient, client: dict[str, Any]) -> None:
    """To a moment, to never; the member must be named."""
    path = f"/clients/{client['client_id']}/secrets/{client['secret_ids'][0]}"
    ends = await api.patch(path, json={"expires_at": "2999-01-01T00:00:00+00:00"})
    assert ends.json()["expires_at"] == "2999-01-01T00:00:00Z"
    assert (await api.patch(path, json={"expires_at": None})).json()["expires_at"] is None
    assert kind(await api.patch(path, json={})) == (422, "invalid")
    assert kind(await api.patch(f"{path}x", json={"expires_at": None})) == (404, "not-found")


async def test_a_secret_in_use_is_deleted_by_force_only(
    administered: System, api: httpx.AsyncClient, client: dict[str, Any]
) -> None:
    """409 says from where it was used and when."""
    path = f"/clients/{client['client_id']}/secrets/{client['secret_ids'][0]}"

    async def used(connection: Any) -> None:
        await connection.execute(
            "INSERT INTO secret_usage VALUES ($1, $2, now(), '10.0.0.7')",
            client["client_id"],
            client["secret_ids"][0],
        )

    await administered.as_owner(used)
    refused = await api.delete(path)
    assert kind(refused) == (409, "conflict")
    assert "10.0.0.7" in refused.json()["detail"]
    assert kind(await api.delete(f"{path}?force=maybe")) == (400, "malformed-request")
    assert (await api.delete(f"{path}?force=true")).status_code == 204
    assert not await works(administered, client["client_id"], client["client_secret"])


async def test_a_client_rotates_its_own_secret(
    administered: System, api: httpx.AsyncClient, client: dict[str, Any]
) -> None:
    """By a token of its own; the old secret lives on for the overlap, and the client can touch no other client."""
    mine = Registered(client["client_id"], client["client_secret"])
    async with calling(administered, await admin_token(administered, mine)) as own:
        answer = await own.post("/own-secret/rotate", json={"overlap_seconds": 60, "label": "mine"})
        assert answer.status_code == 201, answer.text
        rotated = answer.json()
        assert kind(await own.post(f"/clients/{mine.client_id}/secrets")) == (403, "insufficient-scope")
    assert rotated["client_id"] == mine.client_id
    assert [secret["secret_id"] for secret in rotated["replaced"]] == client["secret_ids"]
    for secret in (mine.secret, rotated["client_secret"]):
        assert await works(administered, mine.client_id, secret)
    listed = (await api.get(f"/clients/{mine.client_id}/secrets")).json()["items"]
    assert moment(listed[0]["expires_at"]) - datetime.now(UTC) <= timedelta(seconds=60)


async def test_a_client_cannot_rotate_away_its_end(
    administered: System, api: httpx.AsyncClient, client: dict[str, Any]
) -> None:
    """The new secret lives as long as the old one was meant to; there is no member that says otherwise."""
    ends = datetime.now(UTC) + timedelta(days=7)
    await api.patch(
        f"/clients/{client['client_id']}/secrets/{client['secret_ids'][0]}",
        json={"expires_at": ends.isoformat()},
    )
    mine = Registered(client["client_id"], client["client_secret"])
    async with calling(administered, await admin_token(administered, mine)) as own:
        longer = await own.post("/own-secret/rotate", json={"expires_at": None})
        assert kind(longer) == (422, "invalid")
        rotated = (await own.post("/own-secret/rotate")).json()
    assert abs(moment(rotated["expires_at"]) - ends) < timedelta(minutes=1)
