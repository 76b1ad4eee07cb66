"""Put a recorded run into docs/growth.md.

Usage: python -m benchmarks.growth.page FILE, where FILE is what ``make bench-growth ARGS='--json FILE'`` wrote
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Final

from benchmarks.page import ROOT, put, with_recorded_run
from benchmarks.pairs import give_or_take

PAGE: Final = ROOT / "docs" / "growth.md"
# For how many audit events the page computes.
MANY: Final = 100_000_000
_SECONDS_OF_A_YEAR: Final = 365.25 * 86_400


def section(result: Mapping[str, Any], name: str) -> str:
    """Return the tables of a run, in Markdown, under a sentence on where it comes from: the file ``name``."""
    machine = result["machine"]
    names = [size["name"] for size in result["sizes"]]
    said = (
        f"Of [{name}](../benchmarks/results/{name}): commit {machine['commit']}, {machine['cores']} cores of"
        f" {machine['processor']}, Python {machine['python']}, PostgreSQL {machine['postgresql']};"
        f" {turns(result['operations'])}.\n\n"
    )
    there = table(
        ("", "clients", "documents", "audit events"),
        (
            [size["name"], *(f"{size[key]:,}" for key in ("clients", "documents", "events"))]
            for size in result["sizes"]
        ),
    )
    timed = table(
        ("p50", *names, f"{names[-1]} beside {names[0]}", "lowest to highest", "target"),
        map(_timed, result["operations"]),
    )
    starts = table(("median of the starts", "", "", "target"), map(_figure, result["starts"]))
    return (
        f"{said}{there}\n{timed}\n{starts}\n{_memory(result['memory']['samples'])}\n"
        f"The audit log of the {names[-1]} system, and {MANY:,} events in as many months, computed from it:\n\n"
        f"{_storage(result['storage'])}"
    )


def turns(operations: Iterable[Mapping[str, Any]]) -> str:
    """Say how often an operation was measured, one that nobody judges less often, and how closely ratios are told."""
    judged = [each["ratios"] for each in operations if each["at_most"] is not None]
    others = [each["ratios"] for each in operations if each["at_most"] is None]
    told = [give_or_take(ratios) for ratios in judged]
    said = (
        f"{len(judged[0])} turns, so that the judged ratios are told to ± {min(told):.2f} to {max(told):.2f}"
    )
    return said + (f"; {len(others[0])} of the lines without a target" if others else "")


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown: the first column words, the others numbers."""
    cells = list(head)
    rows = [cells, ["---", *["--:"] * (len(cells) - 1)], *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _timed(each: Mapping[str, Any]) -> list[str]:
    cells = [each["name"], *(f"{value:.2f} ms" for value in each["p50_ms"].values())]
    spread = f"{min(each['ratios']):.2f} to {max(each['ratios']):.2f}"
    return [*cells, f"**{each['ratio']:.2f}**", spread, _target(each["ratio"], each["at_most"], ".2f")]


def _figure(row: Mapping[str, Any]) -> list[str]:
    shown = f"{row['value']:.2f}" if row["unit"] == "s" else f"{row['value']:.1f}"
    return [
        row["subject"],
        row["figure"],
        f"{shown} {row['unit']}",
        _target(row["value"], row["at_most"], "g"),
    ]


def _target(value: float, at_most: float | None, shape: str) -> str:
    if at_most is None:
        return ""
    return f"≤ {at_most:{shape}}" + ("" if value <= at_most else ", **missed**")


def _memory(samples: Iterable[tuple[int, float]]) -> str:
    return table(
        ("tokens issued", "resident memory"), ([f"{count:,}", f"{value:.1f} MB"] for count, value in samples)
    )


def _storage(measured: Mapping[str, Any]) -> str:
    months, sizes = measured["rows_of_months"], measured["bytes_of"]
    rows, all_of_it, heap = sum(months), sum(sizes.values()), sizes["audit_events"]
    times = MANY / rows
    lines = [
        ["events", f"{rows:,}", f"{MANY:,}"],
        ["tokens a second, all year", *(f"{count / _SECONDS_OF_A_YEAR:.2f}" for count in (rows, MANY))],
        *([f"bytes of an event in `{name}`", *[f"{size / rows:.1f}"] * 2] for name, size in sizes.items()),
        ["bytes of an event, all together", *[f"{all_of_it / rows:.0f}"] * 2],
    ]
    for what, size in (("the table", heap), ("its indexes", all_of_it - heap), ("both", all_of_it)):
        lines.append([what, *(f"{size * n / 1e9:.1f} GB" for n in (1, times))])
    month = statistics.median(months)
    lines += [
        ["months, each a partition", *[str(len(months))] * 2],
        ["events of a month", *(f"{month * n:,.0f}" for n in (1, times))],
        ["a month, with its indexes", *(f"{all_of_it / rows * month * n / 1e9:.2f} GB" for n in (1, times))],
        [
            "a vacuum of all of it, when nothing is new",
            *(f"{measured['vacuum_seconds'] * n:.1f} s" for n in (1, times)),
        ],
        ["to drop the oldest month", f"{measured['drop_seconds']:.2f} s", ""],
    ]
    return table(("", "measured", "computed"), lines)


if __name__ == "__main__":
    with_recorded_run(
        str(__doc__), "make bench-growth", lambda result, name: put(PAGE, section(result, name))
    )
