"""What must exist before the services start: databases, key, resource, client, document.

All of it by the functions behind the other commands, and all of it found again at the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from auth_service.administration.actor import terminal_actor
from auth_service.administration.clients import create_client, show_client
from auth_service.administration.errors import NotFound
from auth_service.administration.keys import create_key, list_keys
from auth_service.administration.resources import create_resource, list_resources, update_resource
from auth_service.master_key import MasterKey
from resource_service import documents
from steelcut.service.database import migrations
from steelcut.service.refusal import Refusal as ServiceRefusal
from steelcut_cli.connections import with_connection
from steelcut_cli.dev import state
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from steelcut_cli.connections import Connection
    from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
    from steelcut_cli.dev.state import Secrets, StateDirectory, Urls

EXAMPLE: Final = b'{"about": "This is a protected resource"}\n'

Say = Callable[[str, str], None]


def prepare(
    say: Say, directory: StateDirectory, postgres: EmbeddedPostgres, kept: Secrets, urls: Urls
) -> tuple[Secrets, dict[str, dict[str, str]]]:
    """Make what is missing, write ``dev.env``, and return the secrets and each service's environment."""
    databases = state.database_environment(kept, f"127.0.0.1:{postgres.port}", postgres.dsn())
    for service in ("auth", "resource"):
        say(f"{service} database", _migrate(service, databases))
    kept = with_connection(
        SecretStr(databases["AUTH_ADMIN_DATABASE_URL"]),
        lambda connection: _register(say, connection, directory, kept, urls),
    )
    with_connection(
        SecretStr(databases["RESOURCE_PUBLISHER_DATABASE_URL"]),
        lambda connection: _publish(say, connection, urls),
    )
    public = state.public_environment(urls)
    caller = state.caller_environment(kept, urls)
    state.write_private(directory.env_file, state.env_file_text(caller, public, databases))
    return kept, {
        "auth_service": _only(public | databases, "AUTH_", "AUTH_OWNER", "AUTH_BOOTSTRAP"),
        "resource_service": _only(public | databases, "RESOURCE_", "RESOURCE_OWNER", "RESOURCE_BOOTSTRAP"),
    }


def _only(environment: dict[str, str], prefix: str, *withheld: str) -> dict[str, str]:
    """Return what one service may know: nothing of the other one's, and nothing of an owner's."""
    known = {
        name: value
        for name, value in environment.items()
        if name.startswith(prefix) and not name.startswith(withheld)
    }
    # Columns rather than JSON: a person is going to read the log.
    return {**known, f"{prefix}HOST": "127.0.0.1", f"{prefix}LOG_FORMAT": "console"}


def _migrate(service: str, databases: dict[str, str]) -> str:
    prefix = service.upper()
    access = migrations.DatabaseAccess(
        owner=databases[f"{prefix}_OWNER_DATABASE_URL"],
        runtime=databases[f"{prefix}_DATABASE_URL"],
        admin=databases[
            "AUTH_ADMIN_DATABASE_URL" if service == "auth" else "RESOURCE_PUBLISHER_DATABASE_URL"
        ],
        bootstrap=databases[f"{prefix}_BOOTSTRAP_DATABASE_URL"],
    )
    try:
        schema = migrations.upgrade(access, f"{service}_service.migrations")
    except ServiceRefusal as error:
        raise Refusal(f"{service} database: {error}") from None
    return f"steelcut_{service}, revision {schema.current}, owner steelcut_{service}_owner, run as steelcut_{service}"


async def _register(
    say: Say, connection: Connection, directory: StateDirectory, kept: Secrets, urls: Urls
) -> Secrets:
    """Make the key, the resource and the client that are not there yet."""
    keys = await list_keys(connection)
    if not keys:
        # RS256 and EdDSA are a matter of `steelcut keys create`.
        keys = [
            await create_key(connection, terminal_actor(), MasterKey.from_base64(kept.master_key), "ES256")
        ]
    signing = next(key for key in keys if key.state == "active")
    say("signing key", f"{signing.algorithm} {signing.kid}")

    known = {resource.name: resource for resource in await list_resources(connection)}
    if state.RESOURCE not in known:
        await create_resource(connection, terminal_actor(), state.RESOURCE, urls.document, state.SCOPES)
    elif known[state.RESOURCE].identifier != urls.document:
        # The identifier is the URL under which clients see the resource, and today's port is another one.
        await update_resource(connection, terminal_actor(), state.RESOURCE, {"identifier": urls.document})
    say("resource", f"{state.RESOURCE}, scopes {' '.join(state.SCOPES)}, identifier {urls.document}")

    if not kept.client_id or not await _is_registered(connection, kept.client_id):
        grants = {state.RESOURCE: state.SCOPES}
        new = await create_client(connection, terminal_actor(), state.CLIENT_NAME, grants)
        kept = directory.keep_client(kept, new.client.client_id, new.secret)
    say("client", f"{state.CLIENT_NAME}, id {kept.client_id}")
    return kept


async def _is_registered(connection: Connection, client_id: str) -> bool:
    try:
        await show_client(connection, client_id)
    except NotFound:
        return False
    return True


async def _publish(say: Say, connection: Connection, urls: Urls) -> None:
    """Publish the example, unless the person at the terminal has published something else there."""
    published = await documents.list_documents(connection, state.RESOURCE)
    if not any(document.key is None for document in published):
        await documents.publish(connection, state.RESOURCE, None, EXAMPLE)
    say("document", urls.document)
