"""How much of everything a rate needs, computed from a recorded run: the tables of docs/scaling.md.

What is measured is what one request costs: processor time of service and database, statements, rows. The rest is
multiplication, and the few assumptions that stand here as constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.pairs import SETTLE_SECONDS, Plan

RATES: Final = (10, 1_000, 100_000)
# A worker that is busy for longer than this share of the time lets requests wait: at 0.6 on average for one and a half
# times as long as they take themselves (M/M/1), at 0.9 for nine times.
BUSY: Final = 0.6
# One may be restarted or replaced while the other serves.
FEWEST_WORKERS: Final = 2
# A worker that is busy for less than this has its requests one by one, and reads each unknown client alone.
SELDOM_BUSY: Final = 0.1
# What a worker opens at most: its pool by default, or made small, and the connection that listens.
POOL: Final = 10
SMALL_POOL: Final = 2
LISTENERS: Final = 1


@dataclass(frozen=True)
class Cost:
    """What one request of a kind costs: processor time in microseconds, and memory of its process after a load.

    ``queries`` are those of a request, at full load. Where its client, token or document is known, none is of a
    request: what there was came as time went by, ``queries_per_second`` of them in one worker.
    """

    name: str
    cpu_us: float
    database_cpu_us: float
    queries: float
    rows_written: float
    resident_bytes: int
    queries_per_second: float | None = None

    @classmethod
    def of(cls, name: str, measured: Mapping[str, Any], plan: Plan, *, known: bool) -> Cost:
        """Take what a run by ``plan`` measured of our side. Raises ``LookupError`` when a figure is missing."""
        ours = measured["sides"][0]
        windows = ours["windows"]
        # They are counted until the service has written its batch of audit events, too.
        seconds = sum(window["load"]["seconds"] + len(plan.turns) * SETTLE_SECONDS for window in windows)
        reads = sum(window["statements"]["reads"] for window in windows)
        return cls(
            name,
            ours["cpu_us"],
            ours["database_cpu_us"],
            ours["queries_per_request"],
            ours["rows_written_per_request"],
            ours["resident_bytes"][-1],
            reads / seconds if known else None,
        )


@dataclass(frozen=True)
class Need:
    """What ``rate`` requests per second of a kind need."""

    cost: Cost
    rate: int

    @property
    def cores(self) -> float:
        """Cores of the service that are busy all the time."""
        return self.rate * self.cost.cpu_us / 1e6

    @property
    def workers(self) -> int:
        """Processes, each on a core, that are busy for the share ``BUSY`` of the time; two at least."""
        return max(FEWEST_WORKERS, math.ceil(self.cores / BUSY))

    @property
    def queries(self) -> tuple[float, float]:
        """Queries per second, the fewest and the most.

        Known clients are read by each worker as time goes by. Of others each is a query, but for those that are missed
        together, as many are in a worker at full load; busy for the share ``BUSY`` it is in between.
        """
        if self.cost.queries_per_second is not None:
            of_workers = self.workers * self.cost.queries_per_second
            return of_workers, of_workers
        one_by_one = self.cores / self.workers < SELDOM_BUSY
        return self.rate * (1 if one_by_one else self.cost.queries), self.rate

    def connections(self, pool: int) -> int:
        """Database connections that the workers open at most."""
        return self.workers * (pool + LISTENERS)

    @property
    def database_cores(self) -> float:
        """Cores of PostgreSQL that are busy all the time."""
        return self.rate * self.cost.database_cpu_us / 1e6

    @property
    def resident_bytes(self) -> int:
        """Memory of all workers."""
        return self.workers * self.cost.resident_bytes


# By the name of the measurement in a run; what it is called on the page.
_UNKNOWN: Final = "token-of-many"
TOKENS: Final = {
    "token": "token, client known",
    _UNKNOWN: "token, another client each time",
}
VERIFICATIONS: Final = {
    "document": "document, same token",
    "document-new-token": "document, new token each time",
    "forward-auth": "`GET /verify`, same token",
}

_COSTS_HEAD: Final = (
    "| Request | CPU | PostgreSQL's CPU | queries | rows written | a core does, per second |\n"
    "| --- | --: | --: | --: | --: | --: |\n"
)
_NEEDS_HEAD: Final = (
    f"| Per second | Request | cores busy | workers | memory | connections, pool of {POOL} | of {SMALL_POOL} |"
    " PostgreSQL's cores | queries/s | rows/s |\n"
    "| --: | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n"
)


def section(result: Mapping[str, Any], name: str) -> str:
    """Return the tables of a run, in Markdown: costs, then needs. Raises ``LookupError`` when the run lacks a part."""
    tokens, verifications = _costs(result, TOKENS), _costs(result, VERIFICATIONS)
    machine = result["machine"]
    said = (
        f"Of [{name}](../benchmarks/results/{name}): commit {machine['commit']}, {machine['processor']},"
        f" Python {machine['python']}, PostgreSQL {machine['postgresql']}.\n\n"
    )
    costs = _COSTS_HEAD + "".join(_cost(cost) for cost in (*tokens, *verifications))
    return (
        f"{said}{costs}\nWhat the auth service needs for tokens:\n\n{_needs(tokens)}"
        f"\nWhat the resource service needs for documents and verifications:\n\n{_needs(verifications)}"
    )


def _costs(result: Mapping[str, Any], names: Mapping[str, str]) -> Sequence[Cost]:
    plan = Plan(**result["machine"]["plan"])
    return [
        Cost.of(shown, result["in_turns"][name], plan, known=name != _UNKNOWN)
        for name, shown in names.items()
    ]


def _cost(cost: Cost) -> str:
    known = cost.queries_per_second is not None
    queries = f"{cost.queries_per_second:.1f} per second and worker" if known else f"{cost.queries:.2f}"
    return (
        f"| {cost.name} | {cost.cpu_us:.0f} µs | {cost.database_cpu_us:.0f} µs | {queries}"
        f" | {cost.rows_written:.2f} | {1e6 / cost.cpu_us:,.0f} |\n"
    )


def _needs(costs: Sequence[Cost]) -> str:
    return _NEEDS_HEAD + "".join(_need(Need(cost, rate)) for rate in RATES for cost in costs)


def _need(need: Need) -> str:
    cells = [f"{need.rate:,}", need.cost.name, _number(need.cores), f"{need.workers:,}"]
    cells += [f"{need.resident_bytes / 1e9:,.1f} GB"]
    cells += [f"{need.connections(POOL):,}", f"{need.connections(SMALL_POOL):,}"]
    cells += [_number(need.database_cores)]
    queries = dict.fromkeys(map(_number, need.queries))
    cells += [" to ".join(queries), _number(need.rate * need.cost.rows_written)]
    return f"| {' | '.join(cells)} |\n"


def _number(value: float) -> str:
    """Return it with two digits that count, as more would say more than was measured."""
    if value < 0.01:
        return "< 0.01" if value else "0"
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{max(0, digits)}f}"
