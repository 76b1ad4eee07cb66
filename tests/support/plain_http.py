"""HTTP clients for the services that tests start: plain, on this machine."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

# httpx would read a hundred certificates for each client: 30 ms, and few that tests start speak TLS.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(**options: Any) -> httpx.AsyncClient:
    """Return a client that takes nothing from the environment, and trusts whom ``options``, httpx's, name."""
    return httpx.AsyncClient(trust_env=False, **{"verify": NO_TLS, **options})
