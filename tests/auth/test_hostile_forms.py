"""What a hostile caller of /token sees: always a refusal in the right words, never a 500, never a secret in the log."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest

from tests.auth.hostile_requests import (
    BASIC,
    BYTES,
    CONTENT_TYPES,
    CREDENTIALS,
    FORM,
    FORM_TYPE,
    FORMS,
    FRAMING,
    LIMIT,
    METHODS,
    PATHS,
    REPEATS,
    SIZES,
    Case,
    Hostile,
)
from tests.support.databases import Templates
from tests.support.system import System, running_system
from tests.support.wire import Answer, Wire, exchange

TABLES = {
    "bytes": BYTES,
    "repeats": REPEATS,
    "sizes": SIZES,
    "content types": CONTENT_TYPES,
    "forms": FORMS,
    "credentials": CREDENTIALS,
    "methods": METHODS,
    "paths": PATHS,
}
ANSWERED = [
    pytest.param(case, id=f"{table}: {case.name}") for table, cases in TABLES.items() for case in cases
]
# RFC 6749 §5.2
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")


@pytest.fixture(scope="module")
async def besieged(templates: Templates) -> AsyncIterator[System]:
    """A system of this file's own, because it reads all that was logged."""
    async with running_system(await templates.clone()) as system:
        yield system


@pytest.fixture(autouse=True)
def _no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that is sent makes the server complain of itself."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("case", ANSWERED)
async def test_every_request_is_answered_in_the_words_of_the_rfc(besieged: System, case: Case) -> None:
    """Whatever is sent, the answer has the status, code, headers and form that RFC 6749 §5 asks for."""
    answer = await _sent(besieged, case.request)
    assert (answer.status, answer.error) == (case.status, case.error)
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("pragma") == "no-cache"
    assert answer.header("location") is None
    assert (answer.header("www-authenticate") is not None) == (answer.status == 401)
    assert (answer.header("allow") == "POST") == (answer.status == 405)
    content = orjson.loads(answer.body)
    if answer.status == 200:
        assert content.keys() == {"access_token", "token_type", "expires_in", "scope"}
    else:
        assert content.keys() == {"error", "error_description"}
        assert DESCRIPTION.fullmatch(content["error_description"])
    assert _lines(besieged, answer) == [(answer.status, answer.error)]


async def test_no_answer_repeats_what_was_sent(besieged: System) -> None:
    """Many requests of many words, and only the fixed sentences in the answers."""
    answers = [await _sent(besieged, case.request) for cases in TABLES.values() for case in cases]
    sentences = {orjson.loads(answer.body).get("error_description") for answer in answers}
    assert len(answers) > 170
    assert len(sentences) < 25


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in FRAMING])
async def test_what_is_no_http_is_refused_and_the_connection_closed(besieged: System, case: Case) -> None:
    """Bytes that two servers could read in two ways open no door between them: 400, and the end."""
    async with Wire.open(besieged.issuer) as wire:
        await wire.send(case.request.sent_by(besieged.client))
        answer = await wire.answer()
        assert answer is not None
        assert answer.status == case.status
        assert await wire.answer() is None


async def test_head_is_refused_without_a_body(besieged: System) -> None:
    """HEAD gets the same 405 as GET, and the next answer on the connection is not out of step."""
    async with Wire.open(besieged.issuer) as wire:
        await wire.send(Hostile(b"", line=b"HEAD /token HTTP/1.1").sent_by(besieged.client))
        answer = await wire.answer(to_head=True)
        assert answer is not None
        assert (answer.status, answer.header("allow")) == (405, "POST")
        await wire.send(Hostile().sent_by(besieged.client))
        assert _status(await wire.answer()) == 200


async def test_http_1_0_gets_a_token_and_the_end_of_the_connection(besieged: System) -> None:
    """An old client is served, and told that the connection closes."""
    async with Wire.open(besieged.issuer) as wire:
        await wire.send(Hostile(line=b"POST /token HTTP/1.0").sent_by(besieged.client))
        answer = await wire.answer()
        assert answer is not None
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await wire.answer() is None


async def test_pipelined_requests_are_answered_in_order(besieged: System) -> None:
    """Good, bad and good again in one write: three answers, none mixed with another."""
    async with Wire.open(besieged.issuer) as wire:
        good, bad = Hostile(), Hostile(b"grant_type=password")
        await wire.send(b"".join(request.sent_by(besieged.client) for request in (good, bad, good)))
        answers = [await wire.answer() for _ in range(3)]
        assert [(answer.status, answer.error) for answer in answers if answer] == [
            (200, None),
            (400, "unsupported_grant_type"),
            (200, None),
        ]


