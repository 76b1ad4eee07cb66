"""The page on other servers shows a recorded run, and says of each what it does for a token."""

from __future__ import annotations

import httpx
import orjson
import pytest

from benchmarks.page import ROOT, between_marks
from benchmarks.peers.page import PAGE, section
from benchmarks.peers.servers import WORK
from benchmarks.processes import free_port, running
from tests.benchmarks.test_page import RUN
from tests.support.plain_http import http_client
from tools.node_packages import NODE


def test_page_shows_the_run_that_it_names() -> None:
    """Whoever opens the file finds the figures of the page."""
    shown = between_marks(PAGE.read_text(encoding="utf-8"))
    named = RUN.search(shown)
    assert named
    result = orjson.loads((ROOT / "benchmarks" / "results" / named[1]).read_bytes())
    assert shown == section(result, named[1])
    assert {each["peer"] for each in result["peers"]} == WORK.keys() - {"Steelcut"}


async def test_nothing_of_node_is_left() -> None:
    """A server of Node's ends with its block, and its port is free again."""
    port = free_port()
    serve = f"require('http').createServer((_, answer) => answer.end()).listen({port}, '127.0.0.1')"
    url = f"http://127.0.0.1:{port}"
    async with http_client() as http:
        async with running([str(NODE), "-e", serve], url):
            assert (await http.get(url)).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await http.get(url)
