"""Run one service under uvicorn, as ``python -m auth_service`` and ``python -m resource_service`` do."""

from __future__ import annotations

import sys

import stamina
import uvicorn

from steelcut.service.http_protocol import HttpProtocol
from steelcut.service.logs import uvicorn_log_config
from steelcut.service.settings import ConfigurationError, ServingSettings, load

EXIT_CONFIGURATION = 2
KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 10


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
    uvicorn.run(
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
