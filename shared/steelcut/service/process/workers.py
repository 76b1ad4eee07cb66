"""One process that serves, or several at one address: what each does at its start, and who looks after them.

With several, the parent only listens for signals and for workers that died; uvicorn's supervisor starts them, replaces
them, and ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any, Final

import stamina
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.lifespan.on import LifespanOn
from uvicorn.supervisors import Multiprocess

from steelcut.service.http.asgi import Application
from steelcut.service.http.ending import Ending
from steelcut.service.process import tls
from steelcut.service.settings import DEFAULT_WAITING, ConfigurationError, ServingSettings, variable_name
from steelcut.service.telemetry.counting import Connections

# A request makes some hundred objects and no cycle: the default of 700 would look for cycles all the time.
GARBAGE_OBJECTS: Final = 20_000
# Connections that are accepted in one turn of the event loop.
ACCEPTED_AT_ONCE: Final = 16


class Start:
    """The start of a process, which SIGINT and SIGTERM end: it imports much, and may wait for its database.

    uvicorn looks at what it was asked only once the start is over.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def begin(self) -> None:
        """Hear the signals, for uvicorn too, which hears them by now: both in the main thread alone."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._end)

    async def finish(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the part of the start that waits; say whether it came to its end. Then the signals are uvicorn's."""
        self._loop = asyncio.get_running_loop()
        starting, told = asyncio.create_task(work), asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            for number, handler in self._before.items():
                signal.signal(number, handler)
        return starting.done()

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._loop is None:
            sys.exit()
        self._before[number](number, frame)
        self._loop.call_soon_threadsafe(self._told.set)


class WorkerConfig(uvicorn.Config):
    """uvicorn's configuration, which it hands to every worker: also how each of them begins, and what it can take."""

    def __init__(
        self,
        *arguments: Any,
        settings: Any,
        max_waiting_requests: int = DEFAULT_WAITING,
        drain_seconds: float = 0,
        **options: Any,
    ) -> None:
        """Take what uvicorn takes, and what else a worker must know: it reads no environment.

        ``settings`` are what the application is made of. ``max_waiting_requests`` may wait for one process, which
        serves for ``drain_seconds`` after SIGTERM.
        """
        super().__init__(*arguments, **options)
        self.settings = settings
        self.max_waiting_requests = max_waiting_requests
        self.ending = Ending(drain_seconds)
        self.counted_connections = Connections()
        self.start = Start()

    def load(self) -> None:
        """Load the application, to be started by ``WorkerLifespan``."""
        self.start.begin()
        # The log says once what the wait for the database came to; a line for each try would be noise.
        stamina.instrumentation.set_on_retry_hooks(())
        try:
            super().load()
        except ConfigurationError as error:
            # The files of a certificate are no longer what they were when the parent looked; where, it says itself.
            logging.getLogger("uvicorn.error").error("%s", error)  # noqa: TRY400
            sys.exit(STARTUP_FAILURE)
        self.lifespan_class = WorkerLifespan

    def load_app(self) -> Any:
        """Import what makes the application, to be called without arguments.

        A worker is sent its settings through the pipe by which it is started, where no other process sees them.
        """
        return functools.partial(super().load_app(), self.settings)


class WorkerLifespan(LifespanOn):
    """The start of an application in a process that is there for nothing else."""

    async def startup(self) -> None:
        """Start the application; then settle what the garbage collector is to look at."""
        end_with_parent()
        config: WorkerConfig = self.config  # type: ignore[assignment] # it was made by one
        if isinstance(config.loaded_app, Application):
            config.loaded_app.watch.connections = config.counted_connections
        if not await config.start.finish(super().startup()):
            self.startup_failed = True
            # What is begun is cancelled, and closes what it has open, at the end of the event loop.
            sys.exit()
        if not self.should_exit:
            config.loaded_app.state.ending = config.ending
            config.ending.tell_first()
            if isinstance(config.ssl_context_factory, tls.Tls) and config.ssl is not None:
                # Ends with the event loop, which cancels what still runs.
                renewing = config.ssl_context_factory.renewing(config.ssl, tls.RENEWAL_SECONDS)
                self._renewing = asyncio.create_task(renewing)
        gc.collect()
        # All that lives until the end: looking through it again and again took time, in pauses.
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS, 20, 20)

    async def send(self, message: Any) -> None:
        """Take what the application says of itself; of a start that was broken off there is nothing to say."""
        if not self.startup_failed:
            await super().send(message)


