"""Whether the services hear of changes at once, which a pooler before PostgreSQL may keep from them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from steelcut.service.database.connecting import connect
from steelcut.service.refusal import Refusal as ServiceRefusal
from steelcut_cli.doctor.environment import is_set
from steelcut_cli.doctor.findings import Finding, failed, ok, warning
from steelcut_cli.doctor.places import DOORS, ask
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from steelcut_cli.connections import Connection
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.places import Door, Views

# A notification that comes at all comes within milliseconds.
WAIT_SECONDS: Final = 1.0


def check(environment: Environment, views: Views) -> Iterator[Finding]:
    """Send each service's database a word, and listen for it where the service does."""
    for door in DOORS:
        view = views.seen.get(door)
        # A standby takes neither LISTEN nor NOTIFY.
        if door.who == "run-time role" and view is not None and not view.read_only:
            yield _hearing(environment, door)


def _hearing(environment: Environment, door: Door) -> Finding:
    name = f"{door.service} changes"
    direct = door.variable.replace("_DATABASE", "_LISTEN_DATABASE")
    used = direct if is_set(direct) else door.variable
    url = environment.urls.get(used)
    if url is None:
        return failed(name, f"{direct} cannot be used: see the configuration above.")
    try:
        hears = ask(url, lambda connection: _hears(connection, environment.urls[door.variable]))
    except Refusal as refusal:
        return failed(name, str(refusal), f"It is {used} that leads there.")
    if hears:
        return ok(name, f"What changes is heard of at once, by {used}.")
    return warning(
        name,
        f"Nothing is heard by {used}: it leads to pgbouncer in transaction mode, or to another server. Changes are"
        f" seen as late as {door.service.upper()}_CACHE_MAX_AGE_SECONDS says.",
        f"Set {direct} to the URL of PostgreSQL itself.",
    )


async def _hears(listener: Connection, url: SecretStr) -> bool:
    heard = asyncio.Event()
    channel = f"steelcut_doctor_{secrets.token_hex(8)}"
    await listener.add_listener(channel, lambda *_: heard.set())
    try:
        # From another session: a pooler hands on to each what comes with the answer to its own statement.
        speaker = await connect(url.get_secret_value())
    except ServiceRefusal as refusal:
        raise Refusal(str(refusal)) from None
    try:
        await speaker.execute("SELECT pg_notify($1, '')", channel, timeout=WAIT_SECONDS)
        async with asyncio.timeout(WAIT_SECONDS):
            await heard.wait()
    except TimeoutError:
        return False
    else:
        return True
    finally:
        with contextlib.suppress(TimeoutError):
            await speaker.close(timeout=WAIT_SECONDS)
