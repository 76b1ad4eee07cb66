"""Put a recorded run into the manual: the tables of docs/performance.md, with its pictures, and of docs/scaling.md.

Usage: python -m benchmarks.page FILE, where FILE is what ``python -m benchmarks --json FILE`` wrote
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks import picture, scaling

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
SCALING: Final = ROOT / "docs" / "scaling.md"
PICTURES: Final = ROOT / "docs" / "pictures"
_BEGIN: Final = "<!-- bench:begin -->\n"
_END: Final = "<!-- bench:end -->\n"
_HEAD: Final = (
    "| | requests/s | beside | requests/s | ratio | lowest to highest | by CPU | target |"
    " p50, p99 | CPU | PostgreSQL's CPU | queries | memory |\n"
    "| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
)
# Of the core that is its own. Below it a server waited: for wrk, a socket that was full, or a database.
_BUSY: Final = 0.8


class PageError(Exception):
    """The page cannot take the run; the text is a sentence."""


def section(result: Mapping[str, Any], name: str) -> str:
    """Return the table of a run, in Markdown, under a sentence on where it comes from: the file ``name``."""
    machine = result["machine"]
    plan = machine["plan"]
    said = (
        f"Of [{name}](../benchmarks/results/{name}): {machine['at'][:10]}, commit {machine['commit']},"
        f" {machine['cores']} cores of {machine['processor']} ({machine['where']}),"
        f" Python {machine['python']}, PostgreSQL {machine['postgresql']};"
        f" {_pairs(result)} pairs of windows of {plan['seconds']} s, {plan['connections']} connections;"
        f" others kept {_strangers(result):z.2f} cores busy.\n\n"
    )
    lines = "".join(_lines(measured) for measured in result["in_turns"].values())
    return said + _HEAD + lines + "".join(_idle(measured) for measured in result["in_turns"].values())


def _idle(measured: Mapping[str, Any]) -> str:
    """Say of which side requests per second are not what its core can do, since it waited for something else."""
    ours, *others = measured["sides"]
    said = ""
    for side in (ours, *others):
        busy = side["per_second"] * side["cpu_us"] / 1e6
        if busy < _BUSY:
            beside = "" if side is ours else f", beside {ours['name']},"
            said += f"\n{side['name']}{beside} kept its core busy for {100 * busy:.0f} % of the time"
            said += ": compare by CPU there.\n"
    return said


def _lines(measured: Mapping[str, Any]) -> str:
    ours, *others = measured["sides"]
    lines = ""
    for other, ratio in zip(others, measured["ratios"], strict=True):
        cells = [ours["name"], f"{ours['per_second']:,.0f}", other["name"], f"{other['per_second']:,.0f}"]
        cells += [f"**{ratio['median']:.2f}**", f"{min(ratio['pairs']):.2f} to {max(ratio['pairs']):.2f}"]
        cells += [f"{ratio['by_cpu']:.2f}", _target(ratio)]
        cells += [f"{1000 * ours['p50_seconds']:.1f}, {1000 * ours['p99_seconds']:.1f} ms"]
        cells += [f"{ours['cpu_us']:.0f} µs", f"{ours['database_cpu_us']:.0f} µs"]
        cells += [f"{ours['queries_per_request']:.2f}"]
        cells += [" → ".join(f"{octets / 1e6:.0f}" for octets in ours["resident_bytes"]) + " MB"]
        lines += f"| {' | '.join(cells)} |\n"
    return lines


def _pairs(result: Mapping[str, Any]) -> str:
    """Return how many pairs there are of most, and of those whose target needs more."""
    ratios = [ratio for measured in result["in_turns"].values() for ratio in measured["ratios"]]
    return " or ".join(str(number) for number in sorted({len(ratio["pairs"]) for ratio in ratios}))


def _strangers(result: Mapping[str, Any]) -> float:
    sides = [side for measured in result["in_turns"].values() for side in measured["sides"]]
    return float(statistics.median(side["strangers"] for side in sides))


def _target(ratio: Mapping[str, Any]) -> str:
    at_least = ratio["at_least"]
    if at_least is None:
        return ""
    within = "" if ratio["give_or_take"] is None else f" ± {ratio['give_or_take']:.3f}"
    return f"≥ {at_least:.2f}{within}" + (", **missed**" if ratio["missed"] else "")


def replaced(page: str, text: str) -> str:
    """Return ``page`` with ``text`` between its marks. Raises ``PageError`` when it has none."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise PageError(f"The page has no {_BEGIN.strip()} with a {_END.strip()} behind it")
    return f"{before}{begin}{text}{end}{after}"


def between_marks(page: str) -> str:
    """Return what stands between the marks."""
    return page.partition(_BEGIN)[2].partition(_END)[0]


def put(page: Path, table: str) -> None:
    """Write ``table`` into ``page``, between its marks. Raises ``PageError`` when it has none."""
    page.write_text(replaced(page.read_text(encoding="utf-8"), table), encoding="utf-8")


def with_recorded_run(usage: str, command: str, write: Callable[[Mapping[str, Any], str], None]) -> None:
    """Call ``write`` with the run, and the name, of the file on the command line; what fails is a sentence."""
    if len(sys.argv) != 2:
        sys.exit(usage.partition("\n\n")[2])
    file = Path(sys.argv[1])
    try:
        result = orjson.loads(file.read_bytes())
        # What was recorded before had no such mark, and was written at its end only.
        if not result.get("whole", True):
            sys.exit(f"{file} is a run that was broken off.")
        write(result, file.name)
    except (OSError, orjson.JSONDecodeError, PageError) as fault:
        sys.exit(f"{fault}.")
    except LookupError as fault:
        sys.exit(f"{file} is not a whole run of `{command}`: it has no {fault}.")


def _write(result: Mapping[str, Any], name: str) -> None:
    """Write the tables and both pictures."""
    tables = {PAGE: section(result, name), SCALING: scaling.section(result, name)}
    for page, table in tables.items():
        put(page, table)
    for kind in picture.STYLES:
        picture.draw(result, kind, PICTURES / f"performance-{kind}.png")


if __name__ == "__main__":
    with_recorded_run(str(__doc__), "make bench", _write)
