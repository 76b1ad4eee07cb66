"""A client gets a token and a document at the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import subprocess
from pathlib import Path

import jwt
import pytest

from tests.cli import terminal
from tests.cli.conftest import Steelcut
from tests.support.system import DOCUMENT, System


async def test_token_alone_is_on_stdout(as_client: Steelcut, system: System) -> None:
    """So that TOKEN=$(steelcut token) is all a script needs."""
    got = await as_client("token")
    assert (got.code, got.err) == (0, "")
    claims = jwt.decode(got.out.strip(), options={"verify_signature": False})
    assert claims["client_id"] == system.client.client_id
    assert claims["aud"] == system.document_url


async def test_token_as_json_is_the_whole_answer(as_client: Steelcut) -> None:
    """RFC 6749 §5.1."""
    got = await as_client("token", "--scope", "read", "--json")
    assert {name: got.json[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "read",
    }


async def test_document_comes_out_byte_for_byte(as_client: Steelcut) -> None:
    """From STEELCUT_DOCUMENT_URL, or from the URL that is given."""
    by_variable = await as_client("fetch")
    assert by_variable.out.encode() == DOCUMENT


async def test_options_beat_variables(as_client: Steelcut, system: System, tmp_path: Path) -> None:
    """Every variable has an option but the secret, which has a file."""
    file = tmp_path / "secret"
    file.write_text(f"{system.client.secret}\n")
    other = {
        "STEELCUT_ISSUER": "https://wrong.example",
        "STEELCUT_TOKEN_URL": "https://wrong.example/token",
        "STEELCUT_CLIENT_ID": "wrong",
        "STEELCUT_CLIENT_SECRET": "wrong",
        "STEELCUT_RESOURCE": "wrong",
        "STEELCUT_SCOPE": "wrong",
        "STEELCUT_DOCUMENT_URL": "https://wrong.example/x",
    }
    got = await as_client(
        *("fetch", system.document_url, "--issuer", system.issuer, "--client-id", system.client.client_id),
        *("--secret-file", str(file), "--resource", "api_v0.0.1", "--scope", "read"),
        env=other,
    )
    assert got.out.encode() == DOCUMENT


async def test_secret_from_the_standard_input(as_client: Steelcut, system: System) -> None:
    """As a password manager hands it over."""
    got = await as_client(
        *("token", "--secret-file", "-"),
        env={"STEELCUT_CLIENT_SECRET": ""},
        stdin=f"{system.client.secret}\n".encode(),
    )
    assert got.code == 0


async def test_secret_from_a_file_that_a_variable_names(
    as_client: Steelcut, system: System, tmp_path: Path
) -> None:
    """As a container engine hands it over."""
    file = tmp_path / "secret"
    file.write_text(system.client.secret)
    env = {"STEELCUT_CLIENT_SECRET": "", "STEELCUT_CLIENT_SECRET_FILE": str(file)}
    assert (await as_client("token", env=env)).code == 0


async def test_secret_from_a_hidden_prompt(caller: dict[str, str], system: System) -> None:
    """On a terminal without any of these the command asks, and shows nothing of what is typed."""
    variables = terminal.environment({**caller, "STEELCUT_CLIENT_SECRET": ""})
    screen = await asyncio.to_thread(_type_at_a_terminal, ["token"], variables, f"{system.client.secret}\n")
    assert screen.startswith("Client secret: ")
    assert system.client.secret not in screen
    assert jwt.get_unverified_header(screen.split()[-1])["typ"] == "at+jwt"


async def test_secret_is_no_argument(as_client: Steelcut, system: System) -> None:
    """Arguments can be read by every user of the machine, so there is no such option."""
    refused = await as_client("token", "--client-secret", system.client.secret)
    assert refused.code == 2
    assert "No such option" in refused.err


async def test_token_endpoint_without_discovery(as_client: Steelcut, system: System) -> None:
    """--token-url is asked as it is."""
    got = await as_client("token", "--token-url", system.token_url, env={"STEELCUT_ISSUER": ""})
    assert got.code == 0


async def test_resource_alone_leads_to_the_server(as_client: Steelcut, system: System) -> None:
    """Its metadata names the issuer (RFC 9728)."""
    got = await as_client("fetch", "--resource", system.document_url, env={"STEELCUT_ISSUER": ""})
    assert got.out.encode() == DOCUMENT


async def test_cache_keeps_the_token_for_the_next_command(
    as_client: Steelcut, system: System, tmp_path: Path
) -> None:
    """The same client, server, resource and scope get the same token; without --cache there is a new one."""
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    first = await as_client("token", "--cache", env=env)
    again = await as_client(
        "token", "--cache", "--json", env={**env, "STEELCUT_CLIENT_SECRET": "not looked at"}
    )
    assert again.json["access_token"] == first.out.strip()
    assert 3000 < again.json["expires_in"] <= 3600
    assert (await as_client("fetch", "--cache", env=env)).out.encode() == DOCUMENT
    assert (await as_client("token", "--cache", "--scope", "read", env=env)).out != first.out
    assert (await as_client("token", env=env)).out != first.out
    files = list((tmp_path / "steelcut" / "tokens").iterdir())
    assert len(files) == 2
    assert system.client.secret not in "".join(file.read_text() for file in files)


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["token"], {"STEELCUT_ISSUER": ""}, "Name the server: "),
        (["token"], {"STEELCUT_CLIENT_ID": ""}, "Name the client: "),
        (["token"], {"STEELCUT_CLIENT_SECRET": ""}, "Give the secret by STEELCUT_CLIENT_SECRET, "),
        (
            ["token"],
            {"STEELCUT_CLIENT_SECRET": "change-me"},
            "STEELCUT_CLIENT_SECRET: is still the placeholder",
        ),
        (["fetch"], {"STEELCUT_DOCUMENT_URL": ""}, "Name the document: "),
        (["token", "--issuer", "http://auth.example.com"], {}, "The issuer must be https, "),
        (["token", "--token-url", "http://auth.example.com/token"], {}, "The token URL must be https, "),
        (["fetch", "http://api.example.com/x"], {}, "The document URL must be https, "),
        (["fetch", "api_v0.0.1"], {}, "The document URL must be an absolute https URL."),
        (["token", "--secret-file", "-"], {}, "- is empty: "),
        (["token", "--resource", "api"], {"STEELCUT_ISSUER": ""}, "Name the server: "),
        (
            ["fetch", "--resource", "https://api.example.com"],
            {},
            "The access token is for https://api.example.com, so",
        ),
        (
            ["token", "--cache"],
            {"XDG_CACHE_HOME": "/dev/null"},
            "The token cache /dev/null/steelcut/tokens cannot be ",
        ),
    ],
)
async def test_misuse_is_one_sentence_and_exit_2(
    as_client: Steelcut, arguments: list[str], variables: dict[str, str], sentence: str
) -> None:
    """What only the person at the terminal can put right."""
    refused = await as_client(*arguments, env=variables)
    assert refused.code == 2
    assert refused.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["token", "--client-id", "nobody"], "401 invalid_client"),
        (["token", "--scope", "admin"], "400 invalid_scope"),
        (["token", "--resource", "other"], "400 invalid_target"),
        (["fetch", "{document}/missing"], "404 not_found"),
        (["fetch", "{base}/other"], "401 invalid_token"),
        (["token", "--token-url", "{issuer}/elsewhere"], "404 not_found"),
    ],
)
async def test_refusal_by_a_server_is_told_with_its_trace_id(
    as_client: Steelcut, system: System, arguments: list[str], words: str
) -> None:
    """The operator finds the true reason by that id."""
    places = {"document": system.document_url, "base": system.resource_base, "issuer": system.issuer}
    refused = await as_client(*[argument.format(**places) for argument in arguments])
    assert refused.code == 1
    assert f"refused the request ({words})" in refused.sentence
    trace_id = refused.sentence.rpartition(" ")[2]
    assert trace_id in system.log.text
    assert system.client.secret not in refused.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["token", "--issuer", "http://127.0.0.1:1"], "cannot be reached: Connection refused."),
        (["token", "--issuer", "{base}"], "gave no metadata (status 404)."),
        (["token", "--issuer", "{issuer_by_name}"], "belongs to another issuer than {issuer_by_name}."),
    ],
)
async def test_issuer_that_is_none(
    as_client: Steelcut, system: System, arguments: list[str], sentence: str
) -> None:
    """RFC 8414 §3.3: metadata counts only for the issuer that it names."""
    places = {
        "base": system.resource_base,
        "issuer_by_name": system.issuer.replace("127.0.0.1", "localhost"),
    }
    refused = await as_client(*[argument.format(**places) for argument in arguments])
    assert refused.code == 1
    assert refused.sentence.endswith(sentence.format(**places))


def _type_at_a_terminal(arguments: list[str], variables: dict[str, str], typed: str) -> str:
    """Run the command on a pseudo-terminal, type ``typed`` at its prompt, return what the screen shows."""
    screen, keyboard = pty.openpty()
    with subprocess.Popen(
        [*terminal.COMMAND, *arguments],
        env=variables,
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        start_new_session=True,
    ) as process:
        os.close(keyboard)
        shown = b""
        while not shown.endswith(b"secret: "):
            shown += os.read(screen, 4096)
        os.write(screen, typed.encode())
        with contextlib.suppress(OSError):  # Linux says so when the other side is closed
            while chunk := os.read(screen, 4096):
                shown += chunk
    os.close(screen)
    assert process.returncode == 0
    return shown.decode()


@pytest.mark.parametrize(
    ("arguments", "env", "sentence"),
    [
        (
            ["--scope", "\udcff\udcfe"],
            {},
            "An argument, or a STEELCUT_ variable, holds what is no text in UTF-8.",
        ),
        (
            [],
            {"STEELCUT_CLIENT_SECRET": "change-me"},
            "`steelcut clients create` makes a client and its secret, ",
        ),
    ],
)
async def test_mistake_of_a_caller_is_said_in_words(
    as_client: Steelcut, arguments: list[str], env: dict[str, str], sentence: str
) -> None:
    """What is no text, and a placeholder for what another command makes."""
    refused = await as_client("token", *arguments, env=env)
    assert refused.code == 2
    assert sentence in refused.sentence
