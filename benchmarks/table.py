"""Results for a person, and for a program."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.pairs import Comparison, Side

_ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = (
    "steelcut",
    "uvicorn",
    "uvloop",
    "httptools",
    "fastapi",
    "asyncpg",
    "cryptography",
    "pyjwt",
)


@dataclass(frozen=True)
class Row:
    """One figure; ``at_most`` or ``at_least`` is its target, where it has one.

    Of a figure that is known to within ``give_or_take``, a target is missed when no value within that meets it.
    """

    subject: str
    figure: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    give_or_take: float = 0.0

    @property
    def missed(self) -> bool:
        """Whether it has a target and misses it."""
        # Asked so that what is no number meets nothing.
        enough = self.at_least is None or self.value + self.give_or_take >= self.at_least
        return not enough or not (self.at_most is None or self.value - self.give_or_take <= self.at_most)

    @property
    def target(self) -> str:
        """The target in words."""
        bounds = {"at most": self.at_most, "at least": self.at_least}
        met = "MISSED" if self.missed else "met"
        for words, bound in bounds.items():
            if bound is not None:
                within = f", give or take {self.give_or_take:.2g}" if self.give_or_take else ""
                return f"{words} {bound:g} {self.unit}".rstrip() + f"{within}: {met}"
        return ""


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    table = _table(title, ("of", "figure"), ("value",))
    table.add_column("target")
    for row in rows:
        number = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.3g}"
        table.add_row(row.subject, row.figure, f"{number} {row.unit}".strip(), row.target)
    _print(table)


def show_sides(title: str, sides: Sequence[Side], comparisons: Sequence[Comparison]) -> None:
    """Print what was seen of each side, and the ratios of the first to the others: median, lowest and highest."""
    numbers = ("per second", "ratio", "by CPU", "p50 ms", "p99 ms", "CPU µs", "PostgreSQL µs", "MB/s")
    table = _table(title, ("",), (*numbers, "queries", "rows written", "memory MB", "failed"))
    ratios = [("", ""), *(_ratios(comparison) for comparison in comparisons)]
    for side, ratio in zip(sides, ratios, strict=True):
        before, after = (octets / 1e6 for octets in side.resident_bytes)
        table.add_row(
            side.name,
            f"{side.per_second:,.0f}",
            *ratio,
            f"{1000 * side.median(lambda window: window.load.p50):.2f}",
            f"{1000 * side.median(lambda window: window.load.p99):.2f}",
            f"{side.cpu_us:.0f}",
            f"{side.database_cpu_us:.0f}",
            f"{side.megabytes_per_second:.1f}",
            f"{side.per_request(lambda statements: statements.reads):.2f}",
            f"{side.per_request(lambda statements: statements.rows_written):.2f}",
            f"{before:.0f} → {after:.0f}",
            str(side.failed),
        )
    _print(table)


def _ratios(comparison: Comparison) -> tuple[str, str]:
    lowest, highest = min(comparison.ratios), max(comparison.ratios)
    return f"{comparison.ratio:.2f} ({lowest:.2f}-{highest:.2f})", f"{comparison.cpu_ratio:.2f}"


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in words:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _print(table: Table) -> None:
    Console(width=None if os.isatty(1) else 170).print(table)


def machine() -> dict[str, Any]:
    """Describe what it ran on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def document(
    described: Mapping[str, Any], parts: Mapping[str, Sequence[Row]], in_turns: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything as JSON values; ``in_turns`` are the figures of each measurement by wrk, under its name."""
    return {
        "machine": described,
        "results": {name: [asdict(row) for row in rows] for name, rows in parts.items()},
        "in_turns": in_turns,
    }


def _commit() -> str:
    """Return the commit that is measured, with a mark when files differ from it; nothing where there is no Git."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
