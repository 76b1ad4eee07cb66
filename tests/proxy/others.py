"""Caddy and Traefik by the examples' configuration, with nothing changed in it but addresses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.proxy.nginx import STOP_SECONDS
from tests.support.system import listen
from tests.support.wire import exchange
from tools.programs import NotToBeHadError, Program, find

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "proxies"
START_SECONDS: Final = 20


@dataclass(frozen=True)
class Places:
    """Where the proxy listens, where Steelcut's resource service does, and where the guarded service."""

    front: int
    steelcut: str
    upstream: str


def caddy(folder: Path, places: Places) -> list[str]:
    """Write Caddy's configuration and return the arguments that it needs."""
    text = _example("Caddyfile", places, {"orders.example.com:8080": f"orders.example.com:{places.front}"})
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text, encoding="utf-8")
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def traefik(folder: Path, places: Places) -> list[str]:
    """Write Traefik's configuration and return the arguments that it needs."""
    static = _example("traefik.yml", None, {'":8080"': f'"127.0.0.1:{places.front}"'})
    (folder / "traefik.yml").write_text(static, encoding="utf-8")
    (folder / "traefik-orders.yml").write_text(_example("traefik-orders.yml", places, {}), encoding="utf-8")
    return ["--configFile=traefik.yml"]


ARGUMENTS: Final[dict[str, Callable[[Path, Places], list[str]]]] = {"caddy": caddy, "traefik": traefik}


def present() -> list[Program]:
    """Return the proxies that are here already."""
    found = []
    for name in ARGUMENTS:
        with contextlib.suppress(NotToBeHadError):
            found.append(find(name, bring=False))
    return found


@contextlib.asynccontextmanager
async def running(program: Program, folder: Path, *, steelcut: str, upstream: str) -> AsyncIterator[str]:
    """Run a proxy on a free port and give its URL."""
    with contextlib.closing(listen()) as listener:
        host, port = listener.getsockname()
    arguments = ARGUMENTS[program.path.name](folder, Places(port, steelcut, upstream))
    with (folder / "output.log").open("w") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - it does not block, and must outlive no test
            [str(program.path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **program.environment},
        )
        try:
            await _ready(f"http://{host}:{port}", process)
            yield f"http://{host}:{port}"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


async def _ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until it listens and knows its routes, which Traefik does a while later."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            answer = await exchange(url, b"GET / HTTP/1.1\r\nHost: orders.example.com\r\n\r\n")
            if answer is not None and answer.status != 404:
                return
        await asyncio.sleep(0.05)
    raise AssertionError("the proxy does not start: its output says why")


def _example(name: str, places: Places | None, changes: dict[str, str]) -> str:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    if places is not None:
        changes = {**changes, "127.0.0.1:8001": places.steelcut, "127.0.0.1:9000": places.upstream}
    for written, wanted in changes.items():
        assert text.count(written) == 1, written
        text = text.replace(written, wanted)
    return text
