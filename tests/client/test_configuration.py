"""What ``ClientCredentials`` is given, and what it takes from the environment."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from steelcut import ClientCredentials
from tests.client.scripted import CLIENT, Reply, Scripted, granted

HERE: dict[str, Any] = {**CLIENT, "token_url": "https://auth.example.com/token"}


def _form(server: Scripted, **options: Any) -> dict[str, list[str]]:
    """Return the form of the token request that is made with these options."""
    server.says("/token", granted("t1"))
    ClientCredentials(retries=None, **options).token()
    return server.asked[-1].form


def test_everything_from_the_environment(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `steelcut dev` writes it."""
    for name, value in {
        "TOKEN_URL": f"{server.url}/token",
        "CLIENT_ID": "jane",
        "CLIENT_SECRET": "s3cret",
        "RESOURCE": "api",
        "SCOPE": "read",
    }.items():
        monkeypatch.setenv(f"STEELCUT_{name}", value)
    form = _form(server)
    assert (form["resource"], form["scope"]) == (["api"], ["read"])
    assert (server.asked[0].authorization or "").startswith("Basic ")
    given = _form(server, client_id="joe", resource="other", scope="write")
    assert (given["resource"], given["scope"]) == (["other"], ["write"])


def test_files_that_variables_name(server: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a container engine hands them over."""
    for name, value in {
        "TOKEN_URL": f"{server.url}/token",
        "CLIENT_ID": "jane",
        "CLIENT_SECRET": "s",
    }.items():
        file = tmp_path / name
        file.write_text(f"{value}\n")
        monkeypatch.setenv(f"STEELCUT_{name}_FILE", str(file))
    assert _form(server)


def test_issuer_that_is_given_beats_a_token_url_of_the_environment(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is another server's."""
    monkeypatch.setenv("STEELCUT_TOKEN_URL", "https://other.example/token")
    metadata = {"issuer": server.url, "token_endpoint": f"{server.url}/token"}
    server.says("/.well-known/oauth-authorization-server", Reply(200, metadata))
    assert _form(server, **CLIENT, issuer=server.url)


def test_token_url_comes_before_the_issuer(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to ask metadata for."""
    monkeypatch.setenv("STEELCUT_ISSUER", server.url)
    monkeypatch.setenv("STEELCUT_TOKEN_URL", f"{server.url}/token")
    assert _form(server, **CLIENT)
    assert [asked.path for asked in server.asked] == ["/token"]


def test_arguments_do_not_look_at_the_environment(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A secret that is given is the one."""
    monkeypatch.setenv("STEELCUT_CLIENT_SECRET", "wrong")
    file = tmp_path / "secret"
    file.write_text("right")
    form = _form(
        server,
        client_id="jane",
        client_secret_file=file,
        token_url=f"{server.url}/token",
        authentication="client_secret_post",
    )
    assert form["client_secret"] == ["right"]


MISSING: list[tuple[str, dict[str, Any], str]] = [
    ("client", {**HERE, "client_id": None}, "give client_id, or set STEELCUT_CLIENT_ID"),
    ("empty client", {**HERE, "client_id": ""}, "give client_id"),
    (
        "secret",
        {**HERE, "client_secret": None},
        "give client_secret or client_secret_file, or set STEELCUT_CLI",
    ),
    ("empty secret", {**HERE, "client_secret": ""}, "must be text that is not empty"),
    ("odd secret", {**HERE, "client_secret": b"s"}, "must be text that is not empty"),
    ("two secrets", {**HERE, "client_secret_file": "f"}, "client_secret or client_secret_file, not both"),
    (
        "server",
        CLIENT,
        r"give the issuer or token_url \(or set STEELCUT_ISSUER or STEELCUT_TOKEN_URL\), or the URL",
    ),
    ("name of a resource", {**CLIENT, "resource": "api"}, "give the issuer or token_url"),
    ("two resources", {**CLIENT, "resource": ["https://a.example", "https://b.example"]}, "of one resource"),
    ("http resource", {**CLIENT, "resource": "http://a.example"}, "resource identifier must be https"),
    ("fragment", {**CLIENT, "resource": "https://a.example/#x"}, "no fragment"),
    ("no URL", {**HERE, "resource": "https://[::1"}, "the resource is not a URL"),
    ("http issuer", {**CLIENT, "issuer": "http://a.example"}, "issuer must be https"),
    ("empty issuer", {**CLIENT, "issuer": ""}, "issuer must be"),
    ("http token URL", {**HERE, "token_url": "http://a.example/token"}, "token URL must be https"),
    ("empty token URL", {**HERE, "token_url": ""}, "token URL must be"),
    ("password in it", {**HERE, "token_url": "https://a:secret-word@b.example"}, "no user name or password"),
    (
        "authentication",
        {**HERE, "authentication": "private_key_jwt"},
        "must be one of client_secret_basic, client_",
    ),
    ("grant", {**HERE, "parameters": {"grant_type": "password"}}, "grant_type is not to be given"),
    (
        "secret again",
        {**HERE, "parameters": {"client_secret": "secret-word"}},
        "client_secret is not to be given",
    ),
    ("scope again", {**HERE, "parameters": {"scope": "read"}}, "scope is not to be given"),
    ("resource again", {**HERE, "resource": "a", "parameters": {"resource": "b"}}, "not both"),
]


@pytest.mark.parametrize(
    ("options", "sentence"), [case[1:] for case in MISSING], ids=[case[0] for case in MISSING]
)
def test_what_is_missing_or_wrong_is_said(options: dict[str, Any], sentence: str) -> None:
    """At once, and what to give; never the secret."""
    with pytest.raises(ValueError, match=sentence) as raised:
        ClientCredentials(**options)
    assert "secret-word" not in str(raised.value)


def test_variables_that_contradict_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is left to guess which one counts."""
    monkeypatch.setenv("STEELCUT_CLIENT_SECRET", "secret-word")
    monkeypatch.setenv("STEELCUT_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(ValueError, match="are both set: keep one of them"):
        ClientCredentials("jane", token_url=HERE["token_url"])
    monkeypatch.setenv("STEELCUT_ISSUER_FILE", str(tmp_path / "issuer"))
    with pytest.raises(ValueError, match="STEELCUT_ISSUER_FILE cannot be read: No such file"):
        ClientCredentials(**CLIENT)


def test_resource_by_parameter_restricts_nothing(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers whose resources have URLs at which they are not."""
    monkeypatch.setenv("STEELCUT_RESOURCE", "https://other.example")
    server.says("/data", Reply(200, "opened"))
    form = _form(
        server, **CLIENT, token_url=f"{server.url}/token", parameters={"resource": "https://graph.example"}
    )
    assert form["resource"] == ["https://graph.example"]


def test_transport_and_tls_are_for_the_authorization_server(server: Scripted) -> None:
    """The caller's client has its own."""
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=granted("t1").content)

    auth = ClientCredentials(
        **HERE, transport=httpx.MockTransport(respond), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    server.says("/data", Reply(200, "opened"))
    with httpx.Client(auth=auth, trust_env=False) as http:
        assert http.get(f"{server.url}/data").json() == "opened"
    assert asked == ["https://auth.example.com/token"]
