"""wrk as the source of load: a script in Lua says what each request is, and its ``done`` writes what came of it.

wrk counts an answer as an error when its status is 400 or above, a connection that could not be made, read from or
written to, and a request that got no answer for two seconds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import orjson

from tools.programs import Program

CONNECTIONS: Final = 32
_Name = TypeVar("_Name", int, str)
# How long wrk may take beyond the load itself.
_PATIENCE_SECONDS: Final = 30.0

# Appended to each script. JSON by hand: wrk's Lua has no library for it, and all of it is numbers.
_DONE: Final = """
local threads = {}
function setup(thread) table.insert(threads, thread) end

function done(summary, latency, requests)
   local errors = summary.errors
   local counts = {}
   for _, thread in ipairs(threads) do
      for status, count in pairs(thread:get("statuses") or {}) do
         counts[status] = (counts[status] or 0) + count
      end
   end
   local statuses = {}
   for status, count in pairs(counts) do
      table.insert(statuses, string.format('"%d": %d', status, count))
   end
   local file = assert(io.open(os.getenv("WRK_RESULT"), "w"))
   file:write(string.format(
      '{"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, "longest": %d,'
      .. ' "errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}, "statuses": {%s}}',
      summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99), latency.max,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout, table.concat(statuses, ", ")
   ))
   file:close()
end
"""
# Only where statuses are wanted: with it wrk hands each answer over to Lua, which takes its time.
_COUNT_STATUSES: Final = """
statuses = {}
function response(status) statuses[status] = (statuses[status] or 0) + 1 end
"""


class LoadError(Exception):
    """The load did not go as it had to, and its figures mean nothing; the text is a sentence."""


@dataclass(frozen=True)
class Load:
    """What wrk saw: times in seconds; ``statuses`` only where they were counted."""

    requests: int
    seconds: float
    bytes_read: int
    p50: float
    p99: float
    longest: float
    errors: Mapping[str, int]
    statuses: Mapping[int, int]

    @property
    def failed(self) -> int:
        """How many requests got no answer, or one with a status of 400 or above."""
        return sum(self.errors.values())

    @property
    def per_second(self) -> float:
        """Requests per second, over all connections."""
        return self.requests / self.seconds

    @classmethod
    def together(cls, parts: Sequence[Load]) -> Load:
        """Return the parts of one load as a whole; its p50 and p99 are the medians of theirs."""
        return cls(
            requests=sum(part.requests for part in parts),
            seconds=sum(part.seconds for part in parts),
            bytes_read=sum(part.bytes_read for part in parts),
            p50=statistics.median(part.p50 for part in parts),
            p99=statistics.median(part.p99 for part in parts),
            longest=max(part.longest for part in parts),
            errors=_sum([part.errors for part in parts]),
            statuses=_sum([part.statuses for part in parts]),
        )


def read(result: bytes) -> Load:
    """Read what ``done`` wrote. Raises ``LoadError`` when it wrote nothing of the kind."""
    try:
        values = orjson.loads(result)
        p50, p99, longest = (values[name] / 1e6 for name in ("p50", "p99", "longest"))
        return Load(
            requests=values["requests"],
            seconds=values["microseconds"] / 1e6,
            bytes_read=values["bytes"],
            p50=p50,
            p99=p99,
            longest=longest,
            errors=values["errors"],
            statuses={int(status): count for status, count in values["statuses"].items()},
        )
    except (orjson.JSONDecodeError, LookupError, TypeError) as fault:
        raise LoadError(f"what wrk's script wrote is not a result: {result[:200]!r}") from fault


async def run(
    wrk: Program,
    url: str,
    script: str,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    sent_before: int = 0,
    count_statuses: bool = False,
) -> Load:
    """Load ``url`` for ``seconds``, by one thread of wrk.

    ``script`` gets ``sent_before`` as the first argument of its ``init``, so that it can go on where it ended. Raises
    ``LoadError`` when wrk fails; a request that fails is only counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        file = _written(
            Path(folder, "script.lua"), script + (_COUNT_STATUSES if count_statuses else "") + _DONE
        )
        process = await asyncio.create_subprocess_exec(
            *(str(wrk.path), "--threads=1", f"--connections={connections}", f"--duration={_whole(seconds)}s"),
            *(f"--script={file}", url, "--", str(sent_before)),
            env={**os.environ, **wrk.environment, "WRK_RESULT": str(result)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            raise LoadError(f"wrk did not end at {url}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            said = output.decode(errors="replace").strip().splitlines() or ["nothing"]
            raise LoadError(f"wrk failed at {url}, and said: {said[-1]}")
        return _read_from(result)


def _sum(counts: Sequence[Mapping[_Name, int]]) -> Mapping[_Name, int]:
    return {name: sum(each.get(name, 0) for each in counts) for each in counts for name in each}


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def _read_from(result: Path) -> Load:
    try:
        return read(result.read_bytes())
    except FileNotFoundError:
        raise LoadError("wrk ended without a result") from None


def _whole(seconds: float) -> int:
    """Return the duration as wrk takes it."""
    if seconds < 1 or seconds != int(seconds):
        raise LoadError("wrk loads for whole seconds, at least one")
    return int(seconds)
