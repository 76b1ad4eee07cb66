"""What wrk sends, and what is read of its output."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import wrk
from benchmarks.processes import free_port
from benchmarks.traffic import LINE, Traffic
from benchmarks.wrk import LoadError
from tests.benchmarks.conftest import RESULT
from tests.support.system import listen, serving
from tools.programs import Program

NASTY = 'a="b" \\ c\nü\x00]]'


class Recorder:
    """An application that keeps what it was sent, and answers as the path says."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.bodies: set[bytes] = set()
        self.credentials: list[str] = []
        self.numbers: list[str] = []
        self.answered: Counter[int] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer; ``/mixed`` fails every third time."""
        self.bodies.add((await receive())["body"])
        headers = dict(scope["headers"])
        self.credentials.append(headers.get(b"authorization", b"").decode())
        self.numbers.append(headers.get(b"request-number", b"").decode())
        status = {"/healthz": 200, "/unchanged": 304, "/mixed": 200}[scope["path"]]
        if scope["path"] == "/mixed" and self.answered.total() % 3 == 2:
            status = 500
        if scope["path"] != "/healthz":
            self.answered[status] += 1
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def recorded() -> AsyncIterator[tuple[Recorder, str]]:
    """Serve a recorder, and give its URL."""
    recorder, listener = Recorder(), listen()
    host, port = listener.getsockname()
    async with serving(recorder, listener, lifespan="auto"):
        recorder.credentials.clear()
        recorder.numbers.clear()
        recorder.bodies.clear()
        yield recorder, f"http://{host}:{port}"


async def test_each_request_carries_the_next_line_and_failures_are_counted(
    real_wrk: Program, tmp_path: Path
) -> None:
    """Lines go on where a load before it ended; bodies arrive as they are; an answer of 500 is a failure."""
    lines = tmp_path / "lines"
    lines.write_text("one\ntwo\nthree\n", encoding="utf-8")
    traffic = Traffic("/mixed", "POST", {"Authorization": f"Bearer {LINE}"}, NASTY, lines)
    async with recorded() as (recorder, url):
        load = await wrk.run(
            real_wrk, url, traffic.script(), seconds=1, connections=1, sent_before=4, count_statuses=True
        )
    assert recorder.credentials[:4] == ["Bearer two", "Bearer three", "Bearer one", "Bearer two"]
    assert recorder.bodies == {NASTY.encode()}
    # What was under way at the end was answered, and is not counted.
    assert recorder.answered.total() - 1 <= load.requests <= recorder.answered.total()
    assert sum(load.statuses.values()) == load.requests
    assert load.failed == load.errors["status"] == load.statuses[500]
    assert load.statuses[200] > load.statuses[500] > 0
    assert 0 < load.p50 <= load.p99 <= load.longest
    assert load.per_second == pytest.approx(load.requests / load.seconds)


async def test_a_numbered_request_is_not_like_the_one_before(real_wrk: Program, tmp_path: Path) -> None:
    """Each has a number that the one before on its connection has not; but for that they are alike."""
    traffic = Traffic("/unchanged", headers={"Authorization": "Bearer one"}).numbered(tmp_path)
    async with recorded() as (recorder, url):
        await wrk.run(real_wrk, url, traffic.script(), seconds=1, connections=1)
    assert set(recorder.credentials) == {"Bearer one"}
    assert all(one != other for one, other in itertools.pairwise(recorder.numbers))
    assert {len(number) for number in recorder.numbers} == {5}


async def test_not_modified_is_no_failure(real_wrk: Program) -> None:
    """304 is what a conditional request hopes for; statuses are counted only when asked for."""
    async with recorded() as (recorder, url):
        load = await wrk.run(real_wrk, url, Traffic("/unchanged").script(), seconds=1, connections=2)
    assert set(recorder.answered) == {304}
    assert load.requests > 0
    assert load.failed == 0
    assert load.statuses == {}


async def test_a_load_that_cannot_be_made_says_why(real_wrk: Program) -> None:
    """Nobody listens; wrk's own words are passed on."""
    with pytest.raises(LoadError, match="unable to connect to 127"):
        await wrk.run(real_wrk, f"http://127.0.0.1:{free_port()}", Traffic("/").script(), seconds=1)


async def test_only_whole_seconds(feigned_wrk: Program) -> None:
    """Wrk would read 0.5 as something else."""
    with pytest.raises(LoadError, match="whole seconds"):
        await wrk.run(feigned_wrk, "http://127.0.0.1:1", "", seconds=0.5)


def test_a_result_is_read_in_seconds() -> None:
    """Wrk counts in microseconds."""
    load = wrk.read(RESULT.encode())
    assert (load.requests, load.seconds, load.p50, load.p99, load.longest) == (500, 1.0, 0.002, 0.005, 0.009)
    assert load.statuses == {200: 500}


@pytest.mark.parametrize("written", ["", "{}", "[]", '{"requests": 5}', RESULT[:-1]], ids=range(5))
def test_what_is_no_result_is_refused(written: str) -> None:
    """A script that failed half way leaves no figures that would be believed."""
    with pytest.raises(LoadError, match="not a result"):
        wrk.read(written.encode())
