"""All checks, in the order in which one thing stands upon another."""

from __future__ import annotations

from collections.abc import Iterator

from steelcut_cli.doctor import (
    audiences,
    certificates,
    clocks,
    configuration,
    databases,
    hearing,
    keys,
    limits,
    round_trip,
    services,
)
from steelcut_cli.doctor.environment import Environment
from steelcut_cli.doctor.findings import Finding
from steelcut_cli.doctor.places import look
from steelcut_cli.doctor.round_trip import Traveller


def examine(
    environment: Environment, traveller: Traveller | None, *, read_only: bool = False
) -> Iterator[Finding]:
    """Check everything that ``environment`` gives the means for; ``read_only``: and change nothing for it."""
    yield from configuration.check(environment)
    views = look(environment)
    yield from databases.check_reachability(views)
    yield from databases.check_roles(views)
    yield from databases.check_schemas(views)
    yield from hearing.check(environment, views)
    yield from limits.check(environment)
    yield from certificates.check(environment)
    seen = services.visit(environment)
    yield from services.check(environment, seen)
    yield from keys.check(environment, views, seen)
    resources = audiences.find(environment, views)
    yield from audiences.check(environment, resources)
    yield from audiences.check_metadata(environment, seen, resources)
    yield from clocks.check(clocks.read(views, seen), environment.leeway_seconds)
    yield from round_trip.check(environment, seen, resources, traveller, read_only=read_only)
