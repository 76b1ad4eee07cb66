"""Put a recorded run beside the peers into docs/peers.md.

Usage: python -m benchmarks.peers.page FILE, where FILE is what ``make bench-peers ARGS='--json FILE'`` wrote
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.page import ROOT, put, with_recorded_run

PAGE: Final = ROOT / "docs" / "peers.md"
_HEAD: Final = (
    "| | made of | callers | tokens/s | CPU for one | PostgreSQL's CPU | p50, p99 | Steelcut's tokens/s | ratio |"
    " lowest to highest | by CPU | checks the secret | token | queries | rows written |\n"
    "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- | --- | --: | --: |\n"
)
# The names of packages as their projects write them.
_NAMES: Final = {
    "authlib": "Authlib",
    "django": "Django",
    "flask": "Flask",
    "sqlalchemy": "SQLAlchemy",
}


def section(result: Mapping[str, Any], name: str) -> str:
    """Return the tables of a run, in Markdown, under a sentence on where it comes from: the file ``name``."""
    machine = result["machine"]
    plan = machine["plan"]
    text = (
        f"Of [{name}](../benchmarks/results/{name}): {machine['at'][:10]}, commit {machine['commit']},"
        f" {machine['cores']} cores of {machine['processor']} ({machine['where']}){_programs(machine)};"
        f" {plan['pairs']} windows of {plan['seconds']} s of each, in turns.\n"
    )
    for ours in dict.fromkeys(each["ours"]["name"] for each in result["peers"]):
        lines = "".join(_line(each) for each in result["peers"] if each["ours"]["name"] == ours)
        text += f"\nBeside Steelcut's {ours}:\n\n{_HEAD}{lines}"
    return text


def _line(each: Mapping[str, Any]) -> str:
    theirs, work, pairs = each["theirs"], each["work"], each["ratios"]
    # What was recorded first says neither what a peer is made of nor how many asked it.
    made_of = [f"{_NAMES.get(part, part)} {version}" for part, version in each.get("versions", {}).items()]
    callers = str(each["plan"]["connections"]) if "plan" in each else ""
    cells = [
        each["peer"],
        ", ".join(made_of),
        callers,
        f"{theirs['per_second']:,.0f}",
        f"{theirs['cpu_us']:,.0f} µs",
    ]
    cells += [f"{theirs['database_cpu_us']:,.0f} µs"]
    cells += [f"{1000 * theirs['p50_seconds']:.1f}, {1000 * theirs['p99_seconds']:.1f} ms"]
    cells += [f"{each['ours']['per_second']:,.0f}", f"**{as_told(each['median'], pairs)}**"]
    cells += [" to ".join(as_told(end, pairs) for end in (min(pairs), max(pairs)))]
    cells += [as_told(each["by_cpu"], pairs)]
    cells += [work["secret_check"], work["token"]]
    cells += [f"{theirs['queries_per_request']:.1f}", f"{theirs['rows_written_per_request']:.1f}"]
    return f"| {' | '.join(cells)} |\n"


def _programs(machine: Mapping[str, Any]) -> str:
    # Its name and version, without the copyright behind them.
    wrk = " ".join(machine.get("wrk", "").split()[:2])
    postgresql = f"PostgreSQL {machine['postgresql']}" if "postgresql" in machine else ""
    said = [f"Python {machine['python']}", postgresql, wrk]
    return "".join(f", {each}" for each in said if each)


def as_told(ratio: float, pairs: Sequence[float]) -> str:
    """Return it with the digits that its pairs agree on, nearly: what is beyond them another run has otherwise."""
    spread = max(pairs) - min(pairs)
    digits = -math.floor(math.log10(spread)) if spread else 2
    return f"{round(ratio, digits):,.{max(0, digits)}f}"


if __name__ == "__main__":
    with_recorded_run(str(__doc__), "make bench-peers", lambda result, name: put(PAGE, section(result, name)))
