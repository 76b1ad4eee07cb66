"""Results for a person, and for a program."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure; ``at_most`` is its target, where it has one."""

    subject: str
    figure: str
    value: float
    unit: str = ""
    at_most: float | None = None

    @property
    def missed(self) -> bool:
        """Whether it has a target and misses it."""
        return self.at_most is not None and self.value > self.at_most

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is None:
            return ""
        return f"at most {self.at_most:g} {self.unit}: {'MISSED' if self.missed else 'met'}"


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for heading in ("of", "figure"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    table.add_column("target")
    for row in rows:
        number = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.3g}"
        table.add_row(row.subject, row.figure, f"{number} {row.unit}".strip(), row.target)
    Console(width=None if os.isatty(1) else 130).print(table)


def machine() -> dict[str, Any]:
    """Describe what it ran on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: version(name) for name in ("steelcut", "uvicorn", "fastapi", "asyncpg", "cryptography")
        },
    }


def document(described: dict[str, Any], parts: dict[str, Sequence[Row]]) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "machine": described,
        "results": {name: [asdict(row) for row in rows] for name, rows in parts.items()},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
