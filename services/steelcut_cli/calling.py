"""``steelcut token`` and ``steelcut fetch``: be a client."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output
from steelcut_cli.documents import read_file
from steelcut_cli.errors import Misuse, Refusal

if TYPE_CHECKING:
    from steelcut.client import Token
    from steelcut_cli.settings import CallerSettings

Issuer = Annotated[
    str | None,
    typer.Option(help="Issuer; its metadata names the token endpoint.", show_default="STEELCUT_ISSUER"),
]
TokenUrl = Annotated[
    str | None,
    typer.Option(help="Token endpoint, without asking metadata.", show_default="STEELCUT_TOKEN_URL"),
]
ClientId = Annotated[str | None, typer.Option(help="The client's id.", show_default="STEELCUT_CLIENT_ID")]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        help="File that holds the client's secret; - reads the standard input. The secret itself is never an argument, "
        "since other users of this machine could read it there.",
        show_default="STEELCUT_CLIENT_SECRET, STEELCUT_CLIENT_SECRET_FILE, or a hidden prompt",
    ),
]
Resource = Annotated[
    list[str] | None,
    typer.Option(
        help="Resource to ask for: identifier or short name; may be repeated.",
        show_default="STEELCUT_RESOURCE",
    ),
]
Scope = Annotated[
    str | None, typer.Option(help='Scopes to ask for, as in "read write".', show_default="STEELCUT_SCOPE")
]

TOKEN_EXAMPLES = output.examples(
    "set -a; . .steelcut/dev.env; set +a",
    "steelcut token",
    "steelcut token --scope read --json",
    "steelcut token --issuer https://auth.example.com --client-id billing --secret-file billing.secret",
)
FETCH_EXAMPLES = output.examples(
    "set -a; . .steelcut/dev.env; set +a",
    "steelcut fetch",
    "steelcut fetch http://127.0.0.1:8001/api_v0.0.1 | jq .about",
)


def token(
    issuer: Issuer = None,
    token_url: TokenUrl = None,
    client_id: ClientId = None,
    secret_file: SecretFile = None,
    resource: Resource = None,
    scope: Scope = None,
    as_json: output.AsJson = False,
) -> None:
    """Get an access token by client credentials and print it.

    Whatever is not given as an option comes from STEELCUT_* variables; `steelcut dev` writes them to
    .steelcut/dev.env.
    """
    settings = _settings(issuer, token_url, client_id, scope)
    granted = _request(settings, secret_file, resource)
    if as_json:
        answer = {
            "access_token": granted.value,
            "token_type": "Bearer",
            "expires_in": granted.expires_in,
            "scope": granted.scope,
        }
        output.json_document({name: value for name, value in answer.items() if value is not None})
    else:
        print(granted.value)


def fetch(
    url: Annotated[
        str | None,
        typer.Argument(help="URL of the protected document.", show_default="STEELCUT_DOCUMENT_URL"),
    ] = None,
    issuer: Issuer = None,
    token_url: TokenUrl = None,
    client_id: ClientId = None,
    secret_file: SecretFile = None,
    resource: Resource = None,
    scope: Scope = None,
) -> None:
    """Get an access token, fetch a protected document with it and print the document, byte for byte."""
    from steelcut import client

    settings = _settings(issuer, token_url, client_id, scope)
    target = url or settings.document_url
    if target is None:
        raise Misuse("Name the document: steelcut fetch URL, or set STEELCUT_DOCUMENT_URL.")
    granted = _request(settings, secret_file, resource)
    try:
        body = client.fetch(target, granted)
    except client.ClientError as error:
        raise Refusal(str(error)) from None
    except ValueError as error:
        raise Misuse(output.sentence(error)) from None
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    if sys.stdout.isatty() and not body.endswith(b"\n"):
        print()


def _settings(
    issuer: str | None, token_url: str | None, client_id: str | None, scope: str | None
) -> CallerSettings:
    from steelcut_cli.settings import CallerSettings, read

    # An option beats its variable; an issuer given as option also beats a token endpoint from the environment.
    given = {"issuer": issuer, "token_url": token_url, "client_id": client_id, "scope": scope}
    update: dict[str, str | None] = {name: value for name, value in given.items() if value is not None}
    if issuer and not token_url:
        update["token_url"] = None
    return read(CallerSettings).model_copy(update=update)


def _request(settings: CallerSettings, secret_file: Path | None, resources: list[str] | None) -> Token:
    from steelcut import client

    if settings.issuer is None and settings.token_url is None:
        raise Misuse(
            "Name the server: --issuer URL or --token-url URL (or STEELCUT_ISSUER, STEELCUT_TOKEN_URL)."
        )
    if settings.client_id is None:
        raise Misuse("Name the client: --client-id ID (or STEELCUT_CLIENT_ID).")
    secret = _secret(settings, secret_file)
    try:
        return client.request_token(
            client_id=settings.client_id,
            client_secret=secret,
            issuer=settings.issuer,
            token_url=settings.token_url,
            resource=resources or settings.resource or (),
            scope=settings.scope,
        )
    except client.ClientError as error:
        raise Refusal(str(error)) from None
    except ValueError as error:
        raise Misuse(output.sentence(error)) from None


def _secret(settings: CallerSettings, secret_file: Path | None) -> str:
    if secret_file is not None:
        secret = read_file(secret_file).decode(errors="replace").strip()
        if not secret:
            raise Misuse(f"{secret_file} is empty: it must hold the client's secret.")
        return secret
    if settings.client_secret is not None:
        return settings.client_secret.get_secret_value()
    if sys.stdin.isatty():
        # On stderr, so that the token alone is on stdout.
        return str(typer.prompt("Client secret", hide_input=True, err=True))
    raise Misuse(
        "Give the secret by STEELCUT_CLIENT_SECRET, STEELCUT_CLIENT_SECRET_FILE or --secret-file FILE."
    )
