"""Who may do what: the scopes of the admin API, and clients that were thrown out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from auth_service.admin.client_content import CreatedClient
from auth_service.admin.replies import Reply
from auth_service.admin.secret_content import AddedSecretShown, RotationShown
from auth_service.administration import clients as administration
from auth_service.administration.admin_api import (
    AUDIT_READ,
    CLIENTS_READ,
    CLIENTS_WRITE,
    KEYS_WRITE,
    RESOURCES_WRITE,
    ROTATE_OWN,
    SCOPES,
    SECRETS_WRITE,
    admin_audience,
)
from tests.admin.operators import admin_token, calling, kind, operating, register_operator
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, System

# Each operation, and any of the scopes that open it.
OPERATIONS = {
    "GET /clients": {CLIENTS_READ},
    "POST /clients": {CLIENTS_WRITE},
    "GET /clients/x": {CLIENTS_READ},
    "PATCH /clients/x": {CLIENTS_WRITE},
    "DELETE /clients/x": {CLIENTS_WRITE},
    "POST /clients/x/disable": {CLIENTS_WRITE},
    "POST /clients/x/enable": {CLIENTS_WRITE},
    "GET /clients/x/secrets": {CLIENTS_READ},
    "POST /clients/x/secrets": {SECRETS_WRITE},
    "POST /clients/x/secrets/rotate": {SECRETS_WRITE},
    "PATCH /clients/x/secrets/y": {SECRETS_WRITE},
    "DELETE /clients/x/secrets/y": {SECRETS_WRITE},
    "POST /own-secret/rotate": {ROTATE_OWN},
    "GET /resources": {CLIENTS_READ, RESOURCES_WRITE},
    "POST /resources": {RESOURCES_WRITE},
    "GET /resources/x": {CLIENTS_READ, RESOURCES_WRITE},
    "GET /resources/x/clients": {CLIENTS_READ, RESOURCES_WRITE},
    "PATCH /resources/x": {RESOURCES_WRITE},
    "DELETE /resources/x": {RESOURCES_WRITE},
    "GET /keys": {CLIENTS_READ, KEYS_WRITE},
    "POST /keys": {KEYS_WRITE},
    "GET /keys/x": {CLIENTS_READ, KEYS_WRITE},
    "POST /keys/rotate": {KEYS_WRITE},
    "POST /keys/x/promote": {KEYS_WRITE},
    "POST /keys/x/retire": {KEYS_WRITE},
    "POST /keys/x/revoke": {KEYS_WRITE},
    "GET /audit-events": {AUDIT_READ},
    "GET /usage/scopes": {CLIENTS_READ},
    "GET /usage/unused-clients": {CLIENTS_READ},
    "GET /usage/unused-grants": {CLIENTS_READ},
}
# Tells what was let in from what was not, and is refused before anything is changed.
NOT_JSON: dict[str, Any] = {"content": b"{", "headers": {"Content-Type": "application/json"}}
FORBIDDEN = (403, "insufficient-scope")


async def test_every_operation_is_in_the_table(administered: System) -> None:
    """What is served is what the description says, and that is what is tested here."""
    async with http_client() as http:
        document = (await http.get(f"{administered.issuer}/openapi.json")).json()
    described = {
        f"{method.upper()} {path.removeprefix('/admin/v1')}": {
            scope for needed in operation["security"] for scope in needed["admin_token"]
        }
        for path, operations in document["paths"].items()
        if path.startswith("/admin/v1/")
        for method, operation in operations.items()
    }
    named = {"{client_id}": "x", "{secret_id}": "y", "{name}": "x", "{kid}": "x"}
    for pattern, value in named.items():
        described = {path.replace(pattern, value): scopes for path, scopes in described.items()}
    assert described == OPERATIONS
    scheme = document["components"]["securitySchemes"]["admin_token"]
    assert scheme["flows"]["clientCredentials"]["scopes"] == dict(SCOPES)


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_opens_its_operations_and_no_other(administered: System, scope: str) -> None:
    """With one scope alone: 403 that names what is missing, or past the guard."""
    async with operating(administered, scope) as http:
        for operation, scopes in OPERATIONS.items():
            if scope in scopes:
                continue
            method, path = operation.split(" ")
            answer = await http.request(method, path, **NOT_JSON)
            assert kind(answer) == FORBIDDEN, operation
            assert set(answer.json()["missing_scopes"]) == scopes, operation
            challenge = answer.headers["www-authenticate"]
            assert 'error="insufficient_scope"' in challenge
            assert any(f'scope="{needed}"' in challenge for needed in scopes), operation
        for operation in (operation for operation, scopes in OPERATIONS.items() if scope in scopes):
            method, path = operation.split(" ")
            answer = await http.request(method, path, **NOT_JSON)
            assert kind(answer) == (400, "malformed-request"), operation


async def test_without_a_token_nothing_is_told(administered: System) -> None:
    """RFC 6750 §3.1: a challenge without an error, before the body was looked at, at every operation."""
    metadata = f"{administered.issuer}/.well-known/oauth-protected-resource/admin/v1"
    async with http_client(base_url=admin_audience(administered.issuer)) as http:
        for operation in OPERATIONS:
            method, path = operation.split(" ")
            answer = await http.request(method, path, **NOT_JSON)
            assert kind(answer) == (401, "unauthorized"), operation
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer scope="'), operation
            assert "error" not in challenge, operation
            assert f'resource_metadata="{metadata}"' in challenge, operation


async def test_the_challenge_leads_to_a_token(administered: System) -> None:
    """Its metadata (RFC 9728) names the authorization server, the resource and the scopes."""
    async with http_client() as http:
        url = f"{administered.issuer}/.well-known/oauth-protected-resource/admin/v1"
        document = (await http.get(url)).json()
    assert document["resource"] == admin_audience(administered.issuer)
    assert document["authorization_servers"] == [administered.issuer]
    assert document["scopes_supported"] == list(SCOPES)


async def test_a_token_for_another_resource_opens_nothing(administered: System) -> None:
    """The audience counts."""
    async with http_client() as http:
        answer = await http.post(administered.token_url, data=GRANT, auth=administered.client.basic)
    async with calling(administered, answer.json()["access_token"]) as http:
        refused = await http.get("/clients")
    assert kind(refused) == (401, "unauthorized")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_malformed_credentials_are_refused(administered: System, api: httpx.AsyncClient) -> None:
    """Two headers, or two tokens in one."""
    token = api.headers["authorization"]
    headers = [("Authorization", token), ("Authorization", token)]
    async with http_client(base_url=admin_audience(administered.issuer)) as http:
        twice = await http.get("/clients", headers=headers)
        both = await http.get("/clients", headers={"Authorization": f"{token} {token}"})
        forged = await http.get("/clients", headers={"Authorization": token[:-8] + "AAAAAAAA"})
    assert kind(twice) == kind(both) == (400, "malformed-request")
    assert kind(forged) == (401, "unauthorized")


async def test_a_narrow_token_can_do_less_than_its_client(administered: System) -> None:
    """What the token was asked for counts, not all that was granted."""
    operator = await register_operator(administered)
    async with calling(administered, await admin_token(administered, operator, CLIENTS_READ)) as http:
        assert (await http.get("/clients")).status_code == 200
        assert kind(await http.post("/keys")) == FORBIDDEN


Throw = Callable[[Any, str], Awaitable[Any]]


@pytest.mark.parametrize(
    ("throw_out", "expected"),
    [
        (lambda c, who: administration.disable_client(c, ACTOR, who), (401, "unauthorized")),
        (lambda c, who: administration.delete_client(c, ACTOR, who), (401, "unauthorized")),
        (
            lambda c, who: c.execute("UPDATE clients SET expires_at = now() WHERE client_id = $1", who),
            (401, "unauthorized"),
        ),
        (
            lambda c, who: administration.update_client(
                c, ACTOR, who, {"grants": {"admin": [AUDIT_READ, KEYS_WRITE]}}
            ),
            FORBIDDEN,
        ),
    ],
    ids=["disabled", "deleted", "expired", "scope-taken"],
)
async def test_a_client_that_was_thrown_out_is_out_at_once(
    administered: System, throw_out: Throw, expected: tuple[int, str]
) -> None:
    """Its token would live for an hour; the next request by it is refused."""
    operator = await register_operator(administered)
    async with calling(administered, await admin_token(administered, operator)) as http:
        assert (await http.get("/clients?limit=1")).status_code == 200
        await administered.as_admin(lambda c: throw_out(c, operator.client_id))
        assert kind(await http.get("/clients?limit=1")) == expected


async def test_a_token_does_not_outlive_its_client_in_another_of_the_same_id(administered: System) -> None:
    """Whoever gets the id of a deleted client does not get the power of its tokens back."""
    operator = await register_operator(administered)
    token = await admin_token(administered, operator)

    async def again(connection: Any) -> None:
        await administration.delete_client(connection, ACTOR, operator.client_id)
        grants = {"admin": [CLIENTS_READ]}
        await administration.create_client(connection, ACTOR, "again", grants, client_id=operator.client_id)
        await connection.execute(
            "UPDATE clients SET created_at = now() + interval '1 minute' WHERE client_id = $1",
            operator.client_id,
        )

    async with calling(administered, token) as http:
        await administered.as_admin(again)
        assert kind(await http.get("/clients")) == (401, "unauthorized")


async def test_the_audit_log_and_the_log_know_who_it_was(administered: System) -> None:
    """Client, address and trace id stand in both."""
    operator = await register_operator(administered)
    async with calling(administered, await admin_token(administered, operator)) as http:
        answer = await http.post("/resources", json=_resource("seen"))
    assert administered.log.of(answer)["client_id"] == operator.client_id
    event = await administered.as_admin(
        lambda c: c.fetchrow(
            "SELECT actor, action, object_id, address FROM audit_events WHERE trace_id = $1",
            answer.headers["x-trace-id"],
        )
    )
    assert tuple(event) == (f"client:{operator.client_id}", "resource.create", "seen", "127.0.0.1")


async def test_no_secret_is_in_the_log_the_audit_log_or_a_repr(administered: System) -> None:
    """Not one that was made over HTTP, nor a token."""
    operator = await register_operator(administered)
    token = await admin_token(administered, operator)
    async with calling(administered, token) as http:
        content = {"name": "quiet", "grants": {"api_v0.0.1": ["read"]}}
        made = (await http.post("/clients", json=content, headers={"Idempotency-Key": "quiet"})).json()
        path = f"/clients/{made['client_id']}/secrets"
        added = (await http.post(path)).json()
        rotated = (await http.post(f"{path}/rotate")).json()
        seen = (await http.get(path)).text + (await http.get(f"/clients/{made['client_id']}")).text
    values = [answer["client_secret"] for answer in (made, added, rotated)]
    reprs = repr([CreatedClient(**made), AddedSecretShown(**added), RotationShown(**rotated)])
    reprs += repr(Reply.of(CreatedClient(**made), 201))
    events = await administered.as_owner(lambda c: c.fetch("SELECT e::text FROM audit_events e"))
    stored = await administered.as_owner(
        lambda c: c.fetch("SELECT encode(sealed_answer, 'escape') FROM idempotent_answers")
    )
    everything = seen + reprs + administered.log.text + str(events) + str(stored)
    for value in (*values, token.rsplit(".", 1)[1]):
        assert value not in everything


async def test_revoking_the_signing_key_ends_the_tokens_of_it(start_system: Any) -> None:
    """The admin API follows the key set of its own process, also away from a key."""
    system: System = await start_system(admin=True)
    operator = await register_operator(system)
    async with calling(system, await admin_token(system, operator)) as http:
        (key,) = (await http.get("/keys")).json()["items"]
        revoked = await http.post(f"/keys/{key['kid']}/revoke?force=true")
        assert revoked.json()["successor"]["state"] == "active"
        # What the process does when it hears of the change, which may be a moment later.
        await system.auth_process.refresh()
        assert kind(await http.get("/keys")) == (401, "unauthorized")
    async with calling(system, await admin_token(system, operator)) as http:
        assert (await http.get("/keys")).status_code == 200


def _resource(name: str) -> dict[str, Any]:
    return {"name": name, "identifier": f"https://{name}.example", "scopes": ["read"]}
