"""Measure all of it: ``python -m benchmarks.growth [--quick] [--tokens N] [--json FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.command import FAULTS, at_least_one, say, sentence, to_its_end, writable, write
from benchmarks.growth import life, operations, sizes, storage
from benchmarks.growth.figures import Timed
from benchmarks.growth.life import Memory
from benchmarks.growth.sizes import Grown, Size
from benchmarks.growth.storage import Storage
from benchmarks.table import Row, machine, show
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Templates
from tests.support.system import as_owner
from tools.programs import Program, find

# Many and short: what disturbs lasts longer than a turn, and then it disturbs all sizes.
TURNS: Final = 181
QUICK_TURNS: Final = 3
TOKENS: Final = 1_000_000
QUICK_TOKENS: Final = 5_000


@dataclass
class Run:
    """What was measured so far, and the file that keeps it, if any."""

    sizes: Sequence[Size]
    file: Path | None = None
    timed: list[Timed] = field(default_factory=list)
    starts: Sequence[Row] = ()
    memory: Memory | None = None
    storage: Storage | None = None
    machine: dict[str, Any] = field(default_factory=machine)

    def missed(self) -> list[Row]:
        """Return the figures that miss their targets."""
        rows = [*self.starts, *(self.memory.rows() if self.memory else ())]
        return [row for row in (*rows, *(row for each in self.timed for row in each.rows())) if row.missed]

    def keep(self, *, whole: bool = False) -> None:
        """Write it, so that whatever happens to the rest does not lose it."""
        write(self.file, self.document(), whole=whole)

    def document(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "machine": self.machine,
            "sizes": [asdict(size) for size in self.sizes],
            "operations": [each.values() for each in self.timed],
            "starts": [asdict(row) for row in self.starts],
            "memory": self.memory and asdict(self.memory),
            "storage": self.storage and asdict(self.storage),
        }


async def _measure(
    run: Run, postgres: EmbeddedPostgres, program: Program, options: argparse.Namespace
) -> None:
    run.machine["postgresql"] = await as_owner(postgres.dsn(), lambda c: c.fetchval("SHOW server_version"))
    systems = [system async for system in _fill(postgres, run.sizes)]
    await sizes.warm(postgres, systems)
    async with operations.serving(systems):
        async for timed in operations.measure(systems, options.turns):
            run.timed.append(timed)
            run.keep()
            show(timed.name, timed.rows())
    run.starts = [row async for row in life.starts(systems)]
    run.keep()
    show("Starts", run.starts)
    with tempfile.TemporaryDirectory() as folder:
        run.memory = await life.memory(program, systems[-1], options.tokens, Path(folder))
    run.keep()
    show("Memory", run.memory.rows())
    run.storage = await storage.measure(postgres, systems[-1])
    say(f"{run.storage}")


async def _fill(postgres: EmbeddedPostgres, wanted: Sequence[Size]) -> AsyncIterator[Grown]:
    templates = Templates(postgres)
    await asyncio.to_thread(templates.migrate)
    for size in wanted:
        begin = time.monotonic()
        yield await sizes.grown(postgres, await templates.clone(), size)
        say(
            f"{size.name}: {size.clients:,} clients, {size.documents:,} documents and {size.events:,} audit events,"
            f" filled in {time.monotonic() - begin:.0f} s."
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-growth", description="Whether anything becomes slower as the system grows."
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, few turns: for a look")
    parser.add_argument("--turns", type=at_least_one, default=None, help=f"turns of each operation ({TURNS})")
    parser.add_argument(
        "--tokens", type=at_least_one, default=None, help=f"tokens of the long load ({TOKENS:,})"
    )
    parser.add_argument("--json", type=writable, metavar="FILE", help="write the results there, too")
    options = parser.parse_args()
    options.turns = options.turns or (QUICK_TURNS if options.quick else TURNS)
    options.tokens = options.tokens or (QUICK_TOKENS if options.quick else TOKENS)
    return options


def main() -> int:
    """Measure and show; fail when a target is missed or nothing can be measured."""
    options = _options()
    run = Run(sizes.QUICK if options.quick else sizes.SIZES, options.json)
    fault = None
    try:
        program = find("wrk")
        run.machine |= {"turns": options.turns, "wrk": program.version()}
        with tempfile.TemporaryDirectory() as directory:
            # Under root the server runs as nobody, who must come in.
            Path(directory).chmod(0o755)
            cache = {"shared_buffers": sizes.SHARED_BUFFERS}
            with EmbeddedPostgres(Path(directory) / "postgres", settings=cache) as postgres:
                asyncio.run(_measure(run, postgres, program, options))
        run.keep(whole=True)
    except FAULTS as error:
        fault = error
    for row in run.missed():
        say(f"Missed: {row.subject}, {row.figure}: {row.value:.3g} {row.unit}, {row.target}.")
    if fault is not None:
        say(sentence(fault))
    return 1 if run.missed() or fault is not None else 0


if __name__ == "__main__":
    sys.exit(to_its_end(main))
