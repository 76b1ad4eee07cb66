"""Run one service under uvicorn, as ``python -m auth_service`` and ``python -m resource_service`` do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from steelcut.service.http.protocol import HttpProtocol
from steelcut.service.http.security_headers import security_headers
from steelcut.service.process.environment import wipe
from steelcut.service.process.tls import Tls
from steelcut.service.process.workers import WorkerConfig, serve
from steelcut.service.settings import ConfigurationError, ServingSettings, load, variable_name
from steelcut.service.telemetry.logs import uvicorn_log_config

EXIT_CONFIGURATION = 2
KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 10


def run(
    service: str, factory: str, settings_class: type[ServingSettings], arguments: Sequence[str] | None = None
) -> None:
    """Serve the application that ``factory`` (``module:function``) makes of its settings, until a signal ends it.

    The settings are read here, once for all processes, and their secrets are then wiped from the environment. Exits
    with 2 and a sentence for each mistake when the command line or the environment cannot be used, and with 3 when the
    application refuses to start.
    """
    given = _given(service, settings_class, arguments)
    try:
        settings = load(settings_class, **given)
        tls = Tls.from_settings(settings)
        if tls is not None:
            # Before anything is started: each process reads the files for itself.
            tls()
    except ConfigurationError as error:
        sys.stderr.writelines(f"{service}: {sentence}\n" for sentence in error.sentences)
        sys.exit(EXIT_CONFIGURATION)
    # Before anything is started that would inherit it.
    wipe(settings_class)
    serve(
        WorkerConfig(
            factory,
            factory=True,
            settings=settings,
            http=HttpProtocol,
            ws="none",
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            limit_concurrency=settings.max_connections,
            ssl_context_factory=tls,
            max_waiting_requests=settings.max_waiting_requests,
            drain_seconds=settings.drain_seconds,
            log_config=uvicorn_log_config(service, settings.log_format),
            # One line per request comes from our own boundary, with the trace id and the reason.
            access_log=False,
            server_header=False,
            headers=security_headers(https=settings.is_https),
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )


def _given(
    service: str, settings_class: type[ServingSettings], arguments: Sequence[str] | None
) -> dict[str, str]:
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description="Serve until a signal ends it. Everything else is set by variables: see `steelcut env --table`.",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        help=f"processes that answer at one address; instead of {variable_name(settings_class, 'workers')}",
    )
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
