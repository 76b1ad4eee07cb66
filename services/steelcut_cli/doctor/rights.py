"""What each role may do and must not: read from the statements that give the rights, so that neither can differ.

``steelcut db upgrade`` executes the same statements (``GRANTS``, ``ADMIN_GRANTS`` of each service's migrations).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from steelcut_cli.connections import Connection

_GRANT: Final = re.compile(
    r"GRANT (?P<privileges>.+?) ON (?P<function>FUNCTION )?(?P<objects>.+) TO \{role\}"
)
_PRIVILEGE: Final = re.compile(r"([A-Z]+)(?: \(([^)]*)\))?")
_CHANGES: Final = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")

# What is not there is a matter of the schema: `to_regclass` is NULL then, and so is the answer.
_LACKING_ON_TABLES = """
    SELECT privilege || ' on ' || object AS missing
      FROM unnest($1::text[], $2::text[]) AS needed (privilege, object)
     WHERE NOT has_table_privilege(to_regclass(object), privilege)
"""
_LACKING_ON_COLUMNS = """
    SELECT privilege || ' on ' || object || '.' || attname AS missing
      FROM unnest($1::text[], $2::text[], $3::text[]) AS needed (privilege, object, name)
      JOIN pg_attribute ON attrelid = to_regclass(object) AND attname = name
     WHERE NOT has_column_privilege(attrelid, attnum, privilege)
"""
_LACKING_ON_FUNCTIONS = """
    SELECT privilege || ' on ' || object AS missing
      FROM unnest($1::text[], $2::text[]) AS needed (privilege, object)
     WHERE NOT has_function_privilege(to_regprocedure(object), privilege)
"""
_HELD = """
    SELECT privilege, relname
      FROM pg_class, unnest($1::text[]) AS privilege
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
       AND has_table_privilege(oid, privilege)
     ORDER BY relname, privilege
"""


@dataclass(frozen=True, slots=True)
class Right:
    """One privilege on one table, on one of its columns, or on a function."""

    privilege: str
    object_name: str
    column: str | None = None
    is_function: bool = False


def needed(package: str, name: str) -> tuple[Right, ...]:
    """Return the rights that the statements ``name`` of a service's migrations give. None of them is skipped."""
    statements: tuple[str, ...] = getattr(import_module(package), name)
    return tuple(right for statement in statements for right in parse(statement))


def parse(statement: str) -> Iterable[Right]:
    """Return the rights in one ``GRANT``. Raises ``ValueError`` for what is none."""
    found = _GRANT.fullmatch(statement)
    if found is None:
        raise ValueError(f"not a GRANT as they are written here: {statement}")
    if found["function"]:
        return [Right(found["privileges"], found["objects"], is_function=True)]
    return [
        Right(privilege, object_name.strip(), column.strip() or None)
        for privilege, columns in _PRIVILEGE.findall(found["privileges"])
        for object_name in found["objects"].split(",")
        for column in columns.split(",")
    ]


async def lacking(connection: Connection, rights: Iterable[Right]) -> tuple[str, ...]:
    """Return which of ``rights`` the role of this connection does not have, as text."""
    functions = [right for right in rights if right.is_function]
    columns = [right for right in rights if right.column is not None]
    tables = [right for right in rights if right.column is None and not right.is_function]
    rows = [
        *await connection.fetch(_LACKING_ON_TABLES, *_columns(tables)),
        *await connection.fetch(_LACKING_ON_COLUMNS, *_columns(columns), [right.column for right in columns]),
        *await connection.fetch(_LACKING_ON_FUNCTIONS, *_columns(functions)),
    ]
    return tuple(row["missing"] for row in rows)


async def beyond(connection: Connection, rights: Iterable[Right]) -> tuple[str, ...]:
    """Return what the role of this connection may change though ``rights`` do not say so, as text."""
    given = {(right.privilege, right.object_name) for right in rights if right.column is None}
    rows = await connection.fetch(_HELD, _CHANGES)
    return tuple(
        f"{row['privilege']} on {row['relname']}"
        for row in rows
        if (row["privilege"], row["relname"]) not in given
    )


def _columns(rights: list[Right]) -> tuple[list[str], list[str]]:
    return [right.privilege for right in rights], [right.object_name for right in rights]
