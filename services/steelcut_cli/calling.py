"""``steelcut token`` and ``steelcut fetch``: be a client."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from steelcut_cli import output
from steelcut_cli.documents import read_file
from steelcut_cli.errors import Misuse, Refusal

if TYPE_CHECKING:
    from steelcut.client import ClientCredentials, Token
    from steelcut_cli.settings import CallerSettings

T = TypeVar("T")

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
Cache = Annotated[
    bool,
    typer.Option(
        "--cache",
        help="Keep the token for the next command, in $XDG_CACHE_HOME/steelcut/tokens or ~/.cache/steelcut/tokens, "
        "readable by you alone.",
    ),
]

TOKEN_EXAMPLES = output.examples(
    "set -a; . .steelcut/dev.env; set +a",
    "steelcut token",
    "steelcut token --scope read --json",
    "steelcut token --cache",
    "steelcut token --issuer https://auth.example.com --client-id billing --secret-file billing.secret",
)
FETCH_EXAMPLES = output.examples(
    "set -a; . .steelcut/dev.env; set +a",
    "steelcut fetch",
    "steelcut fetch http://127.0.0.1:8001/api_v0.0.1 | jq .about",
    "steelcut fetch --cache https://api.example.com/reports --resource https://api.example.com/reports",
)


def token(
    issuer: Issuer = None,
    token_url: TokenUrl = None,
    client_id: ClientId = None,
    secret_file: SecretFile = None,
    resource: Resource = None,
    scope: Scope = None,
    cache: Cache = False,
    as_json: output.AsJson = False,
) -> None:
    """Get an access token by client credentials and print it.

    Whatever is not given as an option comes from STEELCUT_* variables; `steelcut dev` writes them to
    .steelcut/dev.env.
    """
    settings = _settings(issuer, token_url, client_id, scope)
    granted = _told(_credentials(settings, secret_file, resource, cache).token)
    if as_json:
        answer = {
            "access_token": granted.value,
            "token_type": "Bearer",
            "expires_in": _seconds_left(granted),
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
    cache: Cache = False,
) -> None:
    """Get an access token, fetch a protected document with it and print the document, byte for byte."""
    settings = _settings(issuer, token_url, client_id, scope)
    target = url or settings.document_url
    if target is None:
        raise Misuse("Name the document: steelcut fetch URL, or set STEELCUT_DOCUMENT_URL.")
    credentials = _credentials(settings, secret_file, resource, cache)
    body = _told(lambda: credentials.fetch(target))
    output.octets(body)
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


def _credentials(
    settings: CallerSettings, secret_file: Path | None, resources: list[str] | None, cache: bool
) -> ClientCredentials:
    from steelcut import client

    wanted = resources or list(filter(None, [settings.resource]))
    said = (settings.issuer, settings.token_url, settings.client_id, settings.scope, *wanted)
    try:
        "".join(filter(None, said)).encode()
    except UnicodeEncodeError:
        raise Misuse("An argument, or a STEELCUT_ variable, holds what is no text in UTF-8.") from None
    if settings.issuer is None and settings.token_url is None and not _names_its_issuer(wanted):
        raise Misuse(
            "Name the server: --issuer URL or --token-url URL (or STEELCUT_ISSUER, STEELCUT_TOKEN_URL), or the "
            "--resource by its URL, if its metadata names the server."
        )
    if settings.client_id is None:
        raise Misuse("Name the client: --client-id ID (or STEELCUT_CLIENT_ID).")
    secret = read_secret(settings, secret_file)
    return _told(
        lambda: client.ClientCredentials(
            settings.client_id,
            secret,
            issuer=settings.issuer,
            token_url=settings.token_url,
            resource=wanted,
            scope=settings.scope,
            # Somebody may be sitting there: a second and no more, where nobody answers.
            retries=client.Retries(attempts=3, timeout=10, wait_jitter=0.2),
            cache=client.TokenCache() if cache else None,
        )
    )


def _names_its_issuer(resources: list[str]) -> bool:
    """Say whether there is one resource, and that by its URL (RFC 9728)."""
    return len(resources) == 1 and "://" in resources[0]


def _told(work: Callable[[], T]) -> T:
    """Do ``work``; what goes wrong with it is told at the terminal."""
    from steelcut import client

    try:
        return work()
    except client.ClientError as error:
        raise Refusal(str(error)) from None
    except ValueError as error:
        raise Misuse(output.sentence(error)) from None


def _seconds_left(granted: Token) -> int | None:
    """Return RFC 6749's ``expires_in`` as of now: the token may come from the cache."""
    if granted.expires_in is None or granted.expires_at is None:
        return granted.expires_in
    return max(0, min(granted.expires_in, math.ceil(granted.expires_at - time.time())))


def read_secret(settings: CallerSettings, secret_file: Path | None) -> str:
    """Return the client's secret from a file, the environment or a prompt. Raises :class:`Misuse` without any."""
    if secret_file is not None:
        secret = read_file(secret_file).decode(errors="replace").strip()
        if not secret:
            raise Misuse(f"{secret_file} is empty: it must hold the client's secret.")
        return secret
    if settings.client_secret is not None:
        return settings.client_secret.get_secret_value()
    if sys.stdin.isatty():
        # On stderr, so that the token alone is on stdout.
        return output.ask_secret("Client secret")
    raise Misuse(
        "Give the secret by STEELCUT_CLIENT_SECRET, STEELCUT_CLIENT_SECRET_FILE or --secret-file FILE."
    )
