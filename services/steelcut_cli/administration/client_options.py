"""What the options of ``steelcut clients`` mean: grants and metadata, whole or as differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from steelcut_cli.errors import Misuse

Value = TypeVar("Value")


def parse_grants(options: Sequence[str]) -> dict[str, list[str]]:
    """Return resource names with scopes for ``["api_v0.0.1=read,write", …]``; a repeated resource adds up.

    Raises :class:`Misuse` for anything else.
    """
    grants = _grants(options)
    if not all(resource and scopes for resource, scopes in grants.items()):
        raise Misuse("--grant takes RESOURCE=SCOPE[,SCOPE…], for example --grant api_v0.0.1=read,write")
    return grants


def parse_ungrants(options: Sequence[str]) -> dict[str, list[str]]:
    """Return the same, and no scopes for a resource that is named alone. Raises :class:`Misuse`."""
    grants = _grants(options)
    for option in options:
        resource, equals, _ = option.partition("=")
        if not resource or (equals and not grants[resource]):
            raise Misuse(
                "--ungrant takes RESOURCE or RESOURCE=SCOPE[,SCOPE…], for example --ungrant api_v0.0.1=write"
            )
        if not equals:
            grants[resource] = []
    return grants


def regranted(
    known: Mapping[str, Sequence[str]], added: Mapping[str, Sequence[str]], taken: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return ``known`` with what was ``added`` and without what was ``taken``. Raises :class:`Misuse`."""
    grants = {resource: [*scopes, *added.get(resource, ())] for resource, scopes in known.items()}
    grants |= {resource: list(scopes) for resource, scopes in added.items() if resource not in grants}
    for resource, scopes in taken.items():
        if resource not in known or not set(scopes) <= set(known[resource]):
            raise Misuse(
                "--ungrant names what the client does not have: steelcut clients show tells what it has."
            )
        grants[resource] = [scope for scope in grants[resource] if scopes and scope not in scopes]
    return {resource: scopes for resource, scopes in grants.items() if scopes}


def parse_metadata(options: Sequence[str] | None) -> dict[str, str | None]:
    """Return metadata for ``["owner=billing", …]``; None for what is to be taken away."""
    noted: dict[str, str | None] = {}
    for option in options or ():
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise Misuse("--metadata takes NAME=VALUE, for example --metadata owner=billing")
        noted[name] = value or None
    return noted


def either(value: Value | None, none: bool, option: str) -> Value | None:
    """Return ``value``, or None where that was asked for. Raises :class:`Misuse` for both at once."""
    if value is not None and none:
        raise Misuse(f"--{option} and --no-{option} exclude each other.")
    return value


def _grants(options: Sequence[str]) -> dict[str, list[str]]:
    grants: dict[str, list[str]] = {}
    for option in options:
        resource, _, scopes = option.partition("=")
        # OAuth writes scopes with spaces between, shells are easier with commas: both are understood.
        grants.setdefault(resource, []).extend(scopes.replace(",", " ").split())
    return grants
