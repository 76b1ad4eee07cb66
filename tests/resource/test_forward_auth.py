"""``/verify`` as a proxy sees it: what passes, what the answer tells, and what no query can do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_service import documents
from resource_service.errors import DocumentError, MalformedDemand
from resource_service.forward_auth import Demand, configured, read_demand
from resource_service.settings import ResourceSettings
from tests.support.databases import Templates
from tests.support.issuer import Guarded, TinyIssuer, resource_service
from tests.support.plain_http import http_client
from tests.support.system import as_owner, listen, serving
from tests.support.wire import Wire, exchange

# What stands behind the proxy of these tests.
ORDERS: Final = "https://orders.example"
QUERY: Final = f"resource={ORDERS}&scope=read"
SETTINGS: Final = ResourceSettings(database_url="postgresql://runtime:x@127.0.0.1/resource")  # type: ignore[arg-type]


@dataclass
class Gate:
    """A resource server, the issuer that it trusts, and a client of its ``/verify``."""

    issuer: TinyIssuer
    service: Guarded
    http: httpx.AsyncClient

    async def ask(
        self, query: str = QUERY, *, method: str = "GET", token: str | None = None
    ) -> httpx.Response:
        """Ask as a proxy does, with ``token`` as the caller's."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.request(method, f"/verify?{query}", headers=headers)

    def token(self, audience: str = ORDERS, **changes: Any) -> str:
        """Return a good token for what stands behind the proxy, or one with changed claims."""
        return self.issuer.token(audience, **changes)


@pytest.fixture(scope="module")
async def gate(templates: Templates) -> AsyncIterator[Gate]:
    """A resource server of this file's own, whose issuer signs what a test asks for."""
    databases = await templates.clone()
    listener = listen()
    issuer = TinyIssuer(listener)
    async with (
        serving(issuer, listener),
        resource_service(databases, issuer.url, publisher_database_url=databases.publisher) as service,
        http_client(base_url=service.base) as http,
    ):
        yield Gate(issuer, service, http)
    await templates.drop(databases)


def challenge(response: httpx.Response) -> dict[str, str]:
    """Take the one challenge of an answer apart."""
    (value,) = response.headers.get_list("www-authenticate")
    assert value.startswith("Bearer ")
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', value))


async def test_a_good_token_passes_and_the_answer_tells_whose_it_is(gate: Gate) -> None:
    """The headers name the client, all of its scopes in order and the end of the token; there is no content."""
    token = gate.token(scope="write read admin:x", exp=4_102_444_800.75, client_id="reporting, nightly")
    response = await gate.ask(token=token)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["x-client-id"] == "reporting, nightly"
    assert response.headers["x-scope"] == "admin:x read write"
    assert response.headers["x-token-expires"] == "4102444800"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-length"] == "0"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"])
async def test_any_method_asks_the_same(gate: Gate, method: str) -> None:
    """Envoy asks with the caller's method, and with content or without, the answer is the token's."""
    content = b"" if method == "HEAD" else b"x" * 5
    fields = f"Host: proxy\r\nContent-Length: {len(content)}\r\n"
    good = f"{method} /verify?{QUERY} HTTP/1.1\r\n{fields}Authorization: Bearer {gate.token()}\r\n\r\n"
    none = f"{method} /verify?{QUERY} HTTP/1.1\r\n{fields}\r\n"
    async with Wire.open(gate.service.base) as wire:
        for request, status in ((good, 200), (none, 401), (good, 200)):
            await wire.send(request.encode() + content)
            answer = await wire.answer(to_head=method == "HEAD")
            assert answer is not None
            assert answer.status == status
            assert bool(answer.body) == (status == 401 and method != "HEAD")


async def test_no_token(gate: Gate) -> None:
    """The challenge names scopes that are enough, and the metadata of what stands behind the proxy."""
    response = await gate.ask(f"resource={ORDERS}%2Fv2&scope=read&any_scope=eu+us")
    assert (response.status_code, response.json()["error"]) == (401, "unauthorized")
    assert response.headers["cache-control"] == "no-store"
    assert challenge(response) == {
        # One of any_scope is enough, and the challenge has no word for "or".
        "scope": "read eu",
        "resource_metadata": f"{ORDERS}/.well-known/oauth-protected-resource/v2",
    }


