"""What must hold between a container of the manifests and the image: program, user, port, settings, routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from steelcut.service.settings import ConfigurationError
from tools.manifests.kustomizations import PLACEHOLDER, Built, ManifestError, Resource
from tools.manifests.programs import PROGRAMS, image, stand_in

# The port of a container whose number a setting gives, and not the image.
METRICS: Final = "metrics"


@dataclass(frozen=True)
class Workload:
    """What runs pods, each with one container."""

    resource: Resource
    labels: dict[str, str]
    pod: dict[str, Any]
    container: dict[str, Any]

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Take a Deployment or a Job apart. Raises ``ManifestError``."""
        template = resource.spec["template"]
        containers = template["spec"]["containers"]
        if len(containers) != 1:
            raise ManifestError(f"{resource}: this check knows pods with one container.")
        return cls(resource, template["metadata"].get("labels", {}), template["spec"], containers[0])

    @property
    def ports(self) -> dict[str, int]:
        """The ports of the container by name."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", ())}

    @property
    def probes(self) -> list[dict[str, Any]]:
        """What the probes ask over HTTP."""
        names = ("startupProbe", "livenessProbe", "readinessProbe")
        return [self.container[name]["httpGet"] for name in names if name in self.container]

    @property
    def command(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return tuple(self.container.get("command", ()))


@dataclass
class Environment:
    """The variables of one container, and what is wrong with where they come from."""

    variables: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    # Name and key of each Secret that was asked for.
    secrets: set[tuple[str, str]] = field(default_factory=set)

    def take_all(self, built: Built, name: str) -> None:
        """Take every entry of a ConfigMap."""
        if name not in built.config_maps:
            self.missing.append(f"no generator makes the ConfigMap {name}")
        self.variables |= built.config_maps.get(name, {})

    def take_secret(self, built: Built, variable: str, reference: dict[str, Any]) -> None:
        """Take one entry of a Secret; for a placeholder, something that the services take."""
        name, key = reference["name"], reference["key"]
        self.secrets.add((name, key))
        value = built.secrets.get(name, {}).get(key)
        if name not in built.secrets:
            self.missing.append(f"no generator makes the Secret {name}")
        elif value is not None:
            self.variables[variable] = stand_in(variable) if value == PLACEHOLDER else value
        elif not reference.get("optional"):
            self.missing.append(f"the Secret {name} has no {key}")


def faults(built: Built, workloads: list[Workload]) -> Iterator[str]:
    """Say in one sentence each what does not fit."""
    asked = set()
    for workload in workloads:
        environment = _environment(built, workload.container)
        asked |= environment.secrets
        yield from (f"{workload.resource}: {sentence}" for sentence in _image(workload))
        yield from (f"{workload.resource}: {sentence}" for sentence in _settings(workload, environment))
    for name, key in sorted((name, key) for name, data in built.secrets.items() for key in data):
        if (name, key) not in asked:
            yield f"The Secret {name} has {key}, which no container takes."
    images = {workload.container["image"] for workload in workloads}
    for name, file in built.images.items():
        if name not in images:
            yield f"{file}: images names {name}, which no container has."


def _image(workload: Workload) -> Iterator[str]:
    name, context, made = workload.container["image"], workload.pod.get("securityContext", {}), image()
    if name != made.name:
        yield f"its image is {name}, and docker-compose.yml makes {made.name}."
    if workload.command not in made.commands & PROGRAMS.keys():
        yield f"{' '.join(workload.command)} is no command of docker-compose.yml."
    if (context.get("runAsUser"), context.get("runAsGroup")) != (made.user, made.group):
        yield f"it does not run as {made.user}:{made.group}, as the Dockerfile has it."
    for port, number in workload.ports.items():
        if number != made.port and port != METRICS:
            yield f"its port {port} is {number}, and the image listens on {made.port}."
    # Else the Service `auth` sets AUTH_PORT to tcp://…, and that comes before the variables of the image.
    if workload.pod.get("enableServiceLinks") is not False:
        yield "enableServiceLinks must be false, for a Service would set AUTH_PORT."


def _settings(workload: Workload, environment: Environment) -> Iterator[str]:
    yield from (f"{sentence}." for sentence in environment.missing)
    program = PROGRAMS.get(workload.command)
    if program is None:
        return
    for name in environment.variables.keys() - program.variables:
        yield f"{name} is no setting of {' '.join(workload.command)}."
    try:
        settings = program.read(environment.variables)
        routes = program.routes(settings)
    except ConfigurationError as error:
        yield from error.sentences
        return
    if workload.ports.get(METRICS) != getattr(settings[0], "metrics_port", None):
        yield f"its port {METRICS} is none of its setting for it."
    for probe in workload.probes:
        if probe["path"] not in routes:
            yield f"a probe asks {probe['path']}, which the service does not answer."


def _environment(built: Built, container: dict[str, Any]) -> Environment:
    environment = Environment()
    for source in container.get("envFrom", ()):
        environment.take_all(built, source["configMapRef"]["name"])
    for entry in container.get("env", ()):
        if "value" in entry:
            environment.variables[entry["name"]] = entry["value"]
        else:
            environment.take_secret(built, entry["name"], entry["valueFrom"]["secretKeyRef"])
    return environment