async def test_a_request_inside_a_refused_body_is_never_read_as_one(besieged: System) -> None:
    """A body that is too large may look like requests; none of them is answered, and the next real one is."""
    async with Wire.open(besieged.issuer) as wire:
        inner = Hostile().sent_by(besieged.client)
        outer = Hostile(b"a" * LIMIT + inner * 20)
        await wire.send(outer.sent_by(besieged.client))
        assert _status(await wire.answer()) == 413
        await wire.send(Hostile(b"grant_type=password").sent_by(besieged.client))
        answer = await wire.answer()
        assert answer is None or answer.error == "unsupported_grant_type"


async def test_a_body_in_single_bytes_is_read_whole(besieged: System) -> None:
    """A slow sender gets its token."""
    raw = Hostile().sent_by(besieged.client)
    async with Wire.open(besieged.issuer) as wire:
        await wire.send(raw[: -len(FORM)])
        for byte in FORM:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert _status(await wire.answer()) == 200


async def test_a_large_body_is_refused_before_it_is_sent_whole(besieged: System) -> None:
    """The refusal comes after 64 KiB of a gigabyte, so nothing that is announced is waited for."""
    head = Hostile(headers=(FORM_TYPE, BASIC, b"Content-Length: 1073741824"))
    answer = await exchange(besieged.issuer, head.sent_by(besieged.client) + b"a" * LIMIT)
    assert answer is not None
    assert (answer.status, answer.error) == (413, "invalid_request")


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((FORM_TYPE, BASIC, b"Content-Length: 100"), id="shorter than announced"),
        pytest.param((FORM_TYPE, BASIC, b"Transfer-Encoding: chunked"), id="chunk without an end"),
        pytest.param(
            (FORM_TYPE, BASIC, b"Content-Length: 100", b"Expect: 100-continue"), id="expects to go on"
        ),
    ],
)
async def test_a_caller_who_hangs_up_is_no_error_of_ours(
    besieged: System, headers: tuple[bytes, ...], *, abruptly: bool
) -> None:
    """A body that never ends leaves one quiet line in the log: no 500, no traceback."""
    body = b"1d\r\n" + FORM if b"Transfer-Encoding: chunked" in headers else FORM
    before = len(besieged.log.text.splitlines())
    async with Wire.open(besieged.issuer) as wire:
        await wire.send(Hostile(body, headers).sent_by(besieged.client))
        await asyncio.sleep(0.02)
        await wire.close(abruptly=abruptly)
    lines = await _lines_after(besieged, before)
    assert [line["event"] for line in lines] == ["request"]
    assert lines[0]["status"] < 500


async def test_none_of_it_made_a_500_or_left_a_secret_in_the_log(
    besieged: System, caplog: pytest.LogCaptureFixture
) -> None:
    """After every request above: no status of 500 or more, no traceback, no secret, no token, no broken line."""
    caplog.set_level(logging.DEBUG)
    tokens = []
    for case in itertools.chain(*TABLES.values(), FRAMING):
        answer = await exchange(besieged.issuer, case.request.sent_by(besieged.client))
        assert answer is not None
        assert answer.status < 500
        if answer.status == 200:
            tokens.append(orjson.loads(answer.body)["access_token"])
    lines = [orjson.loads(line) for line in besieged.log.text.splitlines()]
    assert len(lines) > 150
    assert {line["event"] for line in lines} == {"request"}
    assert {line["level"] for line in lines} == {"info"}
    assert max(line["status"] for line in lines) < 500
    _, _, random, _ = besieged.client.secret.split("_")
    # pytest revives uvicorn's own access log, which the service turns off.
    server = "\n".join(record.getMessage() for record in caplog.records if record.name != "uvicorn.access")
    for logged in (besieged.log.text, server):
        assert random not in logged
        assert not any(token.rpartition(".")[2] in logged for token in tokens)


async def _sent(system: System, request: Hostile) -> Answer:
    answer = await exchange(system.issuer, request.sent_by(system.client))
    assert answer is not None
    return answer


def _status(answer: Answer | None) -> int | None:
    return answer.status if answer else None


def _lines(system: System, answer: Answer) -> list[tuple[int, str | None]]:
    """Return status and error of the log lines that the trace id of ``answer`` finds."""
    trace_id = answer.header("x-trace-id")
    assert trace_id is not None
    assert re.fullmatch(r"[0-9a-f]{32}", trace_id)
    lines = [orjson.loads(line) for line in system.log.text.splitlines() if trace_id in line]
    return [(line["status"], line.get("error")) for line in lines]


async def _lines_after(system: System, count: int) -> list[dict[str, Any]]:
    """Wait for the service to notice, then return the new lines of the log."""
    for _ in range(500):
        if len(system.log.text.splitlines()) > count:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    return [orjson.loads(line) for line in system.log.text.splitlines()[count:]]
