"""What a database was asked, counted by PostgreSQL itself (pg_stat_statements)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final, Self

import asyncpg

if TYPE_CHECKING:
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres

_READS: Final = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "COPY"})
_FIRST_WORD: Final = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]*)", re.DOTALL)

_COUNTED: Final = """
    SELECT s.query, s.calls, s.rows
      FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
     WHERE d.datname = ANY ($1)
"""


@dataclass(frozen=True)
class Statements:
    """How many statements of each kind: what reads, what writes, and the rest, as BEGIN, COMMIT, SET and RESET."""

    reads: int = 0
    writes: int = 0
    rest: int = 0
    rows_written: int = 0

    @classmethod
    def of(cls, counted: Sequence[tuple[str, int, int]]) -> Self:
        """Sort by kind what was counted: the text of each statement, its calls, its rows."""
        reads = writes = rest = rows_written = 0
        for text, calls, rows in counted:
            word = _first_word(text)
            if word in _READS:
                reads += calls
            elif word in _WRITES:
                writes += calls
                rows_written += rows
            else:
                rest += calls
        return cls(reads, writes, rest, rows_written)

    def since(self, earlier: Statements) -> Statements:
        """Return what came after an earlier count."""
        return Statements(
            self.reads - earlier.reads,
            self.writes - earlier.writes,
            self.rest - earlier.rest,
            self.rows_written - earlier.rows_written,
        )

    @classmethod
    def together(cls, parts: Sequence[Statements]) -> Statements:
        """Return how many there were in all of ``parts``."""
        return cls(*(sum(kinds) for kinds in zip(*map(astuple, parts), strict=True)))


def _first_word(text: str) -> str:
    match = _FIRST_WORD.match(text)
    return match[1].upper() if match else ""


@dataclass(frozen=True)
class CountedDatabases:
    """Databases of a server whose statements are counted; ``pid`` is the server's first process."""

    pid: int
    dsn: str
    names: Sequence[str]

    async def statements(self) -> Statements:
        """Return what they were asked so far."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(_COUNTED, list(self.names))
        finally:
            await connection.close()
        return Statements.of([(row["query"], row["calls"], row["rows"]) for row in rows])


async def count_statements(postgres: EmbeddedPostgres) -> None:
    """Have this server count statements from now on; it is started anew for it."""
    await _execute(postgres, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    await asyncio.to_thread(postgres.stop)
    # In this thread, which lives as long as the server shall.
    postgres.start()
    await _execute(postgres, "CREATE EXTENSION pg_stat_statements")


def counted(postgres: EmbeddedPostgres, *names: str) -> CountedDatabases:
    """Return the databases ``names`` of a server that counts statements."""
    if postgres.pid is None:
        raise RuntimeError("PostgreSQL does not run")
    return CountedDatabases(postgres.pid, postgres.dsn(), names)


async def _execute(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
