"""Measure them: ``python -m benchmarks.peers --python PYTHON --node FOLDER [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import cores
from benchmarks.pairs import Bench, Comparison, Plan, Side, Subject, measure_in_turns
from benchmarks.peers.servers import WORK, Installed, peers
from benchmarks.steelcut_system import steelcut
from benchmarks.table import machine, show_sides
from benchmarks.wrk import LoadError
from tools.programs import NotToBeHadError, find

QUICK: Final = Plan(pairs=2, seconds=1, warm_up_seconds=1)
# What hashes a password for each token answers a few in a second: as many callers as it has threads.
_SLOW: Final = frozenset({"django-oauth-toolkit"})
# How many times the tokens of oidc-provider, at least.
OF_OIDC_PROVIDER: Final = 1.5


async def _measure(bench: Bench, installed: Installed) -> list[tuple[str, Side, Comparison]]:
    """Return every peer's side and ours beside it, warm and with many clients."""
    seen: list[tuple[str, Side, Comparison]] = []
    async with steelcut(bench.wrk) as system:
        ours = [system.token(), system.token_of_many()]
        for peer in peers(system, installed):
            try:
                seen += await _beside(bench, peer, ours)
            except (LoadError, RuntimeError) as fault:
                # A peer that cannot be run is left out, and said so.
                sys.stderr.write(f"{peer.name} is left out: {fault}\n")
    return seen


async def _beside(bench: Bench, peer: Subject, ours: list[Subject]) -> list[tuple[str, Side, Comparison]]:
    if peer.name in _SLOW:
        seconds = max(3, bench.plan.seconds)
        # In one turn: what is under way when a turn ends is not counted, and that would be much of a short one.
        bench = replace(bench, plan=replace(bench.plan, connections=2, seconds=seconds, turn_seconds=seconds))
    *sides, theirs = await measure_in_turns(bench, *ours, peer)
    # Theirs as a share of each of ours, for the table that has the first as the measure of the others.
    show_sides(peer.name, [theirs, *sides], [Comparison(theirs, side) for side in sides])
    return [(peer.name, theirs, Comparison(side, theirs)) for side in sides]


def _show(seen: list[tuple[str, Side, Comparison]]) -> None:
    table = Table(title="Tokens of Steelcut beside those of others", title_justify="left")
    for heading in (
        "",
        "Steelcut, as many",
        "by CPU",
        "secret",
        "token",
        "runs on",
        "queries",
        "rows written",
    ):
        table.add_column(heading)
    for name, theirs, comparison in seen:
        work = WORK[name]
        table.add_row(
            f"{name}, beside {comparison.ours.name.removeprefix('POST /token, ')}",
            f"{comparison.ratio:.2f} ×",
            f"{comparison.cpu_ratio:.2f} ×",
            *(work.secret_check, work.token, work.runs_on),
            f"{theirs.per_request(lambda statements: statements.reads):.2f}",
            f"{theirs.per_request(lambda statements: statements.rows_written):.2f}",
        )
    Console(width=200).print(table)


def _figures(seen: list[tuple[str, Side, Comparison]]) -> list[Mapping[str, Any]]:
    return [
        {
            "peer": name,
            "work": asdict(WORK[name]),
            "theirs": theirs.figures(),
            "ours": comparison.ours.figures(),
            "ratios": list(comparison.ratios),
            "median": comparison.ratio,
            "by_cpu": comparison.cpu_ratio,
        }
        for name, theirs, comparison in seen
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-peers", description="The token endpoint beside other people's servers."
    )
    parser.add_argument("--python", type=Path, required=True, help="a Python that finds the peers")
    parser.add_argument("--node", type=Path, required=True, help="the folder of Node's packages")
    parser.add_argument("--quick", action="store_true", help="two short windows of each")
    parser.add_argument("--pairs", type=int, default=None, help="windows of each side (5)")
    parser.add_argument("--seconds", type=int, default=None, help="length of a window (10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    return parser.parse_args()


def main() -> int:
    """Measure and show; fail when ours is not as quick as it is meant to be, or nothing can be measured."""
    options = _options()
    plan = QUICK if options.quick else Plan()
    plan = replace(plan, pairs=options.pairs or plan.pairs, seconds=options.seconds or plan.seconds)
    with cores.divided() as division:
        try:
            bench = Bench(find("wrk"), division, plan)
            seen = asyncio.run(_measure(bench, Installed(options.python, options.node)))
        except (LoadError, NotToBeHadError) as fault:
            sys.stderr.write(f"{fault}.\n")
            return 1
    if not seen:
        sys.stderr.write("No peer could be measured.\n")
        return 1
    _show(seen)
    if options.json:
        described = {
            **machine(),
            "plan": asdict(plan),
            "where": division.note if division else cores.NOTHING_PINNED,
        }
        written = orjson.dumps(
            {"machine": described, "peers": _figures(seen)},
            option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS,
        )
        options.json.write_bytes(written + b"\n")
    missed = [
        comparison
        for name, _, comparison in seen
        if name == "oidc-provider"
        and comparison.ours.name.endswith("one client")
        and comparison.ratio < OF_OIDC_PROVIDER
    ]
    for comparison in missed:
        sys.stderr.write(
            f"Missed: {comparison.ratio:.2f} × the tokens of oidc-provider, at least {OF_OIDC_PROVIDER}.\n"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
