"""Nobody gets by the admin API what their token does not carry."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from auth_service.admin.policy import lacking
from auth_service.administration.admin_api import (
    ADMIN_RESOURCE,
    CLIENTS_READ,
    CLIENTS_WRITE,
    KEYS_WRITE,
    RESOURCES_WRITE,
    ROTATE_OWN,
    SECRETS_WRITE,
)
from auth_service.administration.clients import update_client
from tests.admin.operators import admin_token, calling, kind, operating, register_operator
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, RESOURCE, Registered, System

ESCALATION = (403, "escalation")


@pytest.mark.parametrize(
    ("granted", "carried", "missing"),
    [
        ({RESOURCE: ["read"]}, [], []),
        ({RESOURCE: [KEYS_WRITE]}, [], []),
        ({ADMIN_RESOURCE: []}, [], []),
        ({ADMIN_RESOURCE: [ROTATE_OWN]}, [], []),
        ({ADMIN_RESOURCE: [CLIENTS_READ]}, [], [CLIENTS_READ]),
        ({ADMIN_RESOURCE: [CLIENTS_READ]}, [CLIENTS_READ], []),
        ({ADMIN_RESOURCE: [CLIENTS_READ]}, [CLIENTS_WRITE], [CLIENTS_READ]),
        ({ADMIN_RESOURCE: [KEYS_WRITE, CLIENTS_WRITE]}, [CLIENTS_WRITE], [KEYS_WRITE]),
        ({ADMIN_RESOURCE: [KEYS_WRITE], RESOURCE: ["read"]}, [KEYS_WRITE, SECRETS_WRITE], []),
        # One that an operator added to the resource, or that a later version will have.
        ({ADMIN_RESOURCE: ["something:new"]}, [CLIENTS_WRITE], ["something:new"]),
    ],
)
def test_the_rule(granted: dict[str, list[str]], carried: list[str], missing: list[str]) -> None:
    """What a caller lacks is what the other one has of the admin API, but for what harms nobody."""
    assert lacking(granted, carried) == missing


@pytest.fixture(scope="module")
async def keeper(administered: System) -> Registered:
    """A client that has one scope more than those who are after it."""
    return await register_operator(administered, KEYS_WRITE, CLIENTS_READ)


# What somebody without keys:write could try with a client that has it.
ATTEMPTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "change": ("PATCH", "", {"json": {"name": "mine"}, "headers": {"If-Match": "*"}}),
    "take its scope": ("PATCH", "", {"json": {"grants": {"admin": None}}, "headers": {"If-Match": "*"}}),
    "disable": ("POST", "/disable", {}),
    "enable": ("POST", "/enable", {}),
    "delete": ("DELETE", "", {}),
    "add a secret": ("POST", "/secrets", {}),
    "rotate": ("POST", "/secrets/rotate", {}),
    "end its secret": ("PATCH", "/secrets/{}", {"json": {"expires_at": "2999-01-01T00:00:00Z"}}),
    "delete its secret": ("DELETE", "/secrets/{}?force=true", {}),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_mightier_client_is_out_of_reach(
    administered: System, keeper: Registered, attempt: str
) -> None:
    """Refused with the scope that is missing, and nothing is changed."""
    method, path, options = ATTEMPTS[attempt]

    async def state(connection: Any) -> Any:
        rows = [
            await connection.fetch(f"SELECT * FROM {table} WHERE client_id = $1", keeper.client_id)  # noqa: S608
            for table in ("clients", "client_grants", "client_secrets")
        ]
        return [[tuple(row) for row in table] for table in rows]

    before = await administered.as_owner(state)
    secret_id = await administered.as_owner(
        lambda c: c.fetchval("SELECT secret_id FROM client_secrets WHERE client_id = $1", keeper.client_id)
    )
    async with operating(administered, CLIENTS_READ, CLIENTS_WRITE, SECRETS_WRITE, RESOURCES_WRITE) as http:
        answer = await http.request(method, f"/clients/{keeper.client_id}{path.format(secret_id)}", **options)
    assert kind(answer) == ESCALATION
    assert answer.json()["missing_scopes"] == [KEYS_WRITE]
    assert await administered.as_owner(state) == before


async def test_a_scope_that_is_carried_can_be_given_and_no_other(administered: System) -> None:
    """At the creation of a client and by a change of it, to others and to oneself."""
    operator = await register_operator(administered, CLIENTS_READ, CLIENTS_WRITE)
    async with calling(administered, await admin_token(administered, operator)) as http:
        mighty = {"name": "x", "grants": {"admin": [CLIENTS_READ, KEYS_WRITE]}}
        assert kind(await http.post("/clients", json=mighty)) == ESCALATION
        equal = await http.post("/clients", json={"name": "x", "grants": {"admin": [CLIENTS_READ]}})
        assert equal.status_code == 201
        patch = {"grants": {"admin": [CLIENTS_READ, CLIENTS_WRITE, KEYS_WRITE]}}
        for client_id in (equal.json()["client_id"], operator.client_id):
            tag = {"If-Match": "*"}
            answer = await http.patch(f"/clients/{client_id}", json=patch, headers=tag)
            assert kind(answer) == ESCALATION
            given = {"grants": {"admin": [CLIENTS_WRITE], RESOURCE: ["read"]}}
            answer = await http.patch(f"/clients/{client_id}", json=given, headers=tag)
            assert answer.json()["grants"] == {"admin": [CLIENTS_WRITE], RESOURCE: ["read"]}


async def test_a_narrow_token_does_not_reach_its_own_client(administered: System) -> None:
    """The token counts: who gets hold of one with a single scope gets no secret of its client by it."""
    operator = await register_operator(administered)
    async with calling(administered, await admin_token(administered, operator, SECRETS_WRITE)) as http:
        answer = await http.post(f"/clients/{operator.client_id}/secrets")
    assert kind(answer) == ESCALATION


async def test_a_narrow_token_gets_no_stored_answer(administered: System) -> None:
    """The rule stands before the repetition of an answer too: it holds a secret."""
    operator = await register_operator(administered)
    path = f"/clients/{operator.client_id}/secrets"
    headers = {"Idempotency-Key": "mine"}
    async with calling(administered, await admin_token(administered, operator)) as http:
        assert (await http.post(path, headers=headers)).status_code == 201
        assert (await http.post(path, headers=headers)).headers["idempotent-replayed"] == "true"
    async with calling(administered, await admin_token(administered, operator, SECRETS_WRITE)) as http:
        assert kind(await http.post(path, headers=headers)) == ESCALATION


async def test_a_narrow_token_gets_no_secret_of_its_mightier_client(administered: System) -> None:
    """By that secret it would have all that the client has."""
    both = await register_operator(administered, KEYS_WRITE, ROTATE_OWN)
    async with calling(administered, await admin_token(administered, both, ROTATE_OWN)) as narrow:
        refused = await narrow.post("/own-secret/rotate")
    assert kind(refused) == ESCALATION
    assert refused.json()["missing_scopes"] == [KEYS_WRITE]
    async with calling(administered, await admin_token(administered, both)) as whole:
        assert (await whole.post("/own-secret/rotate")).status_code == 201


async def test_one_who_rotates_their_own_secret_is_like_any_other_client(administered: System) -> None:
    """``secrets:rotate-own`` harms nobody: who administers clients may give it, and reaches those who have it."""
    async with operating(administered, CLIENTS_READ, CLIENTS_WRITE, SECRETS_WRITE) as http:
        made = await http.post("/clients", json={"name": "x", "grants": {"admin": [ROTATE_OWN]}})
        assert made.status_code == 201
        path = f"/clients/{made.json()['client_id']}"
        assert (await http.post(f"{path}/secrets")).status_code == 201
        assert (await http.delete(path)).status_code == 204


async def test_the_resource_of_the_api_is_not_changed_by_the_api(api: httpx.AsyncClient) -> None:
    """Neither its audience nor its scopes, and it cannot be deleted, nor its audience taken."""
    patch = {"identifier": "https://elsewhere.example"}
    assert kind(await api.patch("/resources/admin", json=patch, headers={"If-Match": "*"})) == ESCALATION
    assert kind(await api.delete("/resources/admin?force=true")) == ESCALATION
    identifier = (await api.get("/resources/admin")).json()["identifier"]
    other = {"name": "other", "identifier": identifier, "scopes": [KEYS_WRITE]}
    assert kind(await api.post("/resources", json=other)) == (409, "conflict")


async def test_scopes_of_another_resource_are_worth_nothing_here(administered: System) -> None:
    """A resource may have a scope of the same name; a token for both audiences does not carry it to this one."""
    async with operating(administered, CLIENTS_READ, CLIENTS_WRITE, RESOURCES_WRITE) as http:
        twin = {"name": "twin", "identifier": "https://twin.example", "scopes": [KEYS_WRITE, CLIENTS_READ]}
        assert (await http.post("/resources", json=twin)).status_code == 201
        grants = {"twin": [KEYS_WRITE, CLIENTS_READ], "admin": [CLIENTS_READ]}
        made = (await http.post("/clients", json={"name": "x", "grants": grants})).json()
    credentials = (made["client_id"], made["client_secret"])
    form = {"grant_type": "client_credentials", "resource": ["twin", "admin"]}
    async with http_client() as http:
        wide = {**form, "scope": f"{KEYS_WRITE} {CLIENTS_READ}"}
        assert (await http.post(administered.token_url, data=wide, auth=credentials)).status_code == 400
        both = await http.post(administered.token_url, data=form, auth=credentials)
    async with calling(administered, both.json()["access_token"]) as http:
        assert (await http.get("/keys")).status_code == 200
        assert kind(await http.post("/keys")) == (403, "insufficient-scope")


# Ends when somebody waits for a row that somebody else holds; the statement's time limit ends it otherwise.
UNTIL_SOMEBODY_WAITS = """
    DO $$ BEGIN
        WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid') LOOP
            PERFORM pg_sleep(0.005);
        END LOOP;
    END $$
"""


async def test_a_scope_that_is_granted_meanwhile_counts(administered: System) -> None:
    """Whoever looks at a client while it is made mightier waits for the end of that, and is refused then."""
    async with operating(administered, CLIENTS_READ, CLIENTS_WRITE) as http:
        made = (await http.post("/clients", json={"name": "x", "grants": {RESOURCE: ["read"]}})).json()
        path = f"/clients/{made['client_id']}"

        async def grant(connection: Any) -> httpx.Response:
            async with connection.transaction():
                grants = {"admin": [KEYS_WRITE]}
                await update_client(connection, ACTOR, made["client_id"], {"grants": grants})
                deletion = asyncio.create_task(http.delete(path))
                await administered.as_owner(lambda c: c.execute(UNTIL_SOMEBODY_WAITS, timeout=5))
            return await deletion

        assert kind(await administered.as_admin(grant)) == ESCALATION
        assert (await http.get(path)).json()["grants"] == {"admin": [KEYS_WRITE]}
