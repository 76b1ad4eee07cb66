"""Run one service under uvicorn, as ``python -m auth_service`` and ``python -m resource_service`` do."""

from __future__ import annotations

import contextlib
import gc
import socket
import sys

import stamina
import uvicorn

from steelcut.service.http_protocol import HttpProtocol
from steelcut.service.logs import uvicorn_log_config
from steelcut.service.settings import ConfigurationError, ServingSettings, load

EXIT_CONFIGURATION = 2
KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 10
# As uvicorn exits.
EXIT_NOT_STARTED = 3
GARBAGE_OBJECTS = 20_000


def run(service: str, factory: str, settings_class: type[ServingSettings]) -> None:
    """Serve the application that ``factory`` (``module:function``) makes, until a signal ends it.

    Exits with 2 and a sentence for each mistake when the environment cannot be used, and with 3 when the
    application refuses to start.
    """
    try:
        settings = load(settings_class)
    except ConfigurationError as error:
        sys.stderr.writelines(f"{service}: {sentence}\n" for sentence in error.sentences)
        sys.exit(EXIT_CONFIGURATION)
    # The log says once what the wait for the database came to; a line for each try would be noise.
    stamina.instrumentation.set_on_retry_hooks(())
    config = uvicorn.Config(
        factory,
        factory=True,
        http=HttpProtocol,
        ws="none",
        host=settings.host,
        port=settings.port,
        log_config=uvicorn_log_config(service, settings.log_format),
        # One line per request comes from our own boundary, with the trace id and the reason.
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    config.load_app()
    server = Server(config)
    # What uvicorn.run does; a signal is raised again at the end, so that the exit status tells of it.
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(EXIT_NOT_STARTED)


class Server(uvicorn.Server):
    """uvicorn's server in a process that is there for nothing else."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and settle what the garbage collector is to look at."""
        await super().startup(sockets)
        gc.collect()
        # All that lives until the end: looking through it again and again took a tenth of the time, in pauses.
        gc.freeze()
        # A request makes some hundred objects and no cycle: the default of 700 would look for cycles all the time.
        gc.set_threshold(GARBAGE_OBJECTS, 20, 20)
