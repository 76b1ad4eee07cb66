"""``steelcut env``: a complete ``.env``, and what else is made from the settings classes.

The README's configuration table and ``.env.example`` come from here, so that neither can differ from the code.
"""

from __future__ import annotations

import base64
import inspect
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from steelcut_cli import output
from steelcut_cli.errors import Misuse, Refusal

if TYPE_CHECKING:
    from steelcut.service.settings import ServiceSettings

EXAMPLES: Final = output.examples(
    "steelcut env --output .env", "steelcut env --example > .env.example", "steelcut env --table"
)
PLACEHOLDER: Final = "change-me"

# The passwords by which docker-compose.yml makes its two database servers and their roles.
PASSWORDS: Final = {
    "AUTH_DB_PASSWORD": "superuser of the auth database server",
    "AUTH_OWNER_PASSWORD": "role steelcut_auth_owner: migrations",
    "AUTH_ADMIN_PASSWORD": "role steelcut_auth_admin: administration",
    "AUTH_RUNTIME_PASSWORD": "role steelcut_auth: what the auth service runs as",
    "RESOURCE_DB_PASSWORD": "superuser of the resource database server",
    "RESOURCE_OWNER_PASSWORD": "role steelcut_resource_owner: migrations",
    "RESOURCE_PUBLISHER_PASSWORD": "role steelcut_resource_publisher: changes documents",
    "RESOURCE_RUNTIME_PASSWORD": "role steelcut_resource: what the resource service reads documents as",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable; ``default`` is None when it must be set or stays unset."""

    name: str
    default: str | None
    needed: bool
    description: str
    secret: bool


def env(
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write a new file, readable by its owner alone; never overwrites one."
        ),
    ] = None,
    example: Annotated[
        bool,
        typer.Option("--example", help="Print .env.example: every variable, placeholders for the secrets."),
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Print the configuration table of the README, in Markdown.")
    ] = False,
) -> None:
    """Print a complete .env with fresh random secrets, for docker compose or for services run by hand."""
    if table and example:
        raise Misuse("--example and --table are two outputs: choose one.")
    text = configuration_table() if table else env_example() if example else fresh_env()
    if file is None:
        print(text, end="")
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Refusal(f"{file} cannot be made: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


def fresh_env() -> str:
    """Return a complete ``.env``: new passwords, a new master key, the default ports and URLs."""
    passwords = {name: secrets.token_hex(24) for name in PASSWORDS}
    return _env(passwords, base64.b64encode(secrets.token_bytes(32)).decode())


def _env(passwords: dict[str, str], master_key: str) -> str:
    lines = [
        "# Made by `steelcut env`. Keep it private (chmod 600) and out of version control.",
        "",
        "# Under which URLs clients see the services, and the ports that docker compose publishes on 127.0.0.1.",
        "AUTH_ISSUER=http://127.0.0.1:8000",
        "RESOURCE_BASE_URL=http://127.0.0.1:8001",
        "RESOURCE_ISSUER=http://127.0.0.1:8000",
        "AUTH_PORT=8000",
        "RESOURCE_PORT=8001",
        "# With --profile administration: where the admin API is.",
        "AUTH_ADMIN_PORT=8002",
        "",
        "# Seals the signing keys in the auth database. Lost, every key must be made anew.",
        f"AUTH_MASTER_KEY={master_key}",
        "",
        "# Passwords of the database roles, from which docker compose makes the URLs.",
        *(
            line
            for name, password in passwords.items()
            for line in (f"# {PASSWORDS[name]}", f"{name}={password}")
        ),
        "",
        "# Without docker compose: the same as URLs, for a PostgreSQL on this machine.",
        *_database_urls("auth", passwords),
        *_database_urls("resource", passwords),
    ]
    return "\n".join(lines) + "\n"


def _database_urls(service: str, passwords: dict[str, str]) -> Iterator[str]:
    prefix, database = service.upper(), f"steelcut_{service}"
    server = "127.0.0.1:5432"
    yield f"{prefix}_DATABASE_URL=postgresql://{database}:{passwords[f'{prefix}_RUNTIME_PASSWORD']}@{server}/{database}"
    owner = passwords[f"{prefix}_OWNER_PASSWORD"]
    yield f"{prefix}_OWNER_DATABASE_URL=postgresql://{database}_owner:{owner}@{server}/{database}"
    third = "admin" if service == "auth" else "publisher"
    password = passwords[f"{prefix}_{third.upper()}_PASSWORD"]
    yield f"{prefix}_{third.upper()}_DATABASE_URL=postgresql://{database}_{third}:{password}@{server}/{database}"
    superuser = passwords[f"{prefix}_DB_PASSWORD"]
    yield f"{prefix}_BOOTSTRAP_DATABASE_URL=postgresql://postgres:{superuser}@{server}/postgres"


def sections() -> dict[str, list[Variable]]:
    """Return every variable by who reads it, in the order of the settings classes."""
    from auth_service.settings import AuthAdministrationSettings, AuthOwnerSettings, AuthSettings
    from resource_service.settings import ResourceAdministrationSettings, ResourceSettings
    from steelcut_cli.settings import CallerSettings, SteelcutOAuthSettings

    classes: dict[str, type[ServiceSettings]] = {
        "auth_service": AuthSettings,
        "resource_service": ResourceSettings,
        "steelcut keys, resources, scopes, clients, secrets, audit, import, export": AuthAdministrationSettings,
        "steelcut db": AuthOwnerSettings,
        "steelcut db, documents": ResourceAdministrationSettings,
        "steelcut token, fetch": CallerSettings,
        "steelcut import steelcut-oauth": SteelcutOAuthSettings,
    }
    found = {title: _variables(settings_class) for title, settings_class in classes.items()}
    found["docker compose"] = [Variable(name, None, True, text, True) for name, text in PASSWORDS.items()]
    return found


def _variables(settings_class: type[ServiceSettings]) -> list[Variable]:
    from steelcut.service.settings import is_secret, variable_name

    # pydantic puts inherited fields first; the class itself says in which order to read.
    own = [name for name in inspect.get_annotations(settings_class) if name in settings_class.model_fields]
    names = dict.fromkeys([*own, *settings_class.model_fields])
    return [
        Variable(
            name=variable_name(settings_class, name),
            default=None if field.default is None or field.is_required() else str(field.default),
            needed=field.is_required(),
            description=field.description or "",
            secret=is_secret(field),
        )
        for name, field in ((name, settings_class.model_fields[name]) for name in names)
    ]


def configuration_table() -> str:
    """Return the README's configuration table (Markdown)."""
    lines = ["| Variable | Default | What it is |", "| --- | --- | --- |"]
    for title, variables in sections().items():
        lines.append(f"| **{title}** | | |")
        for variable in variables:
            default = f"`{variable.default}`" if variable.default is not None else ""
            default = default or ("must be set" if variable.needed else "not set")
            lines.append(
                f"| `{variable.name}` | {default} | {variable.description.replace('|', chr(92) + '|')} |"
            )
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Return ``.env.example``: every variable with its default, and a placeholder that is refused for each secret."""
    lines = [
        "# Every variable, in the order of the settings classes. Do not fill it in by hand:",
        "#   steelcut env --output .env",
        "# makes a complete .env with fresh secrets. Each NAME may also be given as NAME_FILE, the path of a file that",
        "# holds the value. Written by `steelcut env --example > .env.example`; a test keeps it true.",
    ]
    for title, variables in sections().items():
        lines += ["", f"# {title}"]
        for variable in variables:
            lines.append(f"# {variable.description}")
            if variable.needed:
                lines.append(f"{variable.name}={PLACEHOLDER}")
            else:
                lines.append(f"#{variable.name}={variable.default or ''}")
    return "\n".join(lines) + "\n"
