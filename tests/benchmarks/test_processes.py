"""Servers that are started to be measured."""

from __future__ import annotations

import asyncio
import sys

import pytest

from benchmarks.processes import free_port, running


def server(port: int, *, delay: float) -> list[str]:
    """A server of files that listens after so many seconds."""
    code = (
        "import sys, time; from http.server import HTTPServer, SimpleHTTPRequestHandler;"
        f" time.sleep({delay}); HTTPServer(('127.0.0.1', {port}), SimpleHTTPRequestHandler).serve_forever()"
    )
    return [sys.executable, "-c", code]


async def test_a_stranger_on_the_port_is_not_the_server() -> None:
    """Even one that answers at once, while the server itself is still on its way to find the port taken."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with running(server(port, delay=0), url):
        with pytest.raises(RuntimeError, match=r"(?s)does not answer at .*Address already in use"):
            async with asyncio.timeout(30), running(server(port, delay=0.5), url):
                pass
