"""What the image holds, by the files that make and run it: its programs, their settings, routes, user and port."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

import auth_service.app
import resource_service.app
from auth_service.settings import AuthSettings
from resource_service.settings import ResourceSettings
from steelcut.service.settings import ConfigurationError, ServiceSettings, load, variable_name
from steelcut_cli.settings import AuthDatabaseSettings, ResourceDatabaseSettings

ROOT: Final = Path(__file__).resolve().parents[2]
# For secrets that are placeholders here: nothing is opened with them.
STAND_INS: Final = {
    "DATABASE_URL": "postgresql://user:password@database.example.com:5432/steelcut",
    "MASTER_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}


@dataclass(frozen=True)
class Program:
    """One way to use the image."""

    settings: tuple[type[ServiceSettings], ...]
    # Of a service: makes the application of its settings.
    app: Callable[[Any], Any] | None = None

    @property
    def variables(self) -> frozenset[str]:
        """Every variable that it reads."""
        return frozenset(variable_name(each, name) for each in self.settings for name in each.model_fields)

    def read(self, variables: dict[str, str]) -> list[ServiceSettings]:
        """Read ``variables`` as the process would. Raises ``ConfigurationError``."""
        read, sentences = [], list[str]()
        for each in self.settings:
            fields = {variable_name(each, name): name for name in each.model_fields}
            given = {fields[name]: value for name, value in variables.items() if name in fields}
            try:
                read.append(load(each, **given))
            except ConfigurationError as error:
                sentences += error.sentences
        if sentences:
            raise ConfigurationError(sentences)
        return read

    def routes(self, settings: list[ServiceSettings]) -> set[str]:
        """Return the paths that it answers under these settings."""
        routes = self.app(settings[0]).routes if self.app else ()
        # What holds other routes has no path of its own.
        return {route.path for route in routes if hasattr(route, "path")}


PROGRAMS: Final[dict[tuple[str, ...], Program]] = {
    ("python", "-m", "auth_service"): Program((AuthSettings,), auth_service.app.create_app),
    ("python", "-m", "resource_service"): Program((ResourceSettings,), resource_service.app.create_app),
    ("steelcut", "db", "upgrade"): Program((AuthDatabaseSettings, ResourceDatabaseSettings)),
}


@dataclass(frozen=True)
class Image:
    """What Dockerfile and docker-compose.yml say of the image."""

    name: str
    user: int
    group: int
    port: int
    commands: frozenset[tuple[str, ...]]


@cache
def image() -> Image:
    """Read both files."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    user, group = _said(r"^USER (\d+):(\d+)$", dockerfile)
    (port,) = _said(r"^EXPOSE (\d+)$", dockerfile)
    (name,) = _said(r"^\$\{STEELCUT_IMAGE:-(\w+)\}$", compose["x-steelcut"]["image"])
    commands = {tuple(map(str, service.get("command", ()))) for service in compose["services"].values()}
    return Image(name, int(user), int(group), int(port), frozenset(commands))


def stand_in(variable: str) -> str:
    """Return a value for a secret that the operator has not made."""
    return next((value for ending, value in STAND_INS.items() if variable.endswith(ending)), "")


def _said(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{pattern} is not found: the files that make the image have changed")
    return found.groups()
