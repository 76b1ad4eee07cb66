"""Run all of it: ``python -m benchmarks [--json FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson

from benchmarks import counting, imports, library, slow_hashes, throughput
from benchmarks.processes import fleet
from benchmarks.table import Row, document, machine, show
from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.databases import Templates


async def _shown(title: str, figures: AsyncIterator[Row], parts: dict[str, Sequence[Row]]) -> None:
    parts[title] = [row async for row in figures]
    show(title, parts[title])


async def _run(postgres: EmbeddedPostgres, directory: Path) -> dict[str, Sequence[Row]]:
    templates = Templates(postgres)
    await asyncio.to_thread(templates.migrate)
    parts: dict[str, Sequence[Row]] = {}
    async with fleet(await templates.clone()) as running:
        await _shown("Requests, 16 connections, one worker", throughput.measure(running), parts)
        await _shown("Secrets from other servers, one connection", slow_hashes.measure(running), parts)
    await _shown(
        "Costs of a request besides time", counting.measure(postgres, await templates.clone()), parts
    )
    await _shown("Callers and guards, in one process", library.measure(), parts)
    await _shown("Imports", imports.measure(templates, directory), parts)
    return parts


def main() -> int:
    """Measure, show, and fail when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Steelcut's benchmarks, as ratios in one run."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    options = parser.parse_args()
    described = machine()
    with tempfile.TemporaryDirectory() as directory:
        # Under root the server runs as nobody, who must come in.
        Path(directory).chmod(0o755)
        with EmbeddedPostgres(Path(directory) / "postgres") as postgres:
            parts = asyncio.run(_run(postgres, Path(directory)))
    if options.json:
        options.json.write_bytes(orjson.dumps(document(described, parts), option=orjson.OPT_INDENT_2) + b"\n")
    missed = [row for rows in parts.values() for row in rows if row.missed]
    for row in missed:
        sys.stderr.write(f"Missed: {row.subject}, {row.figure}: {row.value:.3g} {row.unit}, {row.target}.\n")
    return 1 if missed else 0


if __name__ == "__main__":
    warnings.simplefilter("error", ResourceWarning)
    sys.exit(main())
