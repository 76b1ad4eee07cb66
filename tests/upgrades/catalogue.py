"""What code of an earlier version relies on in a schema, read from PostgreSQL's catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COLUMNS = """
    SELECT c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS needed,
           a.atthasdef OR a.attidentity <> '' AS filled
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
       AND a.attnum > 0 AND NOT a.attisdropped
"""
# What refuses a row; with the columns that it looks at.
_RULES = """
    SELECT c.relname || ': ' || pg_get_constraintdef(k.oid) AS name,
           ARRAY(SELECT c.relname || '.' || a.attname FROM pg_attribute a
                  WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE c.relnamespace = 'public'::regnamespace AND k.contype <> 'n'
    UNION ALL
    SELECT c.relname || ': ' || regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE UNIQUE INDEX \\S+', 'unique'),
           ARRAY(SELECT c.relname || '.' || a.attname FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]))
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
"""
_OTHERS = """
    SELECT 'function ' || oid::regprocedure || ' returns ' || prorettype::regtype AS name FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger ' || t.tgname || ' of ' || c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
"""


@dataclass(frozen=True)
class Column:
    """A column: its type, whether it must have a value, and whether it gets one by itself."""

    type: str
    needed: bool
    filled: bool


@dataclass(frozen=True)
class Schema:
    """Columns by ``table.column``, the columns that each rule looks at, and the names of functions and triggers."""

    columns: Mapping[str, Column]
    rules: Mapping[str, frozenset[str]]
    others: frozenset[str]


async def read(connection: Any) -> Schema:
    """Read the schema ``public``."""
    columns = await connection.fetch(_COLUMNS)
    rules = await connection.fetch(_RULES)
    others = await connection.fetch(_OTHERS)
    return Schema(
        {row["name"]: Column(row["type"], row["needed"], row["filled"]) for row in columns},
        {row["name"]: frozenset(row["columns"]) for row in rules},
        frozenset(row["name"] for row in others),
    )


def breaches(before: Schema, after: Schema) -> list[str]:
    """Say what of ``after`` would hinder code that was written for ``before``."""
    found = [f"{name} is gone" for name in sorted(before.others - after.others)]
    for name, column in before.columns.items():
        now = after.columns.get(name)
        if now is None:
            found.append(f"{name} is gone")
            continue
        if now.type != column.type:
            found.append(f"{name} was {column.type} and is {now.type}")
        if now.needed and not column.needed:
            found.append(f"{name} must have a value now")
        if column.filled and not now.filled:
            found.append(f"{name} gets no value by itself any more")
    old_tables = {_table(name) for name in before.columns}
    for name, column in after.columns.items():
        is_new = name not in before.columns and _table(name) in old_tables
        if is_new and column.needed and not column.filled:
            found.append(f"{name} is new, and must be given a value")
    for rule, columns in after.rules.items():
        # One that looks at new columns alone is met by their defaults.
        if rule not in before.rules and columns & before.columns.keys():
            found.append(f"a new rule, which old code may break: {rule}")
    return found


def _table(column: str) -> str:
    return column.partition(".")[0]