class WorkerServer(uvicorn.Server):
    """A server that accepts several connections in each turn of the event loop, where uvloop accepts one of a socket.

    Under load a turn is long, and whoever connects, a probe of the orchestrator too, waits behind all who came before:
    one after the other, turn by turn.
    """

    config: WorkerConfig

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, by so many sockets that are one and the same to the kernel."""
        try:
            await super().startup(sockets)
            if any(listener.fileno() < 0 for listener in sockets or ()):
                # uvloop closes a socket on which it cannot listen, and tells nobody.
                raise OSError(errno.EADDRINUSE, "nobody listens")  # noqa: TRY301 - as asyncio does
        except OSError as error:
            # Of two that were started at once, both bind and one listens.
            logging.getLogger("uvicorn.error").error("%s", why_not_bound(self.config.settings, error))  # noqa: TRY400
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        # Which uvicorn does only for what it has bound itself.
        self._log_started_message(sockets or [])
        loop = asyncio.get_running_loop()
        first = [listener for server in self.servers for listener in server.sockets]
        for listener in first * (ACCEPTED_AT_ONCE - 1):
            again = socket.socket(fileno=os.dup(listener.fileno()))
            self.servers.append(
                await loop.create_server(
                    self._connected, sock=again, ssl=self.config.ssl, backlog=self.config.backlog
                )
            )

    def _connected(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        connection: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return connection


class Supervisor(Multiprocess):
    """The parent of several workers."""

    def init_processes(self) -> None:
        """Start the workers. Of Ctrl-C they hear by this process alone: at first they would end in tracebacks."""
        # Its start would unblock the signal again.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        super().init_processes()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def end_with_parent() -> None:
    """End this process, in good order, when the one that supervises it is gone without a word (kill -9)."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="waits for the parent", daemon=True).start()


def take_open_files() -> None:
    """Take as many open files as this process may have: a shell often leaves it 1,024, each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Not to be had is no reason not to serve.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bind(settings: ServingSettings, *, only_ipv6: bool) -> list[socket.socket]:
    """Take the port on every address of the host, to be listened on later: until then callers are refused.

    Exits with ``STARTUP_FAILURE`` and a sentence that names the settings when it cannot be had. An IPv6 address takes
    IPv4 too, unless ``only_ipv6``.
    """
    listeners: list[socket.socket] = []
    try:
        places = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(places):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
            listener.bind(address)
    except (OSError, UnicodeError) as error:
        for listener in listeners:
            listener.close()
        logging.getLogger("uvicorn.error").error("%s", why_not_bound(settings, error))  # noqa: TRY400
        sys.exit(STARTUP_FAILURE)
    return listeners


def why_not_bound(settings: ServingSettings, error: OSError | UnicodeError) -> str:
    """Return a sentence that names the settings by which the port of a service cannot be had."""
    host, port = (
        f"{variable_name(type(settings), name)} {getattr(settings, name)}" for name in ("host", "port")
    )
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"{host} is no address of this machine, and no name of one."
    if error.errno == errno.EADDRINUSE:
        return f"{port} on {host} is taken: end the process that has it, or set another one."
    return f"{port} on {host} cannot be had: {os.strerror(error.errno or 0)}."


def serve(config: WorkerConfig) -> None:
    """Serve until a signal ends it. Exits with ``STARTUP_FAILURE`` (3) when the application does not start."""
    take_open_files()
    # Before anything is begun that would have to be ended.
    listeners = bind(config.settings, only_ipv6=config.workers == 1)
    if config.workers > 1:
        address, port = listeners[0].getsockname()[:2]
        logging.getLogger("uvicorn.error").info(
            "%d processes serve at port %d of %s", config.workers, port, address
        )
        supervisor = Supervisor(config, sockets=listeners)
        supervisor.run()
        # It ends by itself only where a worker could not start.
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            sys.exit(STARTUP_FAILURE)
        return
    # uvicorn raises the signal that ended it once more: to be asked to end, and to do it, is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    config.load_app()
    server = WorkerServer(config)
    # Of an interrupt nobody wants a traceback.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(listeners)
    if not server.started:
        sys.exit(STARTUP_FAILURE)
