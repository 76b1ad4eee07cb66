"""Runs `steelcut doctor` with the variables of a whole deployment."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tests.cli.conftest import Steelcut, runner
from tests.cli.terminal import Outcome
from tests.support.databases import Databases
from tests.support.system import System


@dataclass(frozen=True)
class Examined:
    """What the doctor found."""

    outcome: Outcome

    @property
    def findings(self) -> list[dict[str, str]]:
        """All of it, in order."""
        found: list[dict[str, str]] = self.outcome.json["findings"]
        return found

    def of(self, check: str) -> dict[str, str]:
        """The one finding of a check."""
        (finding,) = [finding for finding in self.findings if finding["check"] == check]
        return finding

    def states(self) -> dict[str, str]:
        """How each check ended, the worst where it found several things."""
        return {finding["check"]: finding["state"] for finding in self.findings}

    def only(self, state: str) -> list[str]:
        """The checks that ended so."""
        return [finding["check"] for finding in self.findings if finding["state"] == state]


@dataclass(frozen=True)
class Doctor:
    """Somebody who has the variables of a deployment, and asks what is wrong with it."""

    variables: Mapping[str, str]

    @property
    def steelcut(self) -> Steelcut:
        """Any command, by these variables."""
        return runner(self.variables)

    async def examine(self, *arguments: str, **changed: str) -> Examined:
        """Run it for programs; ``changed`` variables are others, or taken away by an empty value."""
        return Examined(self._seen(await self.steelcut("doctor", "--json", *arguments, env=changed), changed))

    async def explain(self, *arguments: str, stdin: str = "", **changed: str) -> Outcome:
        """Ask what a value says."""
        outcome = await self.steelcut("doctor", "explain", *arguments, env=changed, stdin=stdin.encode())
        return self._seen(outcome, changed)

    def _seen(self, outcome: Outcome, changed: Mapping[str, str]) -> Outcome:
        # Whatever a test is about: no output has a secret that the command was given.
        assert shows_none(outcome, secrets_of({**self.variables, **changed}))
        return outcome


def of_databases(databases: Databases) -> dict[str, str]:
    """The variables that lead to two databases."""
    return {
        "AUTH_DATABASE_URL": databases.auth.runtime,
        "AUTH_ADMIN_DATABASE_URL": databases.auth_admin,
        "AUTH_OWNER_DATABASE_URL": databases.auth.owner,
        "RESOURCE_DATABASE_URL": databases.resource.runtime,
        "RESOURCE_PUBLISHER_DATABASE_URL": databases.publisher,
        "RESOURCE_OWNER_DATABASE_URL": databases.resource.owner,
    }


def of_system(system: System) -> dict[str, str]:
    """The variables of a running deployment, but those of a client."""
    return {
        **of_databases(system.databases),
        "AUTH_ISSUER": system.issuer,
        "AUTH_MASTER_KEY": system.master_key,
        "RESOURCE_ISSUER": system.issuer,
        "RESOURCE_BASE_URL": system.resource_base,
    }


def secrets_of(variables: Mapping[str, str], *more: str) -> list[str]:
    """What must stand in no output: passwords, the master key, and ``more``."""
    passwords = {url.partition("@")[0].rpartition(":")[2] for url in variables.values() if "@" in url}
    others = {value for name, value in variables.items() if "MASTER_KEY" in name or "SECRET" in name}
    return [*filter(None, {*passwords, *others}), *more]


def shows_none(outcome: Outcome | Examined, secrets: list[Any]) -> bool:
    """Say whether no secret stands in what was printed."""
    ended = outcome.outcome if isinstance(outcome, Examined) else outcome
    return not any(secret in ended.out + ended.err for secret in secrets)


@contextlib.asynccontextmanager
async def answering(
    body: object,
    *,
    date: datetime | None = None,
    status: str = "200 OK",
    never: str = "-",
    asked: asyncio.Event | None = None,
) -> AsyncIterator[str]:
    """A server of a few lines that answers everything with ``body``, by a clock of its own; gives its URL.

    What ends in ``never`` it does not answer, but sets ``asked``.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            if asked is not None and path.endswith(never) and "well-known" not in path:
                asked.set()
                await reader.read()
                return
            content = json.dumps(body).encode()
            shown = format_datetime(date or datetime.now(UTC), usegmt=True)
            fields = f"Date: {shown}\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{fields}".encode() + content)
            await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
