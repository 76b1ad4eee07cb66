"""``steelcut dev``: the whole system on this machine, shown step by step."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from steelcut_cli import output
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from steelcut_cli.dev.services import Service
    from steelcut_cli.dev.state import Secrets, StateDirectory, Urls

EXAMPLES: Final = output.examples(
    "steelcut dev",
    "steelcut dev --once",
    "steelcut dev --auth-port 9000 --resource-port 9001 --state /tmp/steelcut",
)
AUTH_PORT: Final = 8000
RESOURCE_PORT: Final = 8001
WATCH_SECONDS: Final = 0.2


class Stopped(KeyboardInterrupt):
    """Somebody wants us to end: Ctrl-C, SIGTERM, or a terminal that went away.

    A KeyboardInterrupt, because nothing between here and there takes one for an error that it may swallow.
    """


def dev(
    once: Annotated[bool, typer.Option("--once", help="Walk the flow, stop everything, exit 0.")] = False,
    auth_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the auth service.", show_default="8000, or the next free one"
        ),
    ] = None,
    resource_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the resource service.", show_default="8001, or the next free one"
        ),
    ] = None,
    state: Annotated[
        Path,
        typer.Option(
            "--state", help="Directory for the database, the secrets and the logs; made if need be."
        ),
    ] = Path(".steelcut"),
) -> None:
    """Run the whole system on this machine and show the flow, step by step.

    Starts a PostgreSQL of its own, makes both databases, a signing key, the resource api_v0.0.1, a client and the
    example document; starts both services; walks the flow with real requests. Then it keeps running until Ctrl-C.
    Started again it finds its state: the same client, the same secret, the same key.

    Writes all variables to .steelcut/dev.env, so that every other steelcut command and curl can use the system.
    """
    from steelcut_cli.dev.locking import AlreadyInUse, lock
    from steelcut_cli.dev.state import StateDirectory
    from steelcut_cli.dev.walk import walk

    console = output.console()
    try:
        directory = StateDirectory(state.absolute())
    except FileNotFoundError:
        raise Refusal("The current directory is no longer there: change into another one.") from None
    directory.make()
    try:
        held = lock(directory.lock)
    except AlreadyInUse as error:
        raise Refusal(
            f"{error} Is another `steelcut dev` running? Stop it, or give --state another directory."
        ) from None
    with held, _signals_raise() as stop_if_asked:
        try:
            with _system(console, directory, auth_port, resource_port, stop_if_asked) as (
                urls,
                kept,
                services,
                postgres,
            ):
                walk(console, urls, kept)
                _show_commands(console, directory, stays=not once)
                if not once:
                    console.print("\nBoth services keep running. Ctrl-C stops everything.", style="bold")
                    with contextlib.suppress(Stopped):
                        _watch(services, postgres, stop_if_asked)
        except Stopped:
            raise typer.Exit(130) from None
    console.print("Stopped.")


@contextlib.contextmanager
def _system(
    console: Console,
    directory: StateDirectory,
    auth_port: int | None,
    resource_port: int | None,
    stop_if_asked: Callable[[], None],
) -> Iterator[tuple[Urls, Secrets, list[Service], EmbeddedPostgres]]:
    """Run everything; at the end stop it in order: resource service, auth service, PostgreSQL."""
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from steelcut_cli.dev.services import choose_port, start
    from steelcut_cli.dev.setup import prepare
    from steelcut_cli.dev.state import Urls

    first = choose_port(auth_port, AUTH_PORT, taken=resource_port)
    urls = Urls(first, choose_port(resource_port, RESOURCE_PORT, taken=first))
    for port, wanted, default in (
        (first, auth_port, AUTH_PORT),
        (urls.resource_port, resource_port, RESOURCE_PORT),
    ):
        if wanted is None and port != default:
            console.print(f"Port {default} is busy: using {port}.", style="yellow")
    kept = directory.secrets()
    with contextlib.ExitStack() as stack:
        postgres = EmbeddedPostgres(directory.postgres)
        _say(console, "PostgreSQL", f"starting in {_shown(directory.postgres)}")
        postgres.start()
        stack.callback(postgres.stop)

        def say(what: str, text: str) -> None:
            stop_if_asked()
            _say(console, what, text)

        kept, environments = prepare(say, directory, postgres, kept, urls)
        services = []
        for module in ("auth_service", "resource_service"):
            log = directory.log(module)
            url = urls.issuer if module == "auth_service" else urls.base_url
            say(module.replace("_", " "), f"{url}  (docs: {url}/docs, log: {_shown(log)})")
            service = start(module, url, log, environments[module])
            stack.callback(_stop, service)
            services.append(service)
        for service in services:
            service.wait_until_ready()
            stop_if_asked()
        yield urls, kept, services, postgres


def _stop(service: Service) -> None:
    from steelcut_cli.dev.child_processes import interrupts_held_back

    with interrupts_held_back():
        service.stop()


def _watch(
    services: list[Service], postgres: EmbeddedPostgres, stop_if_asked: Callable[[], None]
) -> NoReturn:
    """Wait for a signal, which raises :class:`Stopped`; raise :class:`Refusal` when a child ends by itself."""
    from steelcut_cli.dev.services import last_line

    while True:
        stop_if_asked()
        for service in services:
            service.check()
        if postgres.pid is None:
            raise Refusal(f"PostgreSQL ended: {last_line(postgres.log)} ({postgres.log})")
        time.sleep(WATCH_SECONDS)


def _show_commands(console: Console, directory: StateDirectory, *, stays: bool) -> None:
    console.print("\nTry it yourself" if stays else "\nTry it yourself, without --once", style="bold")
    console.print(Text(commands(_shown(directory.env_file))), soft_wrap=True)


def commands(env_file: str) -> str:
    """Return lines to copy into a POSIX shell.

    ``printf`` is part of the shell, so neither the secret nor the token ever stands in the list of processes.
    """
    steelcut = "steelcut" if shutil.which("steelcut") else shlex.quote(_shown(Path(sys.argv[0]).absolute()))
    return f"""
  set -a; . {shlex.quote(env_file)}; set +a

  {steelcut} token
  {steelcut} fetch

  TOKEN=$(printf 'user = "%s:%s"\\n' "$STEELCUT_CLIENT_ID" "$STEELCUT_CLIENT_SECRET" |
    curl -sS --config - "$STEELCUT_TOKEN_URL" -d grant_type=client_credentials \\
      --data-urlencode "resource=$STEELCUT_RESOURCE" --data-urlencode "scope=$STEELCUT_SCOPE" |
    sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
  printf 'Authorization: Bearer %s\\n' "$TOKEN" | curl -sS -i -H @- "$STEELCUT_DOCUMENT_URL"
"""


def _say(console: Console, what: str, text: str) -> None:
    console.print(Text.assemble("  ", (f"{what:<18}", "bold"), text), soft_wrap=True)


def _shown(path: Path) -> str:
    """Return ``path`` from here when it is below here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@contextlib.contextmanager
def _signals_raise() -> Iterator[Callable[[], None]]:
    """Turn SIGINT, SIGTERM and SIGHUP into :class:`Stopped`, wherever we are.

    Gives a function that raises it once more: Python drops what a handler raises while it runs a finaliser.
    """
    asked = False

    def stop(_number: int, _frame: object) -> NoReturn:
        nonlocal asked
        asked = True
        raise Stopped

    def stop_if_asked() -> None:
        if asked:
            raise Stopped

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stop_if_asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
