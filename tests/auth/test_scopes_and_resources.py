"""What a client gets: scopes, audience and lifetime (RFC 6749 §3.3, RFC 8707)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from auth_service.administration.resources import create_resource
from steelcut.jose import MAX_TOKEN_CHARACTERS
from tests.support.databases import Templates
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System, running_system

ORDERS = "https://orders.example.com/v1"
BILLS = "https://bills.example.com/v1"


@pytest.fixture(scope="module")
async def shop(templates: Templates) -> AsyncIterator[System]:
    """A system with two more resources, of other scopes and lifetimes."""
    async with running_system(await templates.clone()) as system:
        await system.as_admin(lambda c: create_resource(c, ACTOR, "orders", ORDERS, ["read", "cancel"], 600))
        await system.as_admin(lambda c: create_resource(c, ACTOR, "bills", BILLS, ["read", "pay"]))
        yield system


async def ask(system: System, client: Registered, **form: Any) -> tuple[int, dict[str, Any]]:
    """Post a token request; return the status and the answer, with the token's claims in it."""
    async with http_client() as http:
        response = await http.post(system.token_url, data={**GRANT, **form}, auth=client.basic)
    answer: dict[str, Any] = response.json()
    if response.status_code == 200:
        payload = answer["access_token"].split(".")[1]
        answer["claims"] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return response.status_code, answer


async def test_scope_defaults_to_all_that_is_granted(shop: System) -> None:
    """§3.3: without ``scope`` a client gets what it was granted, and the answer says so."""
    client = await shop.register("All", scopes=("write", "read"))
    _, answer = await ask(shop, client)
    assert answer["scope"] == "read write"
    assert answer["claims"]["scope"] == "read write"


async def test_token_that_no_resource_server_would_take(shop: System) -> None:
    """All scopes of a client may be too many for one token; fewer of them are not."""
    long = [f"{number}-{'s' * 250}" for number in range(30)]
    await shop.as_admin(lambda c: create_resource(c, ACTOR, "long", "https://long.example.com", long))
    client = await shop.register("Many", grants={"long": long})
    status, answer = await ask(shop, client)
    assert (status, answer["error"]) == (400, "invalid_scope")
    assert "ask for fewer scopes" in answer["error_description"]
    status, answer = await ask(shop, client, scope=" ".join(long[:20]))
    assert status == 200
    assert len(answer["access_token"]) <= MAX_TOKEN_CHARACTERS


async def test_scope_can_be_narrowed(shop: System) -> None:
    """A client may ask for less than it has."""
    client = await shop.register("Less", scopes=("write", "read"))
    _, answer = await ask(shop, client, scope="write")
    assert answer["scope"] == answer["claims"]["scope"] == "write"


async def test_order_and_repetition_of_scopes_do_not_matter(shop: System) -> None:
    """§3.3: the order does not matter; a scope that is named twice is granted once."""
    client = await shop.register("Order", scopes=("write", "read"))
    _, answer = await ask(shop, client, scope="write read write")
    assert sorted(answer["scope"].split(" ")) == ["read", "write"]


@pytest.mark.parametrize("by", ["name", "identifier"])
async def test_resource_by_name_or_identifier(shop: System, by: str) -> None:
    """RFC 8707 §2, and the short names that Steelcut-OAuth's users send: both give the identifier as audience."""
    client = await shop.register("Reader")
    _, answer = await ask(shop, client, resource=RESOURCE if by == "name" else shop.document_url)
    assert answer["claims"]["aud"] == shop.document_url


async def test_same_resource_twice_is_one_audience(shop: System) -> None:
    """Name and identifier of one resource are one audience."""
    client = await shop.register("Twice")
    _, answer = await ask(shop, client, resource=[RESOURCE, shop.document_url])
    assert answer["claims"]["aud"] == shop.document_url


async def test_several_resources_need_a_choice(shop: System) -> None:
    """A client of several resources without a default must say which one it means."""
    client = await shop.register("Two", grants={"orders": ["read"], "bills": ["read"]})
    status, answer = await ask(shop, client)
    assert (status, answer["error"]) == (400, "invalid_target")
    assert "resource" in answer["error_description"]


async def test_default_resource_is_used(shop: System) -> None:
    """A client of several resources may have a default one."""
    grants = {"orders": ["read"], "bills": ["pay"]}
    client = await shop.register("Default", grants=grants, default_resource="bills")
    _, answer = await ask(shop, client)
    assert (answer["claims"]["aud"], answer["scope"]) == (BILLS, "pay")


async def test_several_resources_in_one_token(shop: System) -> None:
    """RFC 8707 §2: repeated ``resource`` gives a list, in the order of the request."""
    client = await shop.register("Both", grants={"orders": ["read"], "bills": ["read", "pay"]})
    _, answer = await ask(shop, client, resource=["bills", ORDERS])
    assert answer["claims"]["aud"] == [BILLS, ORDERS]
    assert answer["scope"] == "read"


async def test_scope_that_one_of_the_resources_does_not_know(shop: System) -> None:
    """A token for two resources carries only scopes that both know."""
    client = await shop.register("Mixed", grants={"orders": ["read"], "bills": ["read", "pay"]})
    status, answer = await ask(shop, client, resource=["bills", "orders"], scope="pay")
    assert (status, answer["error"]) == (400, "invalid_scope")


async def test_no_scope_in_common(shop: System) -> None:
    """Two resources that share no granted scope cannot share a token."""
    client = await shop.register("Apart", grants={"orders": ["cancel"], "bills": ["pay"]})
    status, answer = await ask(shop, client, resource=["bills", "orders"])
    assert (status, answer["error"]) == (400, "invalid_scope")


async def test_resource_of_another_client(shop: System) -> None:
    """A resource that exists but was not granted looks like one that does not exist."""
    client = await shop.register("Outsider")
    granted_elsewhere = await ask(shop, client, resource="orders")
    invented = await ask(shop, client, resource="invented")
    assert granted_elsewhere == invented
    assert granted_elsewhere[0] == 400


@pytest.mark.parametrize("fragment", ["#", "#part"])
async def test_identifier_with_a_fragment(shop: System, fragment: str) -> None:
    """RFC 8707 §2: a resource has no fragment."""
    client = await shop.register("Fragment")
    status, answer = await ask(shop, client, resource=shop.document_url + fragment)
    assert (status, answer["error"]) == (400, "invalid_target")


@pytest.mark.parametrize(
    ("resource", "client_lifetime", "expected"),
    [
        (RESOURCE, None, 3600),
        ("orders", None, 600),
        ("orders", 60, 60),
        ("orders", 6000, 600),
        (RESOURCE, 7200, 3600),
    ],
)
async def test_smallest_lifetime_wins(
    shop: System, resource: str, client_lifetime: int | None, expected: int
) -> None:
    """Setting, resource and client each limit the life of a token."""
    client = await shop.register("Lived", grants={resource: ["read"]}, token_lifetime_seconds=client_lifetime)
    _, answer = await ask(shop, client)
    assert answer["expires_in"] == expected
    assert answer["claims"]["exp"] - answer["claims"]["iat"] == expected
