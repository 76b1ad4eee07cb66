"""A database that is not as this version needs it: said once, at the start, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from steelcut.errors import TemporarilyUnavailable
from steelcut.service.refusal import Refusal


@contextmanager
def expected_schema(database: str) -> Iterator[None]:
    """Read in the block what must be there; ``database`` is its name in a sentence.

    Raises ``Refusal`` when tables, columns or functions are missing, when the run-time role may not read them, or when
    PostgreSQL went away.
    """
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError):
        raise Refusal(
            f"The {database} database has not the schema of this version: run `steelcut db upgrade`."
        ) from None
    except asyncpg.InsufficientPrivilegeError:
        raise Refusal(
            f"The run-time role may not read the {database} database: run `steelcut db upgrade`."
        ) from None
    except TemporarilyUnavailable:
        raise Refusal("PostgreSQL went away during the start: start again when it is back.") from None
