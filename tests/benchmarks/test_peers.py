"""The page on other servers shows a recorded run, and says of each what it does for a token."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import httpx
import orjson
import pytest

from benchmarks.page import ROOT, between_marks
from benchmarks.pairs import Comparison, Plan
from benchmarks.peers.__main__ import ONE_CLIENT, Run, Seen
from benchmarks.peers.page import PAGE, as_told, section
from benchmarks.peers.servers import WORK, Installed
from benchmarks.processes import free_port, running
from tests.benchmarks.test_page import RUN
from tests.benchmarks.test_pairs import side
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


@pytest.mark.parametrize(
    ("ratio", "pairs", "told"),
    [
        (1725.16, [1725.16, 1899.61, 1669.09, 1458.42, 1806.74], "1,700"),
        (14.07, [14.07, 14.36, 13.34], "14"),
        (1.51, [1.68, 1.49, 1.42], "1.5"),
        (1.51, [1.512, 1.499, 1.506], "1.51"),
        (1.514, [1.514], "1.51"),
    ],
    ids=["hundreds", "ones", "tenths", "hundredths", "one-pair"],
)
def test_a_ratio_is_shown_as_closely_as_it_is_told(ratio: float, pairs: list[float], told: str) -> None:
    """By the digits that another run would have, too."""
    assert as_told(ratio, pairs) == told


def seen(peer: str, ours: int) -> Seen:
    """A peer that issued 100 tokens in a second, beside so many of ours."""
    sides = [replace(side(number), name=name) for number, name in ((ours, ONE_CLIENT), (100, peer))]
    return Seen(peer, sides[1], Comparison(*sides), Plan(), {peer: "1.0"})


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (Run(seen=[seen("oidc-provider", 200)]), []),
        (Run(seen=[seen("oidc-provider", 140)]), ["Missed: "]),
        (Run(seen=[seen("Authlib", 200)]), ["The target, "]),
        (
            Run(seen=[seen("Authlib", 200)], left_out={"oidc-provider": "no Node."}),
            ["oidc-provider is left out: no Node.", "The target, "],
        ),
        (Run(seen=[seen("oidc-provider", 200)], left_out={"Authlib": "so."}), ["Authlib is left out: so."]),
        (Run(), ["The target, "]),
    ],
    ids=["met", "missed", "not judged", "left out", "another left out", "nobody"],
)
def test_who_was_not_measured_has_met_no_target(run: Run, said: list[str]) -> None:
    """A run that cannot tell it fails, in a sentence."""
    faults = run.faults()
    assert len(faults) == len(said)
    assert all(fault.startswith(begin) for fault, begin in zip(faults, said, strict=True))


def test_a_peer_is_recorded_with_its_versions_and_its_plan(tmp_path: Path) -> None:
    """Which was shorter, or of other callers, than that of the others."""
    run = Run(tmp_path / "run.json", [seen("Authlib", 200)], machine={"commit": "abc"})
    run.keep()
    (kept,) = orjson.loads(run.file.read_bytes() if run.file else b"")["peers"]
    assert (kept["versions"], kept["plan"]["connections"]) == ({"Authlib": "1.0"}, 32)


def test_versions_are_those_of_what_is_installed(tmp_path: Path) -> None:
    """Asked of the Python that the peers run on; one that is not there is a sentence."""
    missing = Installed(Path(sys.executable), tmp_path)
    with pytest.raises(RuntimeError, match=r"^oidc-provider is not installed: "):
        missing.versions("oidc-provider")
    package = tmp_path / "node_modules" / "oidc-provider" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "9.9.9"}', encoding="utf-8")
    assert missing.versions("oidc-provider").keys() == {"oidc-provider", "Node"}


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
