"""Run all of it, or what ``--only`` names: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import cores, counting, imports, library, slow_hashes, throughput
from benchmarks.command import FAULTS, at_least_one, say, sentence, to_its_end, writable, write
from benchmarks.pairs import Bench, Plan
from benchmarks.processes import fleet
from benchmarks.steelcut_system import steelcut
from benchmarks.table import Row, document, machine, show, show_sides
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Templates
from tools.programs import find

# From here on others disturb more than what ratios within one run even out.
BUSY_CORES: Final = 0.1
QUICK: Final = Plan(pairs=2, seconds=1, warm_up_seconds=1)


@dataclass
class Results:
    """What was measured so far, and the file that keeps it, if any."""

    file: Path | None = None
    parts: dict[str, Sequence[Row]] = field(default_factory=dict)
    in_turns: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)

    async def take(self, title: str, figures: AsyncIterator[Row]) -> None:
        """Take a part and show it."""
        self.parts[title] = [row async for row in figures]
        self.keep()
        show(title, self.parts[title])

    def keep(self, *, whole: bool = False) -> None:
        """Write it, so that whatever happens to the rest does not lose it."""
        write(self.file, document(self.machine, self.parts, self.in_turns), whole=whole)

    @property
    def missed(self) -> list[Row]:
        """The figures that miss their targets."""
        return [row for rows in self.parts.values() for row in rows if row.missed]


async def _slow_hashes(results: Results, postgres: EmbeddedPostgres, templates: Templates) -> None:  # noqa: ARG001
    async with fleet(await templates.clone()) as running:
        await results.take("Secrets from other servers, one connection", slow_hashes.measure(running))


async def _counting(results: Results, postgres: EmbeddedPostgres, templates: Templates) -> None:
    figures = counting.measure(postgres, await templates.clone())
    await results.take("Costs of a request besides time", figures)


async def _library(results: Results, postgres: EmbeddedPostgres, templates: Templates) -> None:  # noqa: ARG001
    await results.take("Callers and guards, in one process", library.measure())


async def _imports(results: Results, postgres: EmbeddedPostgres, templates: Templates) -> None:
    # Beside the cluster, where who PostgreSQL runs as may come in.
    with tempfile.TemporaryDirectory(dir=postgres.directory.parent) as directory:
        await results.take("Imports", imports.measure(templates, Path(directory)))


PARTS: Final = {
    "slow_hashes": _slow_hashes,
    "counting": _counting,
    "library": _library,
    "imports": _imports,
}


async def _in_turns(bench: Bench, names: Sequence[str], results: Results) -> None:
    async with steelcut(bench.wrk) as system:
        results.machine["postgresql"] = await system.postgresql_version()
        async for measured in throughput.measure(bench, system, names):
            title = f"{measured.sides[0].name}: {bench.plan.connections} connections, one worker"
            results.in_turns[measured.name] = measured.figures()
            results.parts[title] = measured.rows()
            results.keep()
            show_sides(title, measured.sides, measured.comparisons)
            if targets := [row for row in measured.rows() if row.target]:
                show("Targets", targets)
            if measured.strangers > BUSY_CORES:
                say(
                    f"Other processes kept {measured.strangers:.1f} cores busy meanwhile: believe the ratio by CPU"
                    " rather than the one of requests, and repeat it on a quiet machine."
                )


def _load(plan: Plan, names: Sequence[str], results: Results) -> None:
    """Measure what needs wrk, with the cores divided."""
    with cores.divided() as division:
        bench = Bench(find("wrk"), division, plan)
        minutes = throughput.duration(bench, names) / 60
        where = division.note if division else cores.NOTHING_PINNED
        say(
            f"{plan.pairs} windows of {plan.seconds} s for each side, by turns of {plan.turns[0]} s,"
            f" about {minutes:.0f} min; {where}."
        )
        results.machine |= {"wrk": bench.wrk.version(), "where": where, "plan": asdict(plan)}
        asyncio.run(_in_turns(bench, names, results))


def _others(names: Sequence[str], results: Results) -> None:
    async def measure(postgres: EmbeddedPostgres) -> None:
        templates = Templates(postgres)
        await asyncio.to_thread(templates.migrate)
        for name in names:
            await PARTS[name](results, postgres, templates)

    with tempfile.TemporaryDirectory() as directory:
        # Under root the server runs as nobody, who must come in.
        Path(directory).chmod(0o755)
        with EmbeddedPostgres(Path(directory) / "postgres") as postgres:
            asyncio.run(measure(postgres))


def _options() -> argparse.Namespace:
    names = [*throughput.MEASUREMENTS, *PARTS]
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Steelcut's benchmarks, as ratios in one run.",
        epilog=f"What can be named: {', '.join(names)}.",
    )
    parser.add_argument(
        "--only", metavar="NAME,…", type=_several(names), default=[], help="measure only these"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two short windows of each, without the other parts"
    )
    parser.add_argument("--pairs", type=at_least_one, default=None, help="windows of each side (5)")
    parser.add_argument("--seconds", type=at_least_one, default=None, help="length of a window (10)")
    parser.add_argument("--json", type=writable, metavar="FILE", help="write the results there, too")
    return parser.parse_args()


def _several(names: Sequence[str]) -> Callable[[str], list[str]]:
    def several(text: str) -> list[str]:
        wanted = text.split(",")
        if unknown := [name for name in wanted if name not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(names)}")
        return wanted

    return several


def main() -> int:
    """Measure, show, and fail when a target is missed or nothing can be measured."""
    options = _options()
    plan = QUICK if options.quick else Plan()
    plan = replace(plan, pairs=options.pairs or plan.pairs, seconds=options.seconds or plan.seconds)
    loads = [name for name in throughput.MEASUREMENTS if name in options.only or not options.only]
    parts = [name for name in PARTS if name in options.only or not (options.only or options.quick)]
    results = Results(options.json)
    fault = None
    try:
        if loads:
            _load(plan, loads, results)
        if parts:
            _others(parts, results)
        results.keep(whole=True)
    except FAULTS as error:
        fault = error
    for row in results.missed:
        say(f"Missed: {row.subject}, {row.figure}: {row.value:.3g} {row.unit}, {row.target}.")
    if fault is not None:
        say(sentence(fault))
    return 1 if results.missed or fault is not None else 0


if __name__ == "__main__":
    warnings.simplefilter("error", ResourceWarning)
    sys.exit(to_its_end(main))
