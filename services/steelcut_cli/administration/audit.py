"""``steelcut audit``: who did what, and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from steelcut_cli import output
from steelcut_cli.administration import times
from steelcut_cli.administration.pages import PAGE
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from auth_service.administration.audit_search import Follower
    from auth_service.queries.audit_reading import AuditEvent, EventFilter
    from steelcut.service.database.postgres import Connection

app = typer.Typer(
    no_args_is_help=True, help="The audit log: who did what and when, and who got a token or was refused."
)

POLL_SECONDS: Final = 0.5
EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
SUCCESS: Final = frozenset({"done", "issued"})

JsonLines = Annotated[
    bool, typer.Option("--json-lines", help="Print one JSON object a line, for a log pipeline.")
]


@app.command(
    "search",
    epilog=output.examples(
        "steelcut audit search --client billing --since 7d",
        "steelcut audit search --action 'secret.*' --since 2031-01-01",
        "steelcut audit search --trace 7c0e6c2f5a5e4b0f9a3d1b7c8e9f0a1b",
        "steelcut audit search --outcome invalid_client --since 1h --json-lines",
        "steelcut audit search --all --json-lines > audit.jsonl",
    ),
)
def search(
    client: Annotated[
        str | None, typer.Option("--client", "-c", help="Client id: what it did and what was done to it.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Who did it: client:ID, cli:USER@HOST, rotation:HOST.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(help="What was done, as client.disable or token.*; a * at the end stands for any."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="What it was done to: client, resource, key.")
    ] = None,
    object_id: Annotated[str | None, typer.Option("--id", help="Its client id, name or kid.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="done, issued, or the error that was answered, as invalid_client.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option(help="Trace id of an answer, from its header X-Trace-Id.")
    ] = None,
    since: Annotated[str | None, typer.Option(help=f"First moment, {times.PAST_HELP}.")] = None,
    until: Annotated[str | None, typer.Option(help=f"End, which is not included, {times.PAST_HELP}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="So many.")] = 100,
    everything: Annotated[bool, typer.Option("--all", help="All of them, in the place of --limit.")] = False,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where a search with --limit ended.")
    ] = None,
    as_json_lines: JsonLines = False,
) -> None:
    """Find events, newest first. Reads AUTH_ADMIN_DATABASE_URL."""
    from auth_service.administration.audit_search import search_events
    from auth_service.queries.audit_reading import EventFilter
    from steelcut_cli.connections import administer

    wanted = EventFilter(
        actor=actor,
        action=action,
        object_type=kind,
        object_id=object_id,
        client_id=client,
        outcome=outcome,
        trace_id=trace,
        since=times.past(since),
        until=times.past(until),
    )

    async def show(connection: Connection) -> tuple[int, str | None]:
        shown, cursor = 0, after
        while True:
            page = await search_events(connection, wanted, cursor=cursor, limit=PAGE if everything else limit)
            _print(page.rows, as_json_lines=as_json_lines)
            shown, cursor = shown + len(page.rows), page.next_cursor
            if cursor is None or not everything:
                return shown, cursor

    shown, more = administer(show)
    if not shown and not as_json_lines:
        print("No event is like that." if _is_filtered(wanted) else "There is no event yet.")
    if more:
        output.complain(f"there are more; the next ones: --after {more}")


@app.command(
    "tail",
    epilog=output.examples(
        "steelcut audit tail",
        "steelcut audit tail --lines 50 --follow",
        "steelcut audit tail --follow --json-lines --position audit.position",
    ),
)
def tail(
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=PAGE, help="How many of the last events.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")
    ] = False,
    position: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep in FILE what was printed, and go on there the next time: no event is missed then, and only those"
            " of the last moment before a crash may come twice.",
        ),
    ] = None,
    as_json_lines: JsonLines = False,
) -> None:
    """Show the last events, oldest first, and follow the log until Ctrl-C. Reads AUTH_ADMIN_DATABASE_URL.

    Each event is shown once, as soon as it is committed, also when its moment is long past by then.
    """
    from steelcut_cli.connections import administer

    async def show(connection: Connection) -> None:
        async for event in _followed(connection, lines, position, follow=follow):
            _print([event], as_json_lines=as_json_lines)

    administer(show)


@app.command("maintain", epilog=output.examples("steelcut audit maintain"))
def maintain() -> None:
    """Make the coming months of the log, and drop those beyond AUTH_AUDIT_MONTHS_KEPT.

    Answers kept for repeated requests to the admin API are forgotten after a day.
    For a deployment in which no auth service has AUTH_ADMIN_DATABASE_URL; one that has it does this by itself.
    """
    from auth_service.upkeep import keep_up
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import AuditUpkeepSettings, read

    settings = read(AuditUpkeepSettings)
    months = settings.audit_months_kept
    dropped = with_connection(settings.admin_database_url, lambda connection: keep_up(connection, months))
    print(f"Dropped {', '.join(dropped)}." if dropped else f"Nothing is older than {months} months.")


async def _followed(
    connection: Connection, lines: int, position: Path | None, *, follow: bool
) -> AsyncIterator[AuditEvent]:
    from auth_service.administration.audit_search import Follower
    from auth_service.administration.errors import AdministrationError

    known = _read_position(position)
    if known is None:
        follower, last = await Follower.begin(connection, lines)
        for event in last:
            yield event
    else:
        try:
            follower = await Follower.resume(connection, known)
        except AdministrationError as error:
            raise Refusal(f"{position}: {error}") from None
    while True:
        if follow or known is not None:
            async for event in follower.news(connection):
                yield event
        _keep_position(position, follower)
        if not follow:
            return
        output.stop_without_reader()
        await asyncio.sleep(POLL_SECONDS)


def _read_position(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise Refusal(f"{file} cannot be read as a position in the audit log.") from None


def _keep_position(file: Path | None, follower: Follower) -> None:
    if file is None:
        return
    # First what the position says was printed, then the position, whole or not at all.
    sys.stdout.flush()
    beside = file.with_name(f"{file.name}.new")
    try:
        beside.write_text(f"{follower.position}\n", encoding="ascii")
        beside.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise Refusal(f"{file} cannot be written: {os.strerror(error.errno or 0)}.") from None


def _is_filtered(wanted: EventFilter) -> bool:
    return any(value is not None for value in asdict(wanted).values())


def _print(events: list[AuditEvent], *, as_json_lines: bool) -> None:
    for event in events:
        print(_record(event) if as_json_lines else _line(event), flush=True)


def _record(event: AuditEvent) -> str:
    return output.json_text(asdict(event), default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return str(value)


def _line(event: AuditEvent) -> str:
    """Return one event as a person reads it: when, what, to whom, by whom, and what came of it."""
    words = [
        output.moment(event.at),
        f" {event.action:<15}",
        f"{event.object_type} {event.object_id}".strip(),
    ]
    if event.actor != f"{event.object_type}:{event.object_id}":
        words.append(f"by {event.actor}")
    if event.address:
        words.append(f"from {event.address}")
    if event.outcome not in SUCCESS:
        words.append(f"— {event.outcome}: {event.reason}")
    elif changes := _changes(event.before or {}, event.after or {}):
        words.append(f"— {changes}")
    return output.cell(" ".join(words))


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    changes = []
    for name in before | after:
        old, new = before.get(name), after.get(name)
        if name in before and name in after and old != new:
            changes.append(f"{name}: {_value(old)} → {_value(new)}")
        elif (value := new if name in after else old) not in EMPTY:
            changes.append(f"{name}: {_value(value)}")
    return ", ".join(changes)


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
