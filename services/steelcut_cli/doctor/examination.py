"""All checks, in the order in which one thing stands upon another."""

from __future__ import annotations

from collections.abc import Iterator

from steelcut_cli.doctor import configuration, databases
from steelcut_cli.doctor.environment import Environment
from steelcut_cli.doctor.findings import Finding
from steelcut_cli.doctor.places import look


def examine() -> Iterator[Finding]:
    """Check everything that the environment gives the means for."""
    environment = Environment.read()
    yield from configuration.check(environment)
    views = look(environment)
    yield from databases.check_reachability(views)
    yield from databases.check_roles(views)
    yield from databases.check_schemas(views)
