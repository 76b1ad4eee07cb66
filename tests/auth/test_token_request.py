"""``POST /token`` from the outside: RFC 6749 §3.2, §4.4, §5."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from steelcut.jose import decode_base64url
from tests.auth.hostile_requests import BASIC, FORM, FORM_TYPE, Hostile
from tests.support.plain_http import http_client
from tests.support.system import GRANT, RESOURCE, System
from tests.support.wire import Wire


async def test_client_gets_a_token(auth: httpx.AsyncClient, system: System) -> None:
    """A registered client posts its credentials and gets exactly the four members of §5.1."""
    response = await auth.post("/token", data=GRANT, auth=system.client.basic)
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600
    assert answer["scope"] == "read"
    assert answer["access_token"].count(".") == 2


async def test_lifetime_begins_with_the_answer(start_system: Any) -> None:
    """§5.1: what was waited for, as the rest of the form, is no part of it."""
    system: System = await start_system()
    process = system.auth_process
    head = Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: %d" % len(FORM), b"Expect: 100-continue"))
    async with Wire.open(system.issuer) as wire:
        await wire.send(head.sent_by(system.client).removesuffix(FORM))
        assert await wire.interim() == 100
        # The request is being served.
        answered_at = process.clock() + 9
        process.clock = lambda: answered_at
        await wire.send(FORM)
        answer = await wire.answer()
    assert answer is not None
    content = orjson.loads(answer.body)
    claims = orjson.loads(decode_base64url(content["access_token"].split(".")[1].encode()))
    assert claims["exp"] == int(answered_at) + content["expires_in"]


async def test_no_refresh_token(auth: httpx.AsyncClient, system: System) -> None:
    """§4.4.3: a client that can always ask again needs no refresh token."""
    response = await auth.post("/token", data=GRANT, auth=system.client.basic)
    assert "refresh_token" not in response.json()


@pytest.mark.parametrize(("scope", "status"), [("read", 200), ("nonsense", 400)], ids=["token", "error"])
async def test_answers_are_json_that_nobody_stores(
    auth: httpx.AsyncClient, system: System, scope: str, status: int
) -> None:
    """§5.1: no-store and no-cache on tokens and on errors; JSON without a charset parameter."""
    response = await auth.post("/token", data={**GRANT, "scope": scope}, auth=system.client.basic)
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers["content-type"] == "application/json"


async def test_secret_in_the_body_is_allowed(auth: httpx.AsyncClient, system: System) -> None:
    """§2.3.1: a client that cannot do Basic sends its secret in the form."""
    form = {**GRANT, "client_id": system.client.client_id, "client_secret": system.client.secret}
    response = await auth.post("/token", data=form)
    assert response.status_code == 200


async def test_basic_with_its_own_client_id_in_the_body(auth: httpx.AsyncClient, system: System) -> None:
    """Some clients repeat their id in the form beside Basic; that is no second authentication."""
    form = {**GRANT, "client_id": system.client.client_id}
    response = await auth.post("/token", data=form, auth=system.client.basic)
    assert response.status_code == 200


async def test_unknown_parameters_are_ignored(auth: httpx.AsyncClient, system: System) -> None:
    """§3.2: what the server does not know does not harm."""
    response = await auth.post("/token", data={**GRANT, "colour": "blue"}, auth=system.client.basic)
    assert response.status_code == 200


async def test_parameters_without_a_value_are_omitted(auth: httpx.AsyncClient, system: System) -> None:
    """§3.2: ``scope=`` and ``resource=`` mean the defaults."""
    response = await auth.post(
        "/token", data={**GRANT, "scope": "", "resource": ""}, auth=system.client.basic
    )
    assert response.json()["scope"] == "read"


REFUSALS: list[tuple[str, dict[str, Any], int, str]] = [
    ("no grant_type", {}, 400, "invalid_request"),
    ("empty grant_type", {"grant_type": ""}, 400, "invalid_request"),
    ("unknown grant_type", {"grant_type": "password"}, 400, "unsupported_grant_type"),
    ("grant_type in another case", {"grant_type": "Client_Credentials"}, 400, "unsupported_grant_type"),
    ("repeated grant_type", {"grant_type": ["client_credentials"] * 2}, 400, "invalid_request"),
    ("repeated scope", {**GRANT, "scope": ["read", "read"]}, 400, "invalid_request"),
    ("repeated unknown parameter", {**GRANT, "colour": ["blue", "red"]}, 400, "invalid_request"),
    ("unknown scope", {**GRANT, "scope": "admin"}, 400, "invalid_scope"),
    ("scope that was not granted", {**GRANT, "scope": "write"}, 400, "invalid_scope"),
    ("one good and one bad scope", {**GRANT, "scope": "read write"}, 400, "invalid_scope"),
    ("scope in another case", {**GRANT, "scope": "READ"}, 400, "invalid_scope"),
    ("two spaces between scopes", {**GRANT, "scope": "read  read"}, 400, "invalid_scope"),
    ("scope with a leading space", {**GRANT, "scope": " read"}, 400, "invalid_scope"),
    ("scope with a tab", {**GRANT, "scope": "read\tread"}, 400, "invalid_scope"),
    ("scope with a quote", {**GRANT, "scope": 'read "'}, 400, "invalid_scope"),
    ("scope with a backslash", {**GRANT, "scope": "read\\"}, 400, "invalid_scope"),
    ("scope beyond ASCII", {**GRANT, "scope": "réad"}, 400, "invalid_scope"),
    ("unknown resource", {**GRANT, "resource": "nothing"}, 400, "invalid_target"),
    ("unknown absolute resource", {**GRANT, "resource": "https://api.example.com/x"}, 400, "invalid_target"),
    ("one good and one bad resource", {**GRANT, "resource": [RESOURCE, "nothing"]}, 400, "invalid_target"),
    ("resource with NUL", {**GRANT, "resource": "api\x00"}, 400, "invalid_target"),
    ("client_id of another client", {**GRANT, "client_id": "somebody-else"}, 400, "invalid_request"),
    ("secret in the header and in the body", {**GRANT, "client_secret": "x"}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("form", "status", "error"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
async def test_refused_requests(
    auth: httpx.AsyncClient, system: System, form: dict[str, Any], status: int, error: str
) -> None:
    """§5.2: each mistake of an authenticated client has its code, and one fixed sentence."""
    response = await auth.post("/token", data=form, auth=system.client.basic)
    assert response.status_code == status
    answer = response.json()
    assert answer["error"] == error
    assert set(answer) == {"error", "error_description"}
    description = answer["error_description"]
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_only_post(auth: httpx.AsyncClient, method: str) -> None:
    """§3.2: another method gets 405 and is told which one works."""
    response = await auth.request(method, "/token")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_client_may_lack_the_grant_type(start_system: Any) -> None:
    """§5.2: a known grant type that this client may not use is unauthorized_client."""
    system: System = await start_system()
    await system.as_owner(lambda c: c.execute("UPDATE clients SET grant_types = ARRAY['other']"))
    async with http_client() as http:
        response = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


async def test_trace_id_joins_answer_and_log(auth: httpx.AsyncClient, system: System) -> None:
    """The caller can quote one id, and the operator finds the true reason under it."""
    response = await auth.post("/token", data={**GRANT, "scope": "write"}, auth=system.client.basic)
    line = system.log.of(response)
    assert len(response.headers["x-trace-id"]) == 32
    assert line["error"] == "invalid_scope"
    assert "not granted" in line["reason"]


async def test_trace_id_is_never_the_callers(auth: httpx.AsyncClient) -> None:
    """An id that a caller sends is not taken over into our logs."""
    response = await auth.get("/healthz", headers={"X-Trace-Id": "0" * 32})
    assert response.headers["x-trace-id"] != "0" * 32


async def test_log_tells_who_got_what_but_no_secret(auth: httpx.AsyncClient, system: System) -> None:
    """The log of an issued token names client, scopes, audience and token id; never the token or the secret."""
    form = {**GRANT, "client_id": system.client.client_id, "client_secret": system.client.secret}
    response = await auth.post("/token", data=form)
    line = system.log.of(response)
    assert line["client_id"] == system.client.client_id
    assert line["scopes"] == ["read"]
    assert line["audience"] == [system.document_url]
    signature = response.json()["access_token"].rpartition(".")[2]
    assert signature not in system.log.text
    assert system.client.secret not in system.log.text