@pytest.mark.parametrize(
    ("demanded", "granted", "status"),
    [
        ("", "any", 200),
        ("&scope=read", "read", 200),
        ("&scope=read", "read write", 200),
        ("&scope=read", "readers", 403),
        ("&scope=read+write", "write read", 200),
        ("&scope=read%20write", "read", 403),
        ("&any_scope=eu+us", "us", 200),
        ("&any_scope=eu+us", "asia", 403),
        ("&scope=read&any_scope=eu+us", "read eu", 200),
        ("&scope=read&any_scope=eu+us", "read", 403),
        ("&any_scope=eu+us&scope=read", "eu us", 403),
        ("&scope=https:%2F%2Fscopes.example%2Fa%2Bb", "https://scopes.example/a+b", 200),
    ],
)
async def test_scopes(gate: Gate, demanded: str, granted: str, status: int) -> None:
    """Every scope of ``scope`` is needed, and one of ``any_scope``."""
    response = await gate.ask(f"resource={ORDERS}{demanded}", token=gate.token(scope=granted))
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"] == challenge(response)["error"] == "insufficient_scope"


async def test_a_token_passes_for_its_own_resource_alone(gate: Gate) -> None:
    """A URL is compared whole, and a short name is a resource of this service."""
    ours = gate.token(f"{gate.service.base}/inventory")
    assert (await gate.ask("resource=inventory", token=ours)).status_code == 200
    encoded = f"{gate.service.base}/inventory".replace(":", "%3A").replace("/", "%2F")
    assert (await gate.ask(f"resource={encoded}", token=ours)).status_code == 200
    for token in (ours, gate.token(f"{ORDERS}/"), gate.token(f"{ORDERS}/v2"), gate.token(gate.service.base)):
        response = await gate.ask(token=token)
        assert response.status_code == 401
        assert challenge(response)["error"] == "invalid_token"


@pytest.mark.parametrize(
    "values",
    [["Bearer"], ["Bearer a b"], ["Bearer \xff"], ["Bearer a", "Bearer a"], ["Bearer {}"]],
    ids=ascii,
)
async def test_garbage_for_a_credential_is_401(gate: Gate, values: list[str]) -> None:
    """Nginx would make a 500 of the 400 that RFC 6750 §3.1 suggests; the code in the challenge is still its own."""
    fields = [("authorization", value.encode("latin-1")) for value in values]
    response = await gate.http.get(f"/verify?{QUERY}", headers=fields)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["error"]) == (401, "invalid_request")
    assert challenge(response)["error"] == "invalid_request"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "scope=read",
        "resource=",
        f"resource={ORDERS}&",
        f"&resource={ORDERS}",
        f"resource={ORDERS}&scope=",
        f"resource={ORDERS}&scope",
        f"resource={ORDERS}&scope=+",
        f"resource={ORDERS}&scope=read++write",
        f"resource={ORDERS}&scope=read%00",
        f"resource={ORDERS}&scope=caf%C3%A9",
        f"resource={ORDERS}&scope=%zz",
        f"resource={ORDERS}&scopes=read",
        f"resource={ORDERS}&Scope=read",
        f"resource={ORDERS}&sc%6Fpe=read",
        f"resource={ORDERS}&scope=read&scope=read",
        f"resource={ORDERS}&any_scope=a&any_scope=b",
        f"resource={ORDERS}&resource={ORDERS}",
        f"resource={ORDERS};scope=read",
        f"resource={ORDERS}/v2",
        f"resource={ORDERS}&scope=a/b",
        f"resource={ORDERS}&path",
        "resource=http://orders.example",
        "resource=https://user:pw%40orders.example",
        "resource=https://orders.example%23part",
        "resource=healthz",
        "resource=inventory%2Fkey",
        "resource=urn:orders",
    ],
)
async def test_a_query_that_nobody_should_write(gate: Gate, query: str) -> None:
    """Nobody passes, whatever their token; the caller learns nothing, and the log what is wrong with the query."""
    response = await gate.ask(query, token=gate.token())
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert "x-client-id" not in response.headers
    assert gate.service.log.of(response)["reason"] != MalformedDemand.__name__


@given(st.text(st.characters(codec="latin-1")))
def test_no_path_behind_the_end_of_the_query_changes_it(path: str) -> None:
    """Envoy puts the caller's path and query behind ``path=``: they are text there, whatever they are."""
    query = f"resource={ORDERS}&scope=read&path=/{path}".encode("latin-1")
    assert read_demand(configured(query), SETTINGS) == Demand(ORDERS, ("read",))


