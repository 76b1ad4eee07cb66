"""The page on performance shows a recorded run, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks import page
from benchmarks.page import PAGE, PICTURES, ROOT, PageError
from benchmarks.picture import STYLES

RUN = re.compile(r"\[([^]]+\.json)\]\(\.\./benchmarks/results/")


def side(name: str, per_second: float) -> dict[str, Any]:
    """What a run says of one side, as far as the page shows it."""
    return {
        "name": name,
        "per_second": per_second,
        "p50_seconds": 0.002,
        "p99_seconds": 0.005,
        "cpu_us": 150.0,
        "database_cpu_us": 20.0,
        "queries_per_request": 0.0,
        "strangers": 0.03,
        "resident_bytes": [88_000_000, 89_000_000],
    }


def run_with(at_least: float | None, *, missed: bool, give_or_take: float | None) -> dict[str, Any]:
    """A run of one pair of subjects."""
    ratio = {
        "beside": "bare",
        "pairs": [0.6, 0.7, 0.8],
        "median": 0.7,
        "by_cpu": 0.72,
        "at_least": at_least,
        "give_or_take": give_or_take,
        "missed": missed,
    }
    return {
        "machine": {
            "at": "2026-11-27T12:05:25+00:00",
            "commit": "abc",
            "where": "the server on core 1",
            "cores": 2,
            "processor": "a processor",
            "python": "3.11.7",
            "postgresql": "18.6",
            "plan": {"pairs": 3, "seconds": 10, "connections": 32},
        },
        "in_turns": {"token": {"sides": [side("ours", 7000), side("bare", 10_000)], "ratios": [ratio]}},
    }


def test_the_page_shows_the_run_that_it_names() -> None:
    """A figure that was written by hand, or a run that was recorded anew without `make bench-page`, fails here."""
    shown = page.between_marks(PAGE.read_text(encoding="utf-8"))
    match = RUN.search(shown)
    assert match is not None
    result = orjson.loads((ROOT / "benchmarks" / "results" / match[1]).read_bytes())
    assert page.section(result, match[1]) == shown


@pytest.mark.parametrize("kind", list(STYLES))
def test_the_page_has_its_pictures(kind: str) -> None:
    """One for light pages and one for dark ones."""
    name = f"performance-{kind}.png"
    assert f"pictures/{name}" in PAGE.read_text(encoding="utf-8")
    assert (PICTURES / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("at_least", "missed", "give_or_take", "cell"),
    [
        (0.75, True, None, "≥ 0.75, **missed**"),
        (0.5, False, None, "≥ 0.50"),
        (0.71, False, 0.015, "≥ 0.71 ± 0.015"),
        (None, False, None, ""),
    ],
    ids=["missed", "met", "met as far as can be told", "none"],
)
def test_a_line_of_the_table(
    at_least: float | None,
    missed: bool,  # noqa: FBT001 - a column of the table
    give_or_take: float | None,
    cell: str,
) -> None:
    """A missed target is as visible as a met one, and what a ratio may be wrong by as the ratio."""
    run = run_with(at_least, missed=missed, give_or_take=give_or_take)
    line = page.section(run, "run.json").splitlines()[4]
    assert line == (
        f"| ours | 7,000 | bare | 10,000 | **0.70** | 0.60 to 0.80 | 0.72 | {cell} | 2.0, 5.0 ms | 150 µs | 20 µs"
        " | 0.00 | 88 → 89 MB |"
    )


@pytest.mark.parametrize(("cpu_us", "busy"), [(100.0, True), (70.0, False)], ids=["busy", "waiting"])
def test_a_core_that_waited_is_named(cpu_us: float, busy: bool) -> None:  # noqa: FBT001 - a column of the table
    """A share of requests per second says nothing of one that could have done more."""
    run = run_with(None, missed=False, give_or_take=None)
    ours, bare = run["in_turns"]["token"]["sides"]
    ours["cpu_us"], bare["cpu_us"] = 140.0, cpu_us
    shown = page.section(run, "run.json")
    assert ("\nbare, beside ours, kept its core busy for 70 % of the time" in shown) is not busy
    assert "\nours kept" not in shown


def test_whether_it_was_pinned_is_said() -> None:
    """And when it was, and of what commit."""
    said = page.section(run_with(None, missed=False, give_or_take=None), "run.json").partition("\n")[0]
    assert ": 2026-11-27, commit abc, 2 cores of a processor (the server on core 1), Python" in said


def test_a_page_without_marks_is_left_alone() -> None:
    """Rather than to lose what stands there."""
    with pytest.raises(PageError, match="page has no <!-- bench:begin -->"):
        page.replaced("# Performance\n", "table")


def test_a_run_that_was_broken_off_is_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it was measured."""
    file = tmp_path / "run.json"
    file.write_bytes(orjson.dumps({"whole": False}))
    monkeypatch.setattr("sys.argv", ["page", str(file)])
    with pytest.raises(SystemExit, match=r"run\.json is a run that was broken off\."):
        page.with_recorded_run("", "make bench", lambda *_: None)
