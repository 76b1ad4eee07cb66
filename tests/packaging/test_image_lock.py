"""What the Dockerfile takes of the lock is enough for what it does with it."""

from __future__ import annotations

import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_TAKES = re.compile(r"awk '([^']+)' requirements\.lock >/(\w+)\.lock")


def taken(section: str) -> set[str]:
    """Return the names of what the Dockerfile puts into one of its files, by its own command."""
    programs = {name: program for program, name in _TAKES.findall((ROOT / "Dockerfile").read_text())}
    ran = subprocess.run(
        ["awk", programs[section], ROOT / "requirements.lock"], check=True, capture_output=True, text=True
    )
    return set(re.findall(r"^([a-z0-9-]+)==", ran.stdout, re.MULTILINE))


def needed(names: set[str]) -> set[str]:
    """Return the names, and those of all that they need here."""
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        wanted = map(Requirement, metadata.requires(name) or ())
        here = {canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate()}
        names |= here - found
    return found


def test_what_builds_the_wheel_has_all_it_needs() -> None:
    """A package that both need stands among the server's alone."""
    assert needed({"hatchling"}) <= taken("build")


@pytest.mark.parametrize("package", ["redis", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"])
def test_what_can_be_turned_on_is_in_the_image(package: str) -> None:
    """With all that it needs: a setting that the image cannot follow would be found out in production."""
    assert needed({package}) <= taken("server")


@pytest.mark.parametrize("program", ["pytest", "mypy", "hatchling"])
def test_the_image_runs_without_what_only_builds_and_tests(program: str) -> None:
    """What the server does not need is not in it."""
    assert program not in taken("server")
