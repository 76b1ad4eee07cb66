"""More than one process can answer: those beyond the bounds hear so at once, and the others are served as ever."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from auth_service import form
from steelcut.errors import RETRY_AFTER_SECONDS
from tests.support.plain_http import http_client
from tests.support.system import GRANT, System
from tests.support.waiting import until
from tests.support.wire import Answer, Wire

MOST = 5
SENT = 40
# More than are few, and no more than may wait.
CROWD = 120
CROWD_SECONDS = 20


def token_request(system: System) -> bytes:
    """Return the bytes of a good token request."""
    client = system.client
    basic = base64.b64encode(f"{client.client_id}:{client.secret}".encode())
    content = b"grant_type=client_credentials"
    return (
        b"POST /token HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n%s" % (basic, len(content), content)
    )


async def at_once(stack: AsyncExitStack, url: str, requests: list[bytes]) -> list[Wire]:
    """Send each request on a connection of its own, all in one moment."""
    wires = [await stack.enter_async_context(Wire.open(url)) for _ in requests]
    for wire, request in zip(wires, requests, strict=True):
        wire.send_now(request)
    return wires


async def answers(wires: list[Wire]) -> list[Answer]:
    """Return what each is answered."""
    given = await asyncio.gather(*(wire.answer() for wire in wires))
    assert None not in given
    return [answer for answer in given if answer is not None]


async def test_those_beyond_the_bound_are_refused_at_once(start_system: Any) -> None:
    """As many as may wait get their tokens; the rest get 503 with Retry-After, on connections that stay."""
    system: System = await start_system(max_waiting_requests=MOST)
    async with AsyncExitStack() as stack:
        wires = await at_once(stack, system.issuer, [token_request(system)] * SENT)
        given = await answers(wires)
        statuses = Counter(answer.status for answer in given)
        assert set(statuses) == {200, 503}
        assert statuses[200] >= MOST
        refused = next(wire for wire, answer in zip(wires, given, strict=True) if answer.status == 503)
        # One at a time there is room again, for the same connection too.
        await refused.send(token_request(system))
        again = await refused.answer()
    assert again is not None
    assert again.status == 200
    for answer in given:
        if answer.status == 503:
            assert answer.error == "temporarily_unavailable"
            assert answer.header("retry-after") == str(RETRY_AFTER_SECONDS)
            assert answer.header("cache-control") == "no-store"
            assert str(answer.header("x-trace-id")) in system.log.text
    assert "more requests than this process may let wait" in system.log.text


@pytest.mark.parametrize("ahead", [0, 1, None], ids=["asked after it", "begun before it", "asked before it"])
async def test_asking_again_at_once_gains_nothing(start_system: Any, ahead: int | None) -> None:
    """A connection that was refused is not heard for a tenth of a second, whatever of it had come, and then it is."""
    system: System = await start_system(max_waiting_requests=MOST)
    request = token_request(system)
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(Wire.open(system.issuer))
        wires = await at_once(stack, system.issuer, [request + request[:ahead]] * SENT)
        given = await answers(wires)
        # The last of them, which are heard one after the other.
        *_, refused = (wire for wire, answer in zip(wires, given, strict=True) if answer.status == 503)
        begin = time.perf_counter()
        if ahead is not None:
            await refused.send(request[ahead:])
        await other.send(token_request(system))
        assert (await answers([other]))[0].status == 200
        heard = asyncio.create_task(refused.answer())
        await other.send(token_request(system))
        assert (await answers([other]))[0].status == 200
        assert not heard.done()
        again = await heard
    assert again is not None
    assert again.status == 200
    # Since a moment before that of which it was refused: hence not all of the tenth.
    assert time.perf_counter() - begin > 0.05


async def test_moment_may_be_crowded_and_no_longer(start_system: Any) -> None:
    """As many as may wait are served of those who come at once; where they stay, few of them are, until they go."""
    system: System = await start_system()
    statuses: Counter[int] = Counter()
    request = token_request(system)
    async with AsyncExitStack() as stack:
        wires = await at_once(stack, system.issuer, [request] * CROWD)
        assert {answer.status for answer in await answers(wires)} == {200}

        async def ask_on(wire: Wire) -> None:
            while not statuses[503]:
                await wire.send(request)
                (answer,) = await answers([wire])
                statuses[answer.status] += 1

        await asyncio.wait_for(asyncio.gather(*map(ask_on, wires)), CROWD_SECONDS)
    assert statuses[200] > CROWD

    async def all_are_served() -> bool:
        # As those who were refused were told to.
        await asyncio.sleep(RETRY_AFTER_SECONDS)
        async with AsyncExitStack() as stack:
            wires = await at_once(stack, system.issuer, [request] * CROWD)
            return {answer.status for answer in await answers(wires)} == {200}

    await until(all_are_served, CROWD_SECONDS)


async def test_the_process_is_alive_however_many_wait(start_system: Any) -> None:
    """A probe that was refused would have the process killed when it is needed most."""
    system: System = await start_system(max_waiting_requests=MOST)
    probe = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    async with AsyncExitStack() as stack:
        wires = await at_once(stack, system.issuer, [token_request(system)] * SENT + [probe] * 3)
        given = await answers(wires)
    assert [answer.status for answer in given[-3:]] == [200, 200, 200]
    assert 503 in {answer.status for answer in given}


async def test_connections_beyond_the_bound_end_with_503(start_system: Any) -> None:
    """Idle ones count too; who has one of the others is served."""
    system: System = await start_system(max_connections=MOST)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Wire.open(system.issuer))
        await first.send(token_request(system))
        assert (await answers([first]))[0].status == 200
        for _ in range(MOST - 1):
            await stack.enter_async_context(Wire.open(system.issuer))
        (beyond,) = await at_once(stack, system.issuer, [token_request(system)])
        (refused,) = await answers([beyond])
        assert (refused.status, refused.header("connection")) == (503, "close")
        assert await beyond.answer() is None
        await first.send(token_request(system))
        # The one beyond has gone.
        assert (await answers([first]))[0].status == 200


@pytest.mark.parametrize("missing", [3, 29], ids=["its end", "all of it"])
async def test_slow_form_gives_its_place_back(
    system: System, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """A body that comes drop by drop, or never begins, is not waited for longer than 10 s, which are fewer here."""
    monkeypatch.setattr(form, "FORM_SECONDS", 0.05)
    request = token_request(system)
    async with Wire.open(system.issuer) as wire:
        await wire.send(request[:-missing])
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.error, answer.header("connection")) == (408, "invalid_request", "close")
        assert await wire.answer() is None
    assert '"reason":"FormTooSlow"' in system.log.text


async def test_body_in_pieces_is_read(system: System) -> None:
    """What comes in time is served, in however many pieces."""
    request = token_request(system)
    async with Wire.open(system.issuer) as wire:
        for start in range(0, len(request), 40):
            await wire.send(request[start : start + 40])
            await asyncio.sleep(0)
        answer = await wire.answer()
    assert answer is not None
    assert answer.status == 200


async def test_ordinary_load_is_not_refused(start_system: Any) -> None:
    """The bound is of what waits at one moment, not of what comes in a second."""
    system: System = await start_system(max_waiting_requests=MOST)
    async with http_client() as http:
        for _ in range(3 * MOST):
            response = await http.post(system.token_url, data=GRANT, auth=system.client.basic)
            assert response.status_code == 200
