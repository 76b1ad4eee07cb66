"""Caddy and Traefik before a service that knows nothing of tokens, where they are installed.

`make test` brings nginx alone. For these, once: `.venv/bin/python tools/programs.py caddy`; Traefik on the PATH.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.proxy import others
from tests.proxy.conftest import ORDERS, challenge, token_of
from tests.proxy.nginx import address
from tests.proxy.upstream import Upstream
from tests.support.system import Registered, System, listen, serving
from tests.support.wire import Answer, exchange
from tools.programs import Program

# What stands between the words of a header's name for a server that knows letters and digits only.
SEPARATORS: Final = b"-_.!#$%&'*+^`|~"

PRESENT: Final = others.present()
if not PRESENT:
    pytest.skip("neither caddy nor traefik is here: CONTRIBUTING.md says how", allow_module_level=True)


@dataclass
class Front:
    """A proxy, as its callers see it."""

    url: str
    reader: Registered
    token: bytes = field(repr=False)

    async def ask(self, *fields: bytes, method: str = "GET") -> Answer:
        """Send a request of exactly these header fields, beside Host, and return the answer."""
        head = b"\r\n".join([f"{method} /v1/orders HTTP/1.1".encode(), b"Host: orders.example.com", *fields])
        answer = await exchange(self.url, head + b"\r\n\r\n")
        assert answer is not None
        return answer

    @property
    def bearer(self) -> bytes:
        """The header of a caller who may pass."""
        return b"Authorization: Bearer " + self.token


@pytest.fixture(scope="module", params=PRESENT, ids=lambda program: program.path.name)
def proxy(request: pytest.FixtureRequest) -> Program:
    """One of the proxies."""
    found: Program = request.param
    return found


@pytest.fixture(scope="module")
async def front(
    proxy: Program,
    guarded_system: System,
    shared_upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Front]:
    """The proxy by the example's configuration, before our two services and the one that it guards."""
    reader = await guarded_system.register("Reader", grants={"orders": ["read"]})
    listener = listen()
    steelcut = guarded_system.resource_base.removeprefix("http://")
    folder = tmp_path_factory.mktemp(proxy.path.name)
    async with (
        serving(shared_upstream, listener),
        others.running(proxy, folder, steelcut=steelcut, upstream=address(listener)) as url,
    ):
        yield Front(url, reader, (await token_of(guarded_system, reader)).encode())


async def test_a_good_token_gets_through(front: Front, upstream: Upstream) -> None:
    """The service gets the request with our three headers, and without the token."""
    answer = await front.ask(front.bearer, b"Content-Length: 0", method="POST")
    assert answer.status == 200
    seen = upstream.take()
    assert (seen.method, seen.target) == ("POST", "/v1/orders")
    assert seen.values("x-client-id") == [front.reader.client_id]
    assert seen.values("x-scope") == ["read"]
    assert len(seen.values("x-token-expires")) == 1
    assert seen.values("authorization") == []


async def test_no_token(front: Front, upstream: Upstream) -> None:
    """The caller gets our very answer."""
    answer = await front.ask()
    assert (answer.status, answer.error) == (401, "unauthorized")
    assert challenge(answer.header("www-authenticate")) == {
        "scope": "read",
        "resource_metadata": f"{ORDERS}/.well-known/oauth-protected-resource",
    }
    assert upstream.seen == []


async def test_the_wrong_scope(front: Front, guarded_system: System, upstream: Upstream) -> None:
    """A good token that grants too little is 403."""
    writer = await guarded_system.register("Writer", grants={"orders": ["write"]})
    token = (await token_of(guarded_system, writer)).encode()
    answer = await front.ask(b"Authorization: Bearer " + token)
    assert (answer.status, answer.error) == (403, "insufficient_scope")
    assert upstream.seen == []


@pytest.mark.parametrize(
    "separator", [bytes([code]) for code in SEPARATORS], ids=lambda code: f"0x{code.hex()}"
)
async def test_forged_headers_do_not_get_through(front: Front, upstream: Upstream, separator: bytes) -> None:
    """However a caller spells our headers, a server that knows letters and digits only sees each once."""
    names = (b"X-Client-Id", b"X-Scope", b"x-token-expires")
    forged = [name.replace(b"-", separator) + b": admin" for name in names]
    answer = await front.ask(*forged, front.bearer, *forged)
    assert answer.status == 200
    seen = upstream.take()
    assert seen.values("x-client-id") == [front.reader.client_id]
    assert seen.values("x-scope") == ["read"]
    assert "admin" not in str(seen.headers)


async def test_a_caller_cannot_have_our_headers_removed(front: Front, upstream: Upstream) -> None:
    """Connection names what a proxy takes away (RFC 9110 §7.6.1); ours come after that."""
    answer = await front.ask(b"Connection: X-Client-Id, X-Scope, X-Token-Expires", front.bearer)
    assert answer.status == 200
    assert upstream.take().values("x-client-id") == [front.reader.client_id]


@pytest.mark.parametrize(
    "fields",
    [
        [b"Authorization: Bearer a b"],
        [b"Authorization: Bearer \xff"],
        [b"Authorization: Bearer " + b"a" * 20_000],
        [b"Authorization: Bearer a", b"Authorization: Bearer b"],
        [b"X-Filler-%d: x" % number for number in range(150)],
    ],
    ids=["two words", "no ASCII", "long", "two", "many headers"],
)
async def test_garbage_is_the_callers_fault(front: Front, upstream: Upstream, fields: list[bytes]) -> None:
    """Whatever a caller sends in the place of a token is not answered with a 500."""
    assert (await front.ask(*fields)).status in {400, 401, 431}
    assert upstream.seen == []


async def test_without_the_resource_service_nobody_gets_through(
    proxy: Program, shared_upstream: Upstream, upstream: Upstream, tmp_path: Path
) -> None:
    """It fails closed."""
    with contextlib.closing(listen()) as nobody:
        steelcut = address(nobody)
    listener = listen()
    async with (
        serving(shared_upstream, listener),
        others.running(proxy, tmp_path, steelcut=steelcut, upstream=address(listener)) as url,
    ):
        answer = await exchange(
            url, b"GET / HTTP/1.1\r\nHost: orders.example.com\r\nAuthorization: Bearer a\r\n\r\n"
        )
    assert answer is not None
    assert answer.status in {500, 502, 503}
    assert upstream.seen == []
