"""The page on scaling multiplies what a recorded run measured, and nothing else."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest

from auth_service.settings import AuthSettings
from benchmarks import page, scaling
from benchmarks.page import ROOT, SCALING
from benchmarks.pairs import Plan
from benchmarks.scaling import Cost, Need
from resource_service.settings import ResourceSettings

RUN = re.compile(r"\[([^]]+\.json)\]\(\.\./benchmarks/results/")
COST = Cost("a", cpu_us=200, database_cpu_us=20, queries=0.004, rows_written=1.0, resident_bytes=90_000_000)


def run_of(*names: str) -> dict[str, Any]:
    """A run that measured these, as far as the page shows it."""
    side = {
        "cpu_us": 200.0,
        "database_cpu_us": 20.0,
        "queries_per_request": 0.004,
        "rows_written_per_request": 1.0,
        "resident_bytes": [88_000_000, 90_000_000],
        # In turns of 2 s, each of which is followed by 0.4 s in which statements are counted, too.
        "windows": [{"load": {"seconds": 10.0}, "statements": {"reads": 24}}] * 2,
    }
    machine: dict[str, Any] = {
        "commit": "abc",
        "processor": "a processor",
        "python": "3.11.7",
        "postgresql": "18.6",
    }
    machine["plan"] = asdict(Plan())
    return {"machine": machine, "in_turns": {name: {"sides": [side]} for name in names}}


def test_the_page_shows_the_run_that_it_names() -> None:
    """A figure that was written by hand, or a run that was recorded anew without `make bench-page`, fails here."""
    shown = page.between_marks(SCALING.read_text(encoding="utf-8"))
    match = RUN.search(shown)
    assert match is not None
    result = orjson.loads((ROOT / "benchmarks" / "results" / match[1]).read_bytes())
    assert scaling.section(result, match[1]) == shown


def test_both_pages_show_the_same_run() -> None:
    """Costs on one page are the costs on the other."""
    pages = [path.read_text(encoding="utf-8") for path in (page.PAGE, SCALING)]
    assert len({RUN.findall(page.between_marks(text))[0] for text in pages}) == 1


@pytest.mark.parametrize(
    ("rate", "workers", "cores", "connections"),
    [(10, 2, 0.002, 22), (3_000, 2, 0.6, 22), (6_001, 3, 1.2002, 33), (100_000, 34, 20.0, 374)],
)
def test_need_of_a_rate(rate: int, workers: int, cores: float, connections: int) -> None:
    """Two workers at least, and no more than are needed to be busy for 60 % of the time."""
    need = Need(COST, rate)
    assert (need.workers, need.connections(10)) == (workers, connections)
    assert need.cores == pytest.approx(cores)


def test_a_line_of_the_needs() -> None:
    """What is multiplied is shown by two digits that count; more were not measured."""
    shown = scaling.section(run_of(*scaling.TOKENS, *scaling.VERIFICATIONS), "run.json")
    assert "| 100,000 | token, client known | 20 | 34 | 3.1 GB | 374 | 102 | 2.0 | 68 | 100,000 |" in shown
    assert "| token, client known | 200 µs | 20 µs | 2.0 per second and worker | 1.00 | 5,000 |" in shown


@pytest.mark.parametrize(
    ("rate", "queries"), [(10, (4, 4)), (3_000, (4, 4)), (100_000, (68, 68))], ids=["10", "3,000", "100,000"]
)
def test_what_is_known_is_read_as_time_goes_by(rate: int, queries: tuple[int, int]) -> None:
    """By each worker, however many requests it answers."""
    assert Need(replace(COST, queries_per_second=2.0), rate).queries == queries


@pytest.mark.parametrize(
    ("rate", "queries"),
    [(10, (10, 10)), (900, (900, 900)), (100_000, (10_000, 100_000))],
    ids=["10", "900", "100,000"],
)
def test_other_clients_are_read_one_by_one_or_together(rate: int, queries: tuple[int, int]) -> None:
    """Each by a query where requests come apart; in busy workers between that and what was measured at full load."""
    assert Need(replace(COST, queries=0.1), rate).queries == queries


def test_a_run_that_lacks_a_part_is_refused() -> None:
    """Rather than to show what is left of it."""
    with pytest.raises(LookupError, match="token-of-many"):
        scaling.section(run_of("token"), "run.json")


def test_pools_are_those_of_the_settings() -> None:
    """The page computes with the defaults that the services have."""
    for settings in (AuthSettings, ResourceSettings):
        assert settings.model_fields["database_pool_size"].default == scaling.POOL
