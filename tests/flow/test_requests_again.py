"""The same bytes again on one connection: who asks, what he may do and what he gets are found anew each time."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson

from auth_service.administration.clients import disable_client
from resource_service import documents
from tests.flow.odd_requests import HOST, head
from tests.flow.test_http_edges import FORM, FORM_TYPE
from tests.support.system import ACTOR, GRANT, RESOURCE, System, as_owner
from tests.support.wire import Answer, Wire

if TYPE_CHECKING:
    import httpx

TIMES = 3


async def asked(wire: Wire, raw: bytes) -> Answer:
    """Send ``raw`` and return its answer."""
    await wire.send(raw)
    answer = await wire.answer()
    assert answer is not None
    return answer


def publishing(body: bytes) -> Callable[[Any], Awaitable[object]]:
    """Return what publishes ``body`` as the document that is asked for."""
    return lambda connection: documents.publish(connection, RESOURCE, "again", body)


async def test_each_request_gets_a_token_until_its_client_is_disabled(system: System) -> None:
    """Each its own, with its own trace id; then none, though the bytes are those that got one."""
    client = await system.register("Again")
    pair = base64.b64encode(f"{client.client_id}:{client.secret}".encode())
    basic = b"Authorization: Basic " + pair
    length = b"Content-Length: %d" % len(FORM)
    raw = head(b"POST /token HTTP/1.1", HOST, basic, FORM_TYPE, length) + FORM
    async with Wire.open(system.issuer) as wire:
        answers = [await asked(wire, raw) for _ in range(TIMES)]
        assert [answer.status for answer in answers] == [200] * TIMES
        assert len({orjson.loads(answer.body)["access_token"] for answer in answers}) == TIMES
        assert len({answer.header("x-trace-id") for answer in answers}) == TIMES
        await system.as_admin(lambda c: disable_client(c, ACTOR, client.client_id))
        await system.heard()
        refused = await asked(wire, raw)
    assert (refused.status, refused.error) == (401, "invalid_client")


async def test_each_request_gets_the_document_as_it_is(system: System, auth: httpx.AsyncClient) -> None:
    """Also when it changed since the same bytes were answered, and when it is gone."""
    token = (await auth.post("/token", data=GRANT, auth=system.client.basic)).json()["access_token"]
    bearer = f"Authorization: Bearer {token}".encode()
    raw = head(f"GET /{RESOURCE}/again HTTP/1.1".encode(), HOST, bearer)
    async with Wire.open(system.resource_base) as wire:
        for body in (b'{"version": 1}', b'{"version": 2}'):
            await as_owner(system.databases.resource.owner, publishing(body))
            await system.heard()
            answers = [await asked(wire, raw) for _ in range(TIMES)]
            assert [(answer.status, answer.body) for answer in answers] == [(200, body)] * TIMES
        await as_owner(
            system.databases.resource.owner, lambda c: documents.delete_document(c, RESOURCE, "again")
        )
        await system.heard()
        assert (await asked(wire, raw)).status == 404
