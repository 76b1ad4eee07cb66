"""What a command says: tables for people, JSON for programs, one sentence when it fails."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from steelcut_cli.errors import Refusal

# Where no terminal says how wide it is, nothing is folded or cut: somebody is going to grep it.
UNBOUNDED_COLUMNS: Final = 100_000

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs, instead of text for people.")]


def examples(*lines: str) -> str:
    """Return the end of a command's help: lines to copy, which typer leaves as they are."""
    return "\b\n[bold]Examples[/bold]\n" + "\n".join(f"  {escape(line)}" for line in lines)


def console() -> Console:
    """Return a console on today's ``sys.stdout``: nothing of the terminal is remembered between commands."""
    return Console(
        width=None if sys.stdout.isatty() else UNBOUNDED_COLUMNS, highlight=False, soft_wrap=True, emoji=False
    )


def json_document(value: Any) -> None:
    """Print ``value`` as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


# Beyond it nobody looks at how the columns fold.
_MANY_ROWS = 1000


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or the sentence ``empty`` when there is no row."""
    cells = [[cell(value) for value in row] for row in rows]
    if not cells:
        print(empty)
    elif len(cells) > _MANY_ROWS:
        _plain_table([list(columns), *cells])
    else:
        grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for column in grid.columns:
            column.overflow = "fold"  # an id that is cut off is of no use
        for row in cells:
            grid.add_row(*map(Text, row))
        console().print(grid, soft_wrap=False)


def _plain_table(rows: Sequence[Sequence[str]]) -> None:
    # rich measures each cell several times: five seconds for the 10,000 lines of a large import.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def facts(members: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in members.items():
        grid.add_row(Text(name), Text(cell(value)))
    console().print(grid, soft_wrap=False)


def cell(value: object) -> str:
    """Return ``value`` as it may be shown on a terminal, where control characters would be commands."""
    text = "" if value is None else str(value)
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let whoever reads what is printed leave, as ``head`` does: the command ends then, with exit code 1 and no word.

    For what is printed while a connection is open, whose loss would be the same kind of error.
    """
    try:
        yield
    except BrokenPipeError:
        # What is still buffered would be tried again at the end of the process, and complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


def sentence(error: Exception) -> str:
    """Return the message of ``error``, which begins in lower case and has no full stop, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def moment(value: datetime | None, none: str = "") -> str:
    """Return a point in time as people read it: UTC, to the second; ``none`` where there is none."""
    return none if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def confirm(question: str, *, yes: bool) -> None:
    """Ask the person at the terminal before something is lost; not with --yes, and not where nobody can answer.

    Raises :class:`Refusal` when they think better of it.
    """
    # On stderr, as everything that is not the result.
    if not yes and sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise Refusal("Nothing was changed.")


def duration(value: timedelta) -> str:
    """Return a length of time as people say it, in its largest unit: 40 s, 5 min, 3 h, 12 d."""
    seconds = max(int(value.total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def complain(sentence: str) -> None:
    """Tell the person at the terminal why the command fails, on stderr."""
    print(f"steelcut: {sentence}", file=sys.stderr)
