"""What a measured system holds: many clients, tokens that are good, documents of a size."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import orjson

from benchmarks import wrk
from resource_service import documents
from tests.support.system import RESOURCE, Registered, as_owner

if TYPE_CHECKING:
    from benchmarks.traffic import Traffic
    from tests.support.databases import Databases
    from tools.programs import Program

CLIENTS: Final = 100_000
# As many as a resource server remembers by default (Verifier's cache_size), and half as many more: taken in turns,
# none is remembered when it comes again.
TOKENS: Final = 15_000
_MOST_LOADS: Final = 60

# Each like the client $1, whose secret they share. The rows are those that the administration writes; no trigger
# tells the services of them one by one.
_COPIES: Final = (
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO clients (client_id, name, grant_types, default_resource_id, token_lifetime_seconds)
    SELECT format('{prefix}%s', n), format('Client %s', n), grant_types, default_resource_id, token_lifetime_seconds
      FROM clients, generate_series(1, {count}) n WHERE client_id = '{client}'
    """,
    """
    INSERT INTO client_secrets (client_id, secret_id, hash)
    SELECT format('{prefix}%s', n), secret_id, hash
      FROM client_secrets, generate_series(1, {count}) n WHERE client_id = '{client}'
    """,
    """
    INSERT INTO client_grants (client_id, resource_id, scope)
    SELECT format('{prefix}%s', n), resource_id, scope
      FROM client_grants, generate_series(1, {count}) n WHERE client_id = '{client}'
    """,
)
_PREFIX: Final = "load-"


async def many_clients(superuser: str, client: Registered, count: int = CLIENTS) -> list[str]:
    """Add ``count`` clients like this one, and return the credentials of each for HTTP Basic.

    ``superuser`` is the DSN of the auth database's superuser.
    """
    connection = await asyncpg.connect(superuser)
    try:
        async with connection.transaction():
            for statement in _COPIES:
                await connection.execute(
                    statement.format(prefix=_PREFIX, count=count, client=client.client_id)
                )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return [_basic(f"{_PREFIX}{number}", client.secret) for number in range(1, count + 1)]


def _basic(client_id: str, secret: str) -> str:
    """Return the value of the header; neither part has characters that RFC 6749 §2.3.1 would have encoded."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


async def many_tokens(
    program: Program, url: str, asking: Traffic, folder: Path, count: int = TOKENS
) -> list[str]:
    """Have the token endpoint at ``url`` issue ``count`` tokens, and return each as a header's value."""
    answers = folder / "answers"
    answers.touch()
    keeping = (
        f'local answers = io.open("{answers}", "a")\n'
        'function response(status, headers, body) answers:write(body, "\\n") end\n'
    )
    for _ in range(_MOST_LOADS):
        await wrk.run(program, url, asking.script() + keeping, seconds=1)
        issued = answers.read_bytes().splitlines()
        if len(issued) >= count:
            return [f"Bearer {orjson.loads(answer)['access_token']}" for answer in issued[:count]]
    raise wrk.LoadError(f"{url} did not issue {count} tokens in {_MOST_LOADS} s")


async def publish_document(databases: Databases, name: str, size: int) -> None:
    """Publish a JSON document of exactly ``size`` bytes as a document of the example resource."""
    await as_owner(
        databases.resource.owner, lambda c: documents.publish(c, RESOURCE, name, document_of(size).encode())
    )


def document_of(size: int) -> str:
    """Return a JSON document of exactly ``size`` bytes."""
    return '{"filler": "%s"}' % ("x" * (size - len('{"filler": ""}')))
