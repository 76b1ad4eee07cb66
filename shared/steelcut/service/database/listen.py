"""LISTEN: hear at once what another process changed, and know when something may have been missed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from steelcut.service.background import beside
from steelcut.service.database.hosts import NOT_THERE, connect_to_one

if TYPE_CHECKING:
    from steelcut.service.telemetry.logs import Logger

CONNECT_SECONDS = 2.0
RETRY_SECONDS = 0.25
MAX_RETRY_SECONDS = 5.0
# A connection that a firewall dropped in silence tells nobody: ask it whether it is still there.
PROBE_SECONDS = 10.0
# Of asyncpg, beside those that say that nobody is there.
_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

Heard = Callable[[str], None]


def listening(
    url: str, channels: Mapping[str, Heard], *, missed: Callable[[], None], log: Logger
) -> contextlib.AbstractAsyncContextManager[None]:
    """Call ``channels[name](payload)`` for every notification, for as long as the block lasts.

    ``missed`` is called at every new connection, the first one included: whatever was cached before it may be
    out of date. While there is no connection nothing is heard; a short maximum age is the backstop then.
    """
    return beside(_listen(url, channels, missed, log))


async def _listen(url: str, channels: Mapping[str, Heard], missed: Callable[[], None], log: Logger) -> None:
    wait = RETRY_SECONDS
    while True:
        try:
            connection = await _begin(url, channels)
        except (*NOT_THERE, *_FAULTS, ValueError) as error:
            # A ValueError is of the URL: it ends the listening as little, for nobody would notice.
            log.warning("not listening to the database, caches age instead", reason=type(error).__name__)
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_SECONDS)
            continue
        wait = RETRY_SECONDS
        try:
            missed()
            await _until_lost(connection)
        except (OSError, TimeoutError, *_FAULTS):
            pass
        finally:
            connection.terminate()


async def _begin(url: str, channels: Mapping[str, Heard]) -> asyncpg.Connection[asyncpg.Record]:
    connection = await connect_to_one(
        url,
        timeout=CONNECT_SECONDS,
        # Whatever the URL asks for: a standby refuses LISTEN.
        target_session_attrs="primary",
        server_settings={"application_name": "steelcut listener"},
    )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            for channel, heard in channels.items():
                await connection.add_listener(channel, _relay(heard))
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _until_lost(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    while not lost.is_set() and not connection.is_closed():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(lost.wait(), PROBE_SECONDS)
        if not lost.is_set():
            await connection.execute("SELECT", timeout=CONNECT_SECONDS)


def _relay(heard: Heard) -> Callable[..., None]:
    def relay(connection: Any, process_id: int, channel: str, payload: object) -> None:  # noqa: ARG001
        heard(str(payload))

    return relay
