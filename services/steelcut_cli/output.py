"""What a command says: tables for people, JSON for programs, one sentence when it fails."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TextIO, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from steelcut_cli.errors import ReaderLeft, Refusal, Unwritable

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
    print(json_text(value, indent=2, default=_plain))


def json_text(value: Any, *, default: Callable[[object], str], indent: int | None = None) -> str:
    """Return ``value`` as JSON, with the escapes of JSON for letters that the output has not."""
    has_all = codecs.lookup(sys.stdout.encoding).name == "utf-8"
    return json.dumps(value, indent=indent, ensure_ascii=not has_all, default=default)


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


class _Watched:
    """A standard output whose faults are told as what they are, wherever in a command they come up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _told():
            return self._stream.write(text)

    def flush(self) -> None:
        with _told():
            self._stream.flush()

    def octets(self, body: bytes) -> None:
        with _told():
            self._stream.flush()
            self._stream.buffer.write(body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is still buffered would be tried again at the end of the process, and complained about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise ReaderLeft from None
        raise Unwritable(f"The output cannot be written: {error.strerror}.") from None


def watch() -> None:
    """Have ``sys.stdout`` raise :class:`Unwritable` from now on where it would raise ``OSError``."""
    if sys.stdout is None:
        # Closed by who started us; in its place what cannot be written to: else print would be silent about it.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has not every letter is shown as much as it can show.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast("TextIO", _Watched(sys.stdout))


def octets(body: bytes) -> None:
    """Print ``body`` as it is."""
    cast("_Watched", sys.stdout).octets(body)


@contextlib.contextmanager
def shown_once(otherwise: str) -> Iterator[None]:
    """Print what cannot be shown again; the sentence ``otherwise`` says what to do where it cannot be written."""
    try:
        yield
        sys.stdout.flush()
    except Unwritable as error:
        raise type(error)("\n".join(filter(None, [str(error), otherwise]))) from None


def stop_without_reader() -> None:
    """Raise :class:`ReaderLeft` when nobody reads any more what is printed, which else only the next line shows."""
    with contextlib.suppress(io.UnsupportedOperation):
        poll = select.poll()
        poll.register(sys.stdout, 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise ReaderLeft


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
    if yes or not sys.stdin.isatty():
        return
    # On stderr, as everything that is not the result.
    with _interruptible():
        agreed = typer.confirm(question, err=True)
    if not agreed:
        raise Refusal("Nothing was changed.")


def ask_secret(name: str) -> str:
    """Ask the person at the terminal for what nobody may see, on stderr."""
    with _interruptible():
        return str(typer.prompt(name, hide_input=True, err=True))


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except typer.Abort as abort:
        # At a prompt Ctrl-C is to typer what the end of the input is.
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def duration(value: timedelta) -> str:
    """Return a length of time as people say it, in its largest unit: 40 s, 5 min, 3 h, 12 d."""
    seconds = max(int(value.total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def complain(sentence: str) -> None:
    """Tell the person at the terminal why the command fails, on stderr."""
    try:
        print(f"steelcut: {sentence}", file=sys.stderr or io.StringIO(), flush=True)
    except OSError:
        # Where nobody hears it, the exit code says enough. It would be another one if the end of the process found no
        # place, either, for what is still buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