@given(
    st.sampled_from(
        [
            f"resource={ORDERS}",
            "resource=inventory",
            f"resource={ORDERS}&scope=read",
            f"resource={ORDERS}&any_scope=read",
            "resource=",
            "scope=read",
            f"resource={ORDERS}&",
            f"resource={ORDERS}&path",
            "",
        ]
    ),
    st.one_of(
        st.text(st.characters(codec="latin-1")),
        st.lists(
            st.sampled_from(
                ["%20", "write", "&", "resource=", "any_scope=", "scope=", "path=", "/", "?", "x", ORDERS]
            )
        ).map("".join),
    ),
)
def test_a_forgotten_end_lets_nobody_pass(prefix: str, path: str) -> None:
    """Without ``path=`` no path that a caller may append makes a query of it: everybody is refused, and it shows."""
    with pytest.raises(MalformedDemand):
        read_demand(configured(f"{prefix}/{path}".encode("latin-1")), SETTINGS)


async def test_what_envoy_asks(gate: Gate) -> None:
    """With ``&path=`` at the end, the caller's path and query change nothing, whatever they look like."""
    for path in ("/", "/v1?page=2", "/&scope=", "/&resource=inventory&any_scope=write", "/&path=&scope=x#"):
        assert (await gate.ask(f"{QUERY}&path={path}", token=gate.token())).status_code == 200
        response = await gate.ask(f"{QUERY}&path={path}", token=gate.token(scope="write"))
        assert response.status_code == 403


@pytest.mark.parametrize("path", ["/verify/", "/verify/x", "/verify/orders?resource=inventory", "//verify"])
async def test_only_the_exact_path(gate: Gate, path: str) -> None:
    """An Envoy that was told no query asks below /verify, where nothing is."""
    answer = await exchange(
        gate.service.base,
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gate.token()}\r\n\r\n".encode(),
    )
    assert answer is not None
    assert (answer.status, answer.error) == (404, "not_found")


@pytest.mark.parametrize(
    "client_id", [" spaced", "spaced ", "zoë", "a\N{NO-BREAK SPACE}b", "b\u200d" * 2], ids=ascii
)
async def test_a_client_that_no_header_can_name(gate: Gate, client_id: str) -> None:
    """A name that would reach the service as another one does not pass, however good the token."""
    response = await gate.ask(token=gate.token(client_id=client_id))
    assert "x-client-id" not in response.headers
    # What is not printable the verifier has refused already.
    assert response.status_code == (403 if client_id.isprintable() else 401)
    if response.status_code == 403:
        assert response.json()["error"] == "access_denied"


async def test_the_log_tells_what_was_asked_for_and_by_whom(gate: Gate) -> None:
    """Each line names the resource, also of who was refused, and holds no token."""
    token = gate.token()
    passed = gate.service.log.of(await gate.ask(token=token))
    assert (passed["resource"], passed["client_id"], passed["status"]) == (ORDERS, "client-1", 200)
    refused = gate.service.log.of(await gate.ask())
    assert (refused["resource"], refused["status"]) == (ORDERS, 401)
    assert token.rpartition(".")[2] not in gate.service.log.text


async def test_nobody_passes_before_the_keys_are_known(templates: Templates) -> None:
    """With no key of the issuer every token is answered with 503, and no token with 401."""
    databases = await templates.clone()
    listener = listen()
    issuer = TinyIssuer(listener)
    listener.close()
    async with (
        resource_service(databases, issuer.url) as service,
        http_client(base_url=service.base) as http,
    ):
        headers = {"Authorization": f"Bearer {issuer.token(ORDERS)}"}
        response = await http.get(f"/verify?{QUERY}", headers=headers)
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.headers["retry-after"] == "1"
        assert (await http.get(f"/verify?{QUERY}")).status_code == 401
    await templates.drop(databases)


async def test_no_document_was_ever_called_verify(gate: Gate, templates: Templates) -> None:
    """The name has been the service's own since the first version: neither way to publish takes it."""
    databases = await templates.clone()
    with pytest.raises(DocumentError):
        await as_owner(databases.resource.owner, lambda c: documents.publish(c, "verify", None, b"{}"))
    await templates.drop(databases)
    writer = gate.token(f"{gate.service.base}/verify", scope="write")
    fields = {"Authorization": f"Bearer {writer}", "Content-Type": "application/json"}
    assert (await gate.http.put("/verify", content=b"{}", headers=fields)).status_code == 400
    assert (await gate.http.put("/verify/key", content=b"{}", headers=fields)).status_code == 404
