"""The descriptions at /openapi.json are true, and /docs shows them without anybody else's server."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from auth_service.administration.admin_api import SCOPES
from resource_service import documents
from steelcut.errors import OAuthError, TemporarilyUnavailable
from tests.admin.operators import admin_token, register_operator
from tests.support.plain_http import http_client
from tests.support.system import RESOURCE, Registered, System, as_owner
from tests.support.wire import exchange

pytestmark = pytest.mark.slow

EXAMPLES = 10
# Which names, scopes and cursors there are is beyond a schema.
ONLY_ADMINISTRATION = (
    *("--include-path-regex", "^/admin/", "--exclude-checks", "positive_data_acceptance"),
    *("--phases", "coverage"),  # of many operations
)
# A URL that begins with a scheme or a host; the quotes and brackets end it.
ABSOLUTE_URL = re.compile(r"""(?:https?:)?//[^\s"'<>`)]+""")
LINKED = re.compile(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""")


@pytest.mark.long
async def test_the_authorization_server_does_what_its_description_says(
    start_system: Any, tmp_path: Path
) -> None:
    """Schemathesis, told nothing but the URL and the credentials, finds no answer that is not described."""
    system: System = await start_system()
    config = (
        "[auth.openapi.client_secret_basic]\n"
        f'username = "{system.client.client_id}"\npassword = "{system.client.secret}"\n'
    )
    await _explore(system.issuer, config, tmp_path)
    statuses = _statuses(system)
    assert {200, 400, 405} <= statuses["/token"]
    assert not {status for path in statuses.values() for status in path if status >= 500}


@pytest.mark.long
async def test_the_admin_api_does_what_its_description_says(start_system: Any, tmp_path: Path) -> None:
    """Schemathesis, told nothing but the URL and a token with all scopes, finds no answer that is not described."""
    system: System = await start_system(admin=True)
    token = await admin_token(system, await register_operator(system, *SCOPES))
    config = f'[auth.openapi.admin_token]\nbearer = "{token}"\n'
    await _explore(system.issuer, config, tmp_path, *ONLY_ADMINISTRATION)
    statuses = _statuses(system)
    assert {200, 400, 415, 422} <= statuses["/admin/v1/clients"]
    assert 201 in statuses["/admin/v1/keys"]
    assert not {status for path in statuses.values() for status in path if status >= 500}


@pytest.mark.long
async def test_the_resource_server_does_what_its_description_says(start_system: Any, tmp_path: Path) -> None:
    """Schemathesis, told nothing but the URL and a token, finds no answer that is not described."""
    system: System = await start_system()
    body = b'{"about": "one of many"}'
    await as_owner(system.databases.resource.owner, lambda c: documents.publish(c, RESOURCE, RESOURCE, body))
    writer = await system.register("Writer", ("read", "write"))
    config = (
        f'[auth.openapi.access_token]\nbearer = "{await _token(system, writer)}"\n'
        # What is asked for under a condition may be refused by it (412). And schemathesis makes conditions of its own
        # that are none, whatever the description says of these two headers (400).
        '[[operations]]\ninclude-path-regex = "^/.resource"\n'
        "[operations.checks.positive_data_acceptance]\n"
        'expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "412", "5xx"]\n'
        # Any method asks the same there; one is described.
        '[[operations]]\ninclude-path = "/verify"\nchecks.unsupported_method.enabled = false\n'
    )
    await _explore(system.resource_base, config, tmp_path)
    statuses = _statuses(system)
    for path in (f"/{RESOURCE}", f"/{RESOURCE}/{RESOURCE}"):
        assert {200, 204, 400, 401, 404, 405, 412, 415} <= statuses[path]
    assert {200, 400, 401} <= statuses["/verify"]
    assert not {status for path in statuses.values() for status in path if status >= 500}


async def test_the_description_leads_to_a_token(auth: httpx.AsyncClient, system: System) -> None:
    """The URL of the clientCredentials flow, which the Authorize button of /docs uses, gives one."""
    document = (await auth.get("/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    (flow,) = [scheme["flows"] for scheme in schemes.values() if scheme["type"] == "oauth2"]
    assert flow.keys() == {"clientCredentials"}
    token_url = flow["clientCredentials"]["tokenUrl"]
    metadata = (await auth.get("/.well-known/oauth-authorization-server")).json()
    assert token_url == metadata["token_endpoint"]
    answer = await auth.post(token_url, data={"grant_type": "client_credentials"}, auth=system.client.basic)
    assert answer.status_code == 200


async def test_the_description_tells_both_ways_to_authenticate(auth: httpx.AsyncClient) -> None:
    """Basic stands among the security schemes, the body's credentials among the fields of the form."""
    document = (await auth.get("/openapi.json")).json()
    operation = document["paths"]["/token"]["post"]
    assert operation["security"] == [{"client_secret_basic": []}, {}]
    assert operation["requestBody"]["content"].keys() == {"application/x-www-form-urlencoded"}
    fields = document["components"]["schemas"]["TokenRequest"]
    assert fields["required"] == ["grant_type"]
    assert fields["properties"].keys() == {"grant_type", "scope", "resource", "client_id", "client_secret"}


async def test_every_refusal_of_the_code_is_described(
    auth: httpx.AsyncClient, resource: httpx.AsyncClient
) -> None:
    """No status and no error code that the source can answer is missing from the descriptions."""
    described = (
        (auth, "/token", _refusals("auth_service.errors")),
        (resource, "/{resource}", _refusals("steelcut.errors") | _refusals("resource_service.errors")),
    )
    for client, path, refusals in described:
        document = (await client.get("/openapi.json")).json()
        refusals.add(TemporarilyUnavailable)
        assert len(refusals) > 3
        operations = [found for name, found in document["paths"][path].items() if name != "parameters"]
        statuses = {status for operation in operations for status in operation["responses"]}
        assert {str(refusal.status) for refusal in refusals} <= statuses
        codes = document["components"]["schemas"]["Error"]["properties"]["error"]["enum"]
        assert {refusal.error for refusal in refusals} <= set(codes)


async def test_an_issuer_with_a_path_is_described_at_its_path(start_system: Any) -> None:
    """The described path of the token endpoint is the one that answers."""
    system: System = await start_system(issuer_path="/tenant")
    async with http_client(base_url=system.issuer.removesuffix("/tenant")) as client:
        document = (await client.get("/openapi.json")).json()
        assert "/tenant/token" in document["paths"]
        flows = document["components"]["securitySchemes"]["client_credentials"]["flows"]
        assert flows["clientCredentials"]["tokenUrl"] == system.token_url
        answer = await client.post(
            "/tenant/token", data={"grant_type": "client_credentials"}, auth=system.client.basic
        )
        assert answer.status_code == 200


@pytest.mark.parametrize("service", ["auth", "resource"])
async def test_the_documentation_comes_from_this_service_alone(
    auth: httpx.AsyncClient, resource: httpx.AsyncClient, service: str
) -> None:
    """A browser behind a closed firewall sees all of /docs: every script, style and icon is served here."""
    client = {"auth": auth, "resource": resource}[service]
    for page in ("/docs", "/docs/oauth2-redirect"):
        answer = await client.get(page)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert ABSOLUTE_URL.findall(answer.text) == []
    linked = {source or url for source, url in LINKED.findall((await client.get("/docs")).text)}
    assert {"/openapi.json", "/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css"} <= linked
    for url in linked:
        asset = await client.get(url)
        assert asset.status_code == 200, url
        assert len(asset.content) > 100, url
    style = (await client.get("/docs/assets/swagger-ui.css")).text
    assert re.findall(r"""url\(["']?(?!data:|["']?data:)[^)]*\)|@import""", style) == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("wanted", ["bytes=0-1", "items=0-1", "bytes=9999999-"])
async def test_the_assets_are_sent_whole(auth: httpx.AsyncClient, method: str, wanted: str) -> None:
    """Whoever asks for a part gets all (RFC 9110 §14.2)."""
    whole = await auth.request(method, "/docs/assets/favicon.png")
    answer = await auth.request(method, "/docs/assets/favicon.png", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, whole.content)
    assert answer.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_are_asked_by_get_and_by_head(
    auth: httpx.AsyncClient, resource: httpx.AsyncClient, path: str
) -> None:
    """Both methods are what every server knows (RFC 9110 §9.1); any other is told so."""
    for client in (auth, resource):
        got, headed = await client.get(path), await client.head(path)
        assert (headed.status_code, headed.content) == (200, b"")
        assert headed.headers["content-length"] == got.headers["content-length"]
        other = await client.post(path)
        assert other.status_code == 405
        assert sorted(other.headers["allow"].split(", ")) == ["GET", "HEAD"]


@pytest.mark.parametrize(
    "path",
    ["../../../../../../etc/passwd", "..%2f..%2f__init__.py", "%2e%2e/__init__.py", "", ".", "%00", "%ff"],
)
async def test_the_assets_are_a_folder_without_a_way_out(system: System, path: str) -> None:
    """Behind /docs/assets lie the assets, and nothing else of this machine."""
    raw = f"GET /docs/assets/{path} HTTP/1.1\r\nHost: auth.example\r\n\r\n"
    for url in (system.issuer, system.resource_base):
        answer = await exchange(url, raw.encode())
        assert answer is not None
        assert (answer.status, answer.error) == (404, "not_found")


async def _explore(url: str, config: str, folder: Path, *options: str) -> None:
    """Run the program ``schemathesis`` on the description at ``url``; it fails on any finding."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(config)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", str(configuration), "run", f"{url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--no-color"),
        *("--generation-deterministic", "--continue-on-failure", "--suppress-health-check", "all"),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        # No coverage and no settings of the run around it.
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


def _refusals(module: str) -> set[type[OAuthError]]:
    """Return the errors that ``module`` defines and that can be answered as they are."""
    found, rest = set(), [OAuthError]
    while rest:
        rest += (error := rest.pop()).__subclasses__()
        if error.__module__ == module and hasattr(error, "error"):
            found.add(error)
    return found


async def _token(system: System, client: Registered) -> str:
    async with http_client() as http:
        answer = await http.post(
            system.token_url, data={"grant_type": "client_credentials"}, auth=client.basic
        )
    token: str = answer.json()["access_token"]
    return token


def _statuses(system: System) -> dict[str, set[int]]:
    """Return by path which statuses were answered."""
    statuses: dict[str, set[int]] = {}
    # Not by splitlines, which splits at what a path may hold, too.
    lines: list[dict[str, Any]] = [orjson.loads(line) for line in system.log.text.split("\n") if line]
    for line in lines:
        assert line["event"] == "request", line
        statuses.setdefault(line["path"], set()).add(line["status"])
    return statuses
