"""The page on other servers shows a recorded run, and says of each what it does for a token."""

from __future__ import annotations

import orjson

from benchmarks.page import ROOT, between_marks
from benchmarks.peers.page import PAGE, section
from benchmarks.peers.servers import WORK
from tests.benchmarks.test_page import RUN


def test_page_shows_the_run_that_it_names() -> None:
    """Whoever opens the file finds the figures of the page."""
    shown = between_marks(PAGE.read_text(encoding="utf-8"))
    named = RUN.search(shown)
    assert named
    result = orjson.loads((ROOT / "benchmarks" / "results" / named[1]).read_bytes())
    assert shown == section(result, named[1])
    assert {each["peer"] for each in result["peers"]} == WORK.keys() - {"Steelcut"}
