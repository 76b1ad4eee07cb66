"""Measure them: ``python -m benchmarks.peers --python PYTHON --node FOLDER [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import cores
from benchmarks.command import FAULTS, at_least_one, say, sentence, to_its_end, writable, write
from benchmarks.pairs import Bench, Comparison, Plan, Side, Subject, measure_in_turns
from benchmarks.peers.servers import WORK, Installed, peers
from benchmarks.steelcut_system import steelcut
from benchmarks.table import Row, machine, show_sides
from benchmarks.wrk import LoadError
from tools.programs import find

QUICK: Final = Plan(pairs=2, seconds=1, warm_up_seconds=1)
# What hashes a password for each token answers a few in a second: as many callers as it has threads.
_SLOW: Final = frozenset({"django-oauth-toolkit"})
# How many times the tokens of oidc-provider, at least, and by which subject of ours.
JUDGED: Final = "oidc-provider"
OF_OIDC_PROVIDER: Final = 1.5
ONE_CLIENT: Final = "POST /token, one client"


@dataclass(frozen=True)
class Seen:
    """A peer beside ours, once in memory and once with many clients, by a plan and in versions of its own."""

    peer: str
    theirs: Side
    comparison: Comparison
    plan: Plan
    versions: Mapping[str, str]

    @property
    def row(self) -> Row:
        """How many times its tokens ours are, with the target where there is one."""
        ours = self.comparison.ours.name
        judged = self.peer == JUDGED and ours == ONE_CLIENT
        at_least = OF_OIDC_PROVIDER if judged else None
        return Row(ours, f"tokens beside {self.peer}", self.comparison.ratio, "×", at_least=at_least)

    def figures(self) -> Mapping[str, Any]:
        """Return it as JSON values."""
        return {
            "peer": self.peer,
            "versions": self.versions,
            "plan": asdict(self.plan),
            "work": asdict(WORK[self.peer]),
            "theirs": self.theirs.figures(),
            "ours": self.comparison.ours.figures(),
            "ratios": list(self.comparison.ratios),
            "median": self.comparison.ratio,
            "by_cpu": self.comparison.cpu_ratio,
        }


@dataclass
class Run:
    """What was measured so far, the file that keeps it, if any, and who could not be measured, with why."""

    file: Path | None = None
    seen: list[Seen] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)

    def keep(self, *, whole: bool = False) -> None:
        """Write it, so that whatever happens to the rest does not lose it."""
        figures = {
            "machine": self.machine,
            "peers": [each.figures() for each in self.seen],
            "left_out": self.left_out,
        }
        write(self.file, figures, whole=whole)

    def faults(self) -> list[str]:
        """Return what is not as it is meant to be, as sentences. Who was not measured has not met a target either."""
        faults = [f"{peer} is left out: {why}" for peer, why in self.left_out.items()]
        rows = [each.row for each in self.seen]
        faults += [
            f"Missed: {row.subject}, {row.figure}: {row.value:.3g}, {row.target}."
            for row in rows
            if row.missed
        ]
        if not any(row.target for row in rows):
            faults.append(
                f"The target, at least {OF_OIDC_PROVIDER} × the tokens of {JUDGED}, could not be judged."
            )
        return faults


async def _measure(bench: Bench, installed: Installed, run: Run) -> None:
    """Measure ours beside every peer, warm and with many clients."""
    async with steelcut(bench.wrk) as system:
        run.machine["postgresql"] = await system.postgresql_version()
        ours = [system.token(), system.token_of_many()]
        for peer in peers(system, installed):
            try:
                run.seen += await _beside(bench, peer, ours, installed.versions(peer.name))
            except (LoadError, RuntimeError) as fault:
                run.left_out[peer.name] = sentence(fault)
            run.keep()


async def _beside(
    bench: Bench, peer: Subject, ours: list[Subject], versions: Mapping[str, str]
) -> list[Seen]:
    if peer.name in _SLOW:
        seconds = max(3, bench.plan.seconds)
        # In one turn: what is under way when a turn ends is not counted, and that would be much of a short one. The
        # warm-up needs an answer, too.
        warm_up = max(3, bench.plan.warm_up_seconds)
        plan = replace(
            bench.plan, connections=2, seconds=seconds, turn_seconds=seconds, warm_up_seconds=warm_up
        )
        bench = replace(bench, plan=plan)
    *sides, theirs = await measure_in_turns(bench, *ours, peer)
    # Theirs as a share of each of ours, for the table that has the first as the measure of the others.
    show_sides(peer.name, [theirs, *sides], [Comparison(theirs, side) for side in sides])
    return [Seen(peer.name, theirs, Comparison(side, theirs), bench.plan, versions) for side in sides]


def _show(seen: Sequence[Seen]) -> None:
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
    for each in seen:
        work, theirs, comparison = WORK[each.peer], each.theirs, each.comparison
        table.add_row(
            f"{each.peer}, beside {comparison.ours.name.removeprefix('POST /token, ')}",
            f"{comparison.ratio:.2f} ×",
            f"{comparison.cpu_ratio:.2f} ×",
            *(work.secret_check, work.token, work.runs_on),
            f"{theirs.per_request(lambda statements: statements.reads):.2f}",
            f"{theirs.per_request(lambda statements: statements.rows_written):.2f}",
        )
    Console(width=200).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-peers", description="The token endpoint beside other people's servers."
    )
    parser.add_argument("--python", type=Path, required=True, help="a Python that finds the peers")
    parser.add_argument("--node", type=Path, required=True, help="the folder of Node's packages")
    parser.add_argument("--quick", action="store_true", help="two short windows of each")
    parser.add_argument("--pairs", type=at_least_one, default=None, help="windows of each side (5)")
    parser.add_argument("--seconds", type=at_least_one, default=None, help="length of a window (10)")
    parser.add_argument("--json", type=writable, metavar="FILE", help="write the results there, too")
    return parser.parse_args()


def main() -> int:
    """Measure and show; fail when ours is not as quick as it is meant to be, or nothing can be measured."""
    options = _options()
    plan = QUICK if options.quick else Plan()
    plan = replace(plan, pairs=options.pairs or plan.pairs, seconds=options.seconds or plan.seconds)
    run, broken = Run(options.json), list[str]()
    with cores.divided() as division:
        try:
            bench = Bench(find("wrk"), division, plan)
            where = division.note if division else cores.NOTHING_PINNED
            run.machine |= {"wrk": bench.wrk.version(), "where": where, "plan": asdict(plan)}
            asyncio.run(_measure(bench, Installed(options.python, options.node), run))
            run.keep(whole=not run.left_out)
        except FAULTS as fault:
            broken = [sentence(fault)]
    if run.seen:
        _show(run.seen)
    faults = [*broken, *run.faults()]
    for each in faults:
        say(each)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(to_its_end(main))
