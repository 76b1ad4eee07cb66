"""Put a recorded run beside the peers into docs/peers.md.

Usage: python -m benchmarks.peers.page FILE, where FILE is what ``make bench-peers ARGS='--json FILE'`` wrote
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.page import ROOT, put, with_recorded_run

PAGE: Final = ROOT / "docs" / "peers.md"
_HEAD: Final = (
    "| | tokens/s | CPU for one | PostgreSQL's CPU | p50, p99 | Steelcut's tokens/s | ratio | by CPU |"
    " checks the secret | token | queries | rows written |\n"
    "| --- | --: | --: | --: | --: | --: | --: | --: | --- | --- | --: | --: |\n"
)


def section(result: Mapping[str, Any], name: str) -> str:
    """Return the tables of a run, in Markdown, under a sentence on where it comes from: the file ``name``."""
    machine = result["machine"]
    plan = machine["plan"]
    text = (
        f"Of [{name}](../benchmarks/results/{name}): commit {machine['commit']}, {machine['cores']} cores of"
        f" {machine['processor']}; {plan['pairs']} windows of {plan['seconds']} s of each, in turns.\n"
    )
    for ours in dict.fromkeys(each["ours"]["name"] for each in result["peers"]):
        lines = "".join(_line(each) for each in result["peers"] if each["ours"]["name"] == ours)
        text += f"\nBeside Steelcut's {ours}:\n\n{_HEAD}{lines}"
    return text


def _line(each: Mapping[str, Any]) -> str:
    theirs, work = each["theirs"], each["work"]
    cells = [each["peer"], f"{theirs['per_second']:,.0f}", f"{theirs['cpu_us']:,.0f} µs"]
    cells += [f"{theirs['database_cpu_us']:,.0f} µs"]
    cells += [f"{1000 * theirs['p50_seconds']:.1f}, {1000 * theirs['p99_seconds']:.1f} ms"]
    cells += [f"{each['ours']['per_second']:,.0f}", f"**{each['median']:.1f}**", f"{each['by_cpu']:.1f}"]
    cells += [work["secret_check"], work["token"]]
    cells += [f"{theirs['queries_per_request']:.1f}", f"{theirs['rows_written_per_request']:.1f}"]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    with_recorded_run(str(__doc__), "make bench-peers", lambda result, name: put(PAGE, section(result, name)))
