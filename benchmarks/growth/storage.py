"""What the audit log of the largest size takes on disk, and what it costs to be rid of a month."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from benchmarks.growth.sizes import MONTHS
from steelcut.service.database.connecting import database_of
from tests.support.system import as_owner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.growth.sizes import Grown
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres

_BYTES: Final = """
    SELECT name::text, (SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(name) WHERE isleaf)::bigint AS bytes
      FROM (SELECT 'audit_events'::regclass AS name
             UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = 'audit_events'::regclass) AS relations
     ORDER BY 1
"""
# Of each month, the oldest first.
_ROWS: Final = "SELECT count(*) FROM audit_events GROUP BY tableoid ORDER BY min(at)"


@dataclass(frozen=True)
class Storage:
    """Rows of each month, the oldest first; bytes of the table and of each index, over all months."""

    rows_of_months: Sequence[int]
    bytes_of: Mapping[str, int]
    # Of all months; then of the oldest one, which goes.
    vacuum_seconds: float
    drop_seconds: float


async def measure(postgres: EmbeddedPostgres, system: Grown) -> Storage:
    """Measure it; the oldest month is gone then."""
    databases = system.services.databases
    connection = await asyncpg.connect(postgres.dsn(database_of(databases.auth.owner)))
    try:
        sizes = {str(name): size for name, size in await connection.fetch(_BYTES)}
        months = [count for (count,) in await connection.fetch(_ROWS)]
        begin = time.perf_counter()
        await connection.execute("VACUUM audit_events")
        vacuumed = time.perf_counter() - begin
    finally:
        await connection.close()
    begin = time.perf_counter()
    await as_owner(databases.auth_admin, lambda c: c.execute("SELECT audit_maintain($1)", MONTHS - 1))
    dropped = time.perf_counter() - begin
    return Storage(months, sizes, vacuumed, dropped)
