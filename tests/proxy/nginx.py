"""A real nginx that runs ``examples/proxies/nginx.conf``, with nothing changed in it but addresses."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

    from tools.programs import Program

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "proxies" / "nginx.conf"
STOP_SECONDS: Final = 10

# What belongs to the machine: no daemon, no other user, every file in one folder. With a master, because nginx 1.22
# without one crashes on a socket that it inherits.
MAIN: Final = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    include {folder}/site.conf;
}}
"""


def address(listener: socket.socket) -> str:
    """Return ``host:port`` of a bound socket."""
    host, port = listener.getsockname()
    return f"{host}:{port}"


def site(*, front: str, steelcut: str, upstream: str) -> str:
    """Return the example with other addresses."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for written, wanted in (
        ("listen 8080;", f"listen {front};"),
        ("server 127.0.0.1:8001;", f"server {steelcut};"),
        ("server 127.0.0.1:9000;", f"server {upstream};"),
    ):
        assert text.count(written) == 1, written
        text = text.replace(written, wanted)
    return text


@contextlib.contextmanager
def running(program: Program, folder: Path, listener: socket.socket, text: str) -> Iterator[Path]:
    """Run nginx on ``listener`` with the server of ``text``, and give its error log.

    It inherits the socket, so that no port is given up in between and early connections wait in the backlog.
    """
    (folder / "site.conf").write_text(text, encoding="utf-8")
    (folder / "nginx.conf").write_text(
        MAIN.format(folder=folder, user="" if os.getuid() else "user root;"), encoding="utf-8"
    )
    log = folder / "error.log"
    process = subprocess.Popen(
        [str(program.path), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
        env={"PATH": os.environ["PATH"], "NGINX": f"{listener.fileno()};", **program.environment},
    )
    try:
        yield log
        assert process.poll() is None, log.read_text(encoding="utf-8")
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
